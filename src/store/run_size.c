/* How large a run file can get. */
#include "run_size.h"

#include <string.h>

#include "base/alloc.h"

bool qk_run_size_bound(const struct qk_table *table, size_t *ret)
{
    enum { FILE_BYTES = 1 << 20, NODE_BYTES = 8192, STRING_BYTES = 64 };
    size_t total = FILE_BYTES, bytes;
    for (size_t i = 0; i < table->n_nodes; i++) {
        const struct qk_node *node = table->nodes[i];
        size_t n_strings = node->type == QK_TYPE_STR && !node->is_group ? node->n_values : 0;
        if (!qk_size_mul(node->n_values, 2 * sizeof(double), &bytes) || !qk_size_add(total, bytes, &total) ||
            !qk_size_add(total, NODE_BYTES, &total)) {
            return false;
        }
        for (size_t k = 0; k < n_strings; k++) {
            if (!qk_size_add(total, STRING_BYTES + 2 * strlen(node->v.str[k]), &total)) {
                return false;
            }
        }
        for (size_t a = 0; a < node->n_attrs; a++) {
            const struct qk_attr *attr = &node->attrs[a];
            for (size_t k = 0; k < attr->n; k++) {
                bytes = STRING_BYTES + (attr->type == QK_TYPE_STR ? 2 * strlen(attr->v.str[k]) : 0);
                if (!qk_size_add(total, bytes, &total)) {
                    return false;
                }
            }
        }
    }
    *ret = total;
    return true;
}
