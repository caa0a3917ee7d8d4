/* The groups at the top of a run file, in the order in which they stand there. */
#ifndef QK_STORE_RUN_GROUP_H
#define QK_STORE_RUN_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"

/* Place of the group that path lies in: the order of files that hold several measurements; groups that are not known
 * come behind all others. The root is 0. */
size_t qk_run_group_rank(const char *path);
/* Whether the group holds what a command measured, and is not the frame of all measurements (/model, /checkpoints). */
bool qk_run_group_is_measured(const char *path);
/* Whether table has the group at the top that path lies in. */
bool qk_run_has_group_of(const struct qk_table *table, const char *path);
/* Whether both tables hold the same measurements, and the least rank of a table's measurements. */
bool qk_run_same_measurements(const struct qk_table *a, const struct qk_table *b);
size_t qk_run_first_measurement(const struct qk_table *table);
/* Number of commands that have measured something in table. */
size_t qk_run_count_measurements(const struct qk_table *table);
/* Place of a command line in the history of such files. */
size_t qk_run_history_rank(const char *line);

#endif
