/* Continuing an interrupted run: what a partial table already has, when it is of the same configuration. */
#include <string.h>

#include "base/str.h"
#include "run/drift.h"

static const size_t value_sizes[] = {
    [QK_TYPE_F64] = sizeof(double), [QK_TYPE_I64] = sizeof(int64_t), [QK_TYPE_U8] = sizeof(uint8_t)};

static enum qk_code copy_values(struct qk_node *node, const struct qk_node *from, struct qk_err *err)
{
    if (from == NULL || from->is_group || from->type != node->type || from->n_values != node->n_values ||
        node->type == QK_TYPE_STR) {
        return qk_fail(err, QK_EMISMATCH, "the partial run does not fit: %s is missing or of another shape",
                       node->path);
    }
    memcpy(node->v.p, from->v.p, node->n_values * value_sizes[node->type]);
    return QK_OK;
}

static enum qk_code resume_entry(struct qk_table *table, const struct qk_table *partial, const char *name,
                                 size_t n_layers, bool *done, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/drift/%s", name),
         *inside = qk_arena_printf(table->arena, "/drift/%s/", name);
    if (path == NULL || inside == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    struct qk_node *entry = qk_table_find(table, path);
    const struct qk_node *old = qk_table_find(partial, path);
    const char *hash = entry == NULL ? NULL : qk_node_attr_get_str(entry, "config_hash");
    const char *old_hash = old == NULL ? NULL : qk_node_attr_get_str(old, "config_hash");
    const struct qk_attr *layers = old == NULL ? NULL : qk_node_attr(old, "layers");
    if (hash == NULL || old_hash == NULL || strcmp(hash, old_hash) != 0 || layers == NULL ||
        layers->type != QK_TYPE_I64) {
        return qk_fail(err, QK_EMISMATCH,
                       "cannot resume: '%s' was begun with other inputs or options (configuration %.12s, found %.12s)",
                       name, hash == NULL ? "none" : hash, old_hash == NULL ? "none" : old_hash);
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        struct qk_node *node = table->nodes[i];
        if (!node->is_group && qk_str_starts(node->path, inside)) {
            QK_TRY(copy_values(node, qk_table_find(partial, node->path), err));
        }
    }
    for (size_t i = 0; i < layers->n; i++) {
        if (layers->v.i64[i] < 0 || (uint64_t)layers->v.i64[i] >= n_layers) {
            return qk_fail(err, QK_EFORMAT, "cannot resume: %s lists layer %lld of %zu", path,
                           (long long)layers->v.i64[i], n_layers);
        }
        done[layers->v.i64[i]] = true;
    }
    return qk_node_attr_i64s(table, entry, "layers", layers->v.i64, layers->n, err);
}

enum qk_code qk_drift_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *tuned,
                             size_t n_tuned, size_t n_layers, bool *done, struct qk_err *err)
{
    for (size_t t = 0; t < n_tuned; t++) {
        QK_TRY(resume_entry(table, partial, tuned[t].name, n_layers, done + t * n_layers, err));
    }
    return QK_OK;
}
