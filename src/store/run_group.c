/* The groups at the top of a run file: one row each. */
#include "run_group.h"

#include <string.h>

#include "base/str.h"

/* command: whose measurement the group holds; derived: made of another group of the same command. */
static const struct run_group {
    const char *group, *command;
    bool derived;
} groups[] = {
    {"/model", NULL, false},    {"/checkpoints", NULL, false},      {"/drift", "drift", false},
    {"/probe", "probe", false}, {"/routing", "probe", true},        {"/niah", "niah", false},
    {"/eval", "eval", false},   {"/recommend", "recommend", false}, {"/verdict", "diagnose", true},
};
enum { N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

static bool same_group(const char *path, const char *other)
{
    size_t n = 1 + strcspn(path + 1, "/"), k = 1 + strcspn(other + 1, "/");
    return path[1] != '\0' && n == k && strncmp(path, other, n) == 0;
}

static size_t row_of(const char *path)
{
    size_t i = 0;
    while (i < N_GROUPS && !same_group(path, groups[i].group)) {
        i++;
    }
    return i;
}

size_t qk_run_group_rank(const char *path)
{
    return path[1] == '\0' ? 0 : 1 + row_of(path);
}

bool qk_run_group_is_measured(const char *path)
{
    size_t row = row_of(path);
    return path[1] != '\0' && (row == N_GROUPS || groups[row].command != NULL);
}

bool qk_run_has_group_of(const struct qk_table *table, const char *path)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (same_group(table->nodes[i]->path, path)) {
            return true;
        }
    }
    return false;
}

/* A group at the top that a measurement begins with. */
static bool is_measurement(const struct qk_node *node)
{
    size_t row = row_of(node->path);
    return qk_run_group_is_measured(node->path) && strchr(node->path + 1, '/') == NULL &&
           (row == N_GROUPS || !groups[row].derived);
}

static bool has_all(const struct qk_table *a, const struct qk_table *b)
{
    for (size_t i = 0; i < b->n_nodes; i++) {
        if (is_measurement(b->nodes[i]) && !qk_run_has_group_of(a, b->nodes[i]->path)) {
            return false;
        }
    }
    return true;
}

bool qk_run_same_measurements(const struct qk_table *a, const struct qk_table *b)
{
    return has_all(a, b) && has_all(b, a);
}

size_t qk_run_first_measurement(const struct qk_table *table)
{
    size_t first = 1 + N_GROUPS;
    for (size_t i = 0; i < table->n_nodes; i++) {
        size_t rank = qk_run_group_rank(table->nodes[i]->path);
        first = is_measurement(table->nodes[i]) && rank < first ? rank : first;
    }
    return first;
}

size_t qk_run_count_measurements(const struct qk_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_nodes; i++) {
        n += is_measurement(table->nodes[i]);
    }
    return n;
}

size_t qk_run_history_rank(const char *line)
{
    static const char program[] = "qkscope ";
    size_t i = 0;
    const char *word = qk_str_starts(line, program) ? line + sizeof(program) - 1 : "";
    size_t n = strcspn(word, " ");
    while (i < N_GROUPS &&
           (groups[i].command == NULL || strlen(groups[i].command) != n || strncmp(groups[i].command, word, n) != 0)) {
        i++;
    }
    return i;
}
