/* Datasets of an entry: see dataset_row.h. */
#include "dataset_row.h"

#include "base/str.h"
#include "drift_table.h"

/* NULL when out of memory. */
static char *path_of(struct qk_str *path, const char *run, const char *name, const char *set, const char *leaf)
{
    qk_str_addf(path, "/%s/%s", run, name);
    if (set != NULL) {
        qk_str_addf(path, "/%s", set);
    }
    if (leaf != NULL) {
        qk_str_addf(path, "/%s", leaf);
    }
    return path->failed ? NULL : path->s;
}

enum qk_code qk_dataset_add(struct qk_table *table, const char *run, const char *name, const char *set,
                            const struct qk_dataset_row *row, size_t n_dims, const char *const *dims,
                            struct qk_node **ret, struct qk_err *err)
{
    struct qk_str path = {0};
    enum qk_code code = path_of(&path, run, name, set, row->leaf) == NULL
                            ? qk_fail_nomem(err, "result table")
                            : qk_table_array(table, path.s, row->type, n_dims, dims, ret, err);
    qk_str_release(&path);
    QK_TRY(code);
    return qk_result_describe(table, *ret, row->title, row->units, row->definition, err);
}

struct qk_node *qk_dataset_find(const struct qk_table *table, const char *run, const char *name, const char *set,
                                const char *leaf)
{
    struct qk_str path = {0};
    struct qk_node *node = path_of(&path, run, name, set, leaf) == NULL ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    return node;
}

enum qk_code qk_dataset_find_all(const struct qk_table *table, const char *run, const char *name, const char *set,
                                 size_t n, const struct qk_dataset_row rows[], struct qk_node **ret_entry,
                                 struct qk_node *ret[], size_t *ret_len, struct qk_err *err)
{
    struct qk_node *entry = qk_dataset_find(table, run, name, NULL, NULL);
    for (size_t k = 0; k < n; k++) {
        struct qk_node *node = qk_dataset_find(table, run, name, set, rows[k].leaf);
        bool fits = entry != NULL && node != NULL && !node->is_group && node->type == rows[k].type &&
                    node->n_dims == 1 && (k == 0 || node->n_values == ret[0]->n_values);
        if (!fits) {
            return qk_fail(err, QK_EFORMAT, "/%s/%s/%s: %s is missing or of another shape", run, name, set,
                           rows[k].leaf);
        }
        ret[k] = node;
    }
    *ret_entry = entry;
    *ret_len = ret[0]->n_values;
    return QK_OK;
}
