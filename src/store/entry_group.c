/* The groups with one entry per checkpoint: one row each. */
#include "entry_group.h"

#include <string.h>

static const struct qk_entry_group entry_groups[] = {
    {.group = "/checkpoints"},
    {.group = "/drift", .part_axis = "/model/layer", .part_attr = "layers"},
    {.group = "/probe", .part_axis = "/model/sequence", .part_attr = "sequences"},
    {.group = "/routing"},
    {.group = "/niah", .part_axis = "/model/case", .part_attr = "cases"},
    {.group = "/eval", .part_axis = "/model/problem", .part_attr = "problems"},
};

const struct qk_entry_group *qk_entry_group_of(const char *path)
{
    for (size_t i = 0; i < sizeof(entry_groups) / sizeof(entry_groups[0]); i++) {
        size_t len = strlen(entry_groups[i].group);
        if (strncmp(path, entry_groups[i].group, len) == 0 && path[len] == '/') {
            return &entry_groups[i];
        }
    }
    return NULL;
}

size_t qk_entry_length(const struct qk_entry_group *group, const char *path)
{
    size_t start = strlen(group->group) + 1;
    return start + strcspn(path + start, "/");
}
