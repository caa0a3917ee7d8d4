/* Datasets of an entry ("/niah/NAME/cases") as rows of a table: adding them, and finding them again. */
#ifndef QK_RUN_DATASET_ROW_H
#define QK_RUN_DATASET_ROW_H

#include "analyses/table.h"
#include "base/err.h"

struct qk_dataset_row {
    const char *leaf; /* below the group */
    enum qk_type type;
    const char *title, *units, *definition;
};

/* Adds the dataset /RUN/NAME/SET/LEAF over dims, resp. /RUN/NAME/LEAF with set NULL. */
enum qk_code qk_dataset_add(struct qk_table *table, const char *run, const char *name, const char *set,
                            const struct qk_dataset_row *row, size_t n_dims, const char *const *dims,
                            struct qk_node **ret, struct qk_err *err) QK_CHECKED;
/* /RUN/NAME, below it SET and LEAF where they are not NULL; NULL when it is not there. */
struct qk_node *qk_dataset_find(const struct qk_table *table, const char *run, const char *name, const char *set,
                                const char *leaf);
/* The entry /RUN/NAME, and the datasets of n rows below its SET, all over one axis of *ret_len. QK_EFORMAT when one is
 * not there as it should be. */
enum qk_code qk_dataset_find_all(const struct qk_table *table, const char *run, const char *name, const char *set,
                                 size_t n, const struct qk_dataset_row rows[], struct qk_node **ret_entry,
                                 struct qk_node *ret[], size_t *ret_len, struct qk_err *err) QK_CHECKED;

#endif
