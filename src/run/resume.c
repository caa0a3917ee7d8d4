/* What an interrupted run left: whether it was begun alike, and its finished layers. */
#include "resume.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "run/drift.h"

size_t qk_resume_value_size(enum qk_type type)
{
    static const size_t sizes[] = {
        [QK_TYPE_F64] = sizeof(double), [QK_TYPE_I64] = sizeof(int64_t), [QK_TYPE_U8] = sizeof(uint8_t)};
    return type == QK_TYPE_STR ? 0 : sizes[type];
}

/* ---- begun alike? ----------------------------------------------------------------------------------------------- */

static bool same_value(const struct qk_attr *a, const struct qk_attr *b, size_t i)
{
    return a->type == QK_TYPE_STR ? strcmp(a->v.str[i], b->v.str[i]) == 0
                                  : memcmp(&a->v.i64[i], &b->v.i64[i], sizeof(a->v.i64[i])) == 0;
}

/* Index of the first value that differs; SIZE_MAX when the attributes are equal. */
static size_t first_difference(const struct qk_attr *a, const struct qk_attr *b)
{
    size_t n = a->n < b->n ? a->n : b->n, i = 0;
    while (i < n && same_value(a, b, i)) {
        i++;
    }
    return i < n || a->n != b->n ? i : SIZE_MAX;
}

static void add_value(struct qk_str *out, const struct qk_attr *attr, size_t i)
{
    if (i >= attr->n) {
        qk_str_add(out, "none");
    } else if (attr->type == QK_TYPE_STR) {
        qk_str_addf(out, "'%.80s'", attr->v.str[i]);
    } else if (attr->type == QK_TYPE_I64) {
        qk_str_addf(out, "%" PRId64, attr->v.i64[i]);
    } else {
        qk_str_add_double(out, attr->v.f64[i]);
    }
}

static enum qk_code fail_attribute(const char *path, const struct qk_attr *a, const struct qk_attr *b,
                                   struct qk_err *err)
{
    struct qk_str expected = {0}, found = {0};
    if (b == NULL || a->type != b->type) {
        return qk_fail(err, QK_EMISMATCH, "%s: %s: cannot resume: it is missing or of another type", path, a->name);
    }
    size_t i = first_difference(a, b);
    add_value(&expected, a, i);
    add_value(&found, b, i);
    enum qk_code code = qk_fail(err, QK_EMISMATCH, "%s: %s: cannot resume a run of other %s (expected %s, found %s)",
                                path, a->name, qk_str_starts(path, "/checkpoints/") ? "inputs" : "options",
                                expected.s == NULL ? "" : expected.s, found.s == NULL ? "" : found.s);
    qk_str_release(&expected);
    qk_str_release(&found);
    return code;
}

/* The attributes of a node but those named. */
static enum qk_code check_attributes(const struct qk_table *partial, const struct qk_node *node, const char *const *but,
                                     struct qk_err *err)
{
    const struct qk_node *old = qk_table_find(partial, node->path);
    if (old == NULL) {
        return qk_fail(err, QK_EMISMATCH, "%s: cannot resume: the partial run does not have it", node->path);
    }
    for (size_t i = 0; i < node->n_attrs; i++) {
        const struct qk_attr *a = &node->attrs[i], *b = qk_node_attr(old, a->name);
        bool skipped = false;
        for (size_t k = 0; but[k] != NULL; k++) {
            skipped = skipped || qk_streq(but[k], a->name);
        }
        if (!skipped && (b == NULL || a->type != b->type || first_difference(a, b) != SIZE_MAX)) {
            return fail_attribute(node->path, a, b, err);
        }
    }
    return QK_OK;
}

static bool same_shape(const struct qk_node *a, const struct qk_node *b)
{
    bool same = b != NULL && !b->is_group && a->type == b->type && a->n_dims == b->n_dims;
    for (size_t i = 0; same && i < a->n_dims; i++) {
        same = a->shape[i] == b->shape[i];
    }
    return same;
}

static bool is_inside(const char *path, const char *entry)
{
    size_t len = strlen(entry);
    return strncmp(path, entry, len) == 0 && path[len] == '/';
}

static enum qk_code check_datasets(const struct qk_table *table, const struct qk_table *partial, const char *entry,
                                   struct qk_err *err)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        const struct qk_node *node = table->nodes[i];
        if (!node->is_group && is_inside(node->path, entry) && !same_shape(node, qk_table_find(partial, node->path))) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: cannot resume a run of other options: it is missing or of another shape", node->path);
        }
    }
    for (size_t i = 0; i < partial->n_nodes; i++) {
        const char *path = partial->nodes[i]->path;
        if (is_inside(path, entry) && qk_table_find(table, path) == NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: cannot resume a run of other options: it was not asked for now",
                           path);
        }
    }
    return QK_OK;
}

enum qk_code qk_resume_check(const struct qk_table *table, const struct qk_table *partial, const char *entry,
                             const char *list, struct qk_err *err)
{
    static const char *const but_root[] = {"title", "history", "created", NULL}, *const but_path[] = {"path", NULL};
    const char *const but_entry[] = {"config_hash", list, NULL}, *const but_list[] = {list, NULL};
    const struct qk_node *node = qk_table_find(table, entry), *old = qk_table_find(partial, entry);
    if (node == NULL) {
        return qk_fail(err, QK_EINTERNAL, "%s: no such entry", entry);
    }
    QK_TRY(check_attributes(partial, table->nodes[0], but_root, err));
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (is_inside(table->nodes[i]->path, "/checkpoints")) {
            QK_TRY(check_attributes(partial, table->nodes[i], but_path, err));
        }
    }
    QK_TRY(check_attributes(partial, node, but_entry, err));
    QK_TRY(check_datasets(table, partial, entry, err));
    QK_TRY(check_attributes(partial, node, but_list, err));
    const struct qk_attr *done = qk_node_attr(old, list);
    return done != NULL && done->type == QK_TYPE_I64
               ? QK_OK
               : qk_fail(err, QK_EFORMAT, "%s: %s: cannot resume: no list of integers", entry, list);
}

/* ---- layers of a drift run -------------------------------------------------------------------------------------- */

static enum qk_code resume_layers(struct qk_table *table, const struct qk_table *partial, const char *name,
                                  size_t n_layers, bool *done, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/drift/%s", name);
    if (path == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    QK_TRY(qk_resume_check(table, partial, path, "layers", err));
    const struct qk_attr *layers = qk_node_attr(qk_table_find(partial, path), "layers");
    for (size_t i = 0; i < table->n_nodes; i++) {
        struct qk_node *node = table->nodes[i];
        if (!node->is_group && is_inside(node->path, path)) {
            memcpy(node->v.p, qk_table_find(partial, node->path)->v.p,
                   node->n_values * qk_resume_value_size(node->type));
        }
    }
    for (size_t i = 0; i < layers->n; i++) {
        if (layers->v.i64[i] < 0 || (uint64_t)layers->v.i64[i] >= n_layers) {
            return qk_fail(err, QK_EFORMAT, "cannot resume: %s lists layer %lld of %zu", path,
                           (long long)layers->v.i64[i], n_layers);
        }
        done[layers->v.i64[i]] = true;
    }
    return qk_node_attr_i64s(table, qk_table_find(table, path), "layers", layers->v.i64, layers->n, err);
}

enum qk_code qk_drift_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *tuned,
                             size_t n_tuned, size_t n_layers, bool *done, struct qk_err *err)
{
    for (size_t t = 0; t < n_tuned; t++) {
        QK_TRY(resume_layers(table, partial, tuned[t].name, n_layers, done + t * n_layers, err));
    }
    return QK_OK;
}
