/* An upper bound of a run file's size, so that all its memory can be had before it is built. */
#ifndef QK_STORE_RUN_SIZE_H
#define QK_STORE_RUN_SIZE_H

#include "analyses/table.h"

/* More than the file can need: values twice, strings with their heap entries, and room for each object's description.
 * False on overflow. */
bool qk_run_size_bound(const struct qk_table *table, size_t *ret);

#endif
