/* The groups of a run file that hold one entry per checkpoint (/drift/NAME, /probe/NAME …), and how their parts join.
 */
#ifndef QK_STORE_ENTRY_GROUP_H
#define QK_STORE_ENTRY_GROUP_H

#include <stddef.h>

struct qk_entry_group {
    const char *group;     /* "/drift" */
    const char *part_axis; /* scale along which parts of one entry share the work; NULL: parts cannot share an entry */
    const char *part_attr; /* int64 list on the entry: the coordinates that this part computed */
};

/* The row whose group holds path ("/drift/sft" or anything below it); NULL when there is none. */
const struct qk_entry_group *qk_entry_group_of(const char *path);
/* Length of the entry's path ("/drift/sft") at the start of path, which lies in group. */
size_t qk_entry_length(const struct qk_entry_group *group, const char *path);

#endif
