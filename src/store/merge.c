/* Joining of runs: parts that computed different layers of one entry, and parts with different entries.
 *
 * The parts are taken measurement by measurement; the first is the frame. Of every later part, each node either is new
 * (an entry that no earlier part has, or another measurement with its axes) or must agree with what is there:
 * attributes and values equal, except that along the entry group's part axis the rows come from the part that computed
 * them. The base's rows may come from several parts, each beside other checkpoints. */
#include "store/store.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "entry_group.h"
#include "merge_attribute.h"
#include "merge_entry.h"
#include "run_group.h"

static const size_t value_sizes[] = {[QK_TYPE_F64] = sizeof(double),
                                     [QK_TYPE_I64] = sizeof(int64_t),
                                     [QK_TYPE_U8] = sizeof(uint8_t),
                                     [QK_TYPE_STR] = sizeof(char *)};

/* The entry ("/drift/sft") in table that path belongs to, or NULL. */
static const struct qk_node *entry_of(const struct qk_table *table, const char *path)
{
    const struct qk_entry_group *group = qk_entry_group_of(path);
    size_t len = group == NULL ? 0 : qk_entry_length(group, path);
    for (size_t i = 0; group != NULL && i < table->n_nodes; i++) {
        const char *candidate = table->nodes[i]->path;
        if (strncmp(candidate, path, len) == 0 && candidate[len] == '\0') {
            return table->nodes[i];
        }
    }
    return NULL;
}

static bool earlier_part_has_entry(const struct qk_merge_state *m, const char *path)
{
    for (size_t i = 0; i < m->p; i++) {
        if (entry_of(m->parts[i], path) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_plain_array(const struct qk_node *node)
{
    return !node->is_group && !node->is_scale && qk_merge_part_axis(node) == node->n_dims;
}

/* ---- rows ---- */

static enum qk_code copy_values(struct qk_table *table, struct qk_node *into, const struct qk_node *from, size_t at,
                                size_t n, struct qk_err *err)
{
    size_t size = value_sizes[from->type];
    if (from->type != QK_TYPE_STR) {
        if (n > 0) {
            memcpy((char *)into->v.p + at * size, (const char *)from->v.p + at * size, n * size);
        }
        return QK_OK;
    }
    for (size_t i = at; i < at + n; i++) {
        into->v.str[i] = qk_arena_strdup(table->arena, from->v.str[i]);
        if (into->v.str[i] == NULL) {
            return qk_fail_nomem(err, "merge");
        }
    }
    return QK_OK;
}

/* Index of the first of n values from at on that differs, at + n when none does. */
static size_t first_difference(const struct qk_node *a, const struct qk_node *b, size_t at, size_t n)
{
    size_t size = value_sizes[a->type], i = at;
    while (i < at + n && (a->type == QK_TYPE_STR
                              ? strcmp(a->v.str[i], b->v.str[i]) == 0
                              : memcmp((const char *)a->v.p + i * size, (const char *)b->v.p + i * size, size) == 0)) {
        i++;
    }
    return i;
}

static enum qk_code refuse_difference(const struct qk_merge_state *m, const struct qk_node *node, const char *other,
                                      size_t at, struct qk_err *err)
{
    return qk_fail(err, QK_EMISMATCH, "%s: %s: values differ from %s (the first at index %zu of %zu)", m->names[m->p],
                   node->path, other, at, node->n_values);
}

/* Takes the rows that the part computed; those that an earlier part computed too must be the same. */
static enum qk_code take_rows(const struct qk_merge_state *m, struct qk_node *into, const struct qk_node *node,
                              size_t axis, struct qk_err *err)
{
    const struct qk_node *entry = entry_of(m->parts[m->p], node->path);
    const struct qk_attr *list = qk_merge_part_list(qk_entry_group_of(node->path), entry);
    const struct qk_node *scale = qk_table_find(m->parts[m->p], node->dims[axis]);
    if (list == NULL || scale->type != QK_TYPE_I64) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: its entry does not say which rows it computed", m->names[m->p],
                       node->path);
    }
    size_t n_outer = 1, n_inner = 1;
    for (size_t i = 0; i < node->n_dims; i++) {
        n_outer *= i < axis ? node->shape[i] : 1;
        n_inner *= i > axis ? node->shape[i] : 1;
    }
    for (size_t row = 0; row < node->shape[axis]; row++) {
        bool is_here = qk_merge_list_has(list, scale->v.i64[row]);
        size_t before = is_here ? qk_merge_repeats(m, entry, scale->v.i64[row]) : m->p;
        for (size_t o = 0; is_here && o < n_outer; o++) {
            size_t at = (o * node->shape[axis] + row) * n_inner;
            size_t i = before < m->p ? first_difference(into, node, at, n_inner) : at + n_inner;
            if (i < at + n_inner) {
                return refuse_difference(m, node, m->names[before], i, err);
            }
            QK_TRY(before < m->p ? QK_OK : copy_values(m->out, into, node, at, n_inner, err));
        }
    }
    return QK_OK;
}

/* ---- nodes ---- */

static enum qk_code clone_node(const struct qk_merge_state *m, const struct qk_node *node, struct qk_err *err)
{
    struct qk_node *copy;
    if (node->is_group) {
        QK_TRY(qk_table_group(m->out, node->path, &copy, err));
    } else if (node->is_scale) {
        QK_TRY(qk_table_scale(m->out, node->path, node->type, node->n_values, &copy, err));
    } else {
        QK_TRY(qk_table_array(m->out, node->path, node->type, node->n_dims, node->dims, &copy, err));
    }
    if (!node->is_group) {
        QK_TRY(copy_values(m->out, copy, node, 0, node->n_values, err));
    }
    for (size_t i = 0; i < node->n_attrs; i++) {
        QK_TRY(qk_attribute_copy(m->out, copy, &node->attrs[i], err));
    }
    return QK_OK;
}

static bool same_shape(const struct qk_node *a, const struct qk_node *b)
{
    if (a->is_group != b->is_group || a->is_scale != b->is_scale || a->type != b->type || a->n_dims != b->n_dims) {
        return false;
    }
    for (size_t i = 0; i < a->n_dims; i++) {
        if (a->shape[i] != b->shape[i] || strcmp(a->dims[i], b->dims[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* A node that is in out already. */
static enum qk_code join_node(const struct qk_merge_state *m, struct qk_node *into, const struct qk_node *node,
                              struct qk_err *err)
{
    const char *name = m->names[m->p], *first = qk_merge_first_with(m, node->path), *own = NULL;
    if (!same_shape(into, node)) {
        return qk_fail(err, QK_EMISMATCH, "%s: %s: type, axes or shape differ from %s", name, node->path, first);
    }
    const struct qk_entry_group *group = qk_entry_group_of(node->path);
    bool is_entry = group != NULL && node->path[qk_entry_length(group, node->path)] == '\0';
    if (is_entry && group->part_attr != NULL) {
        QK_TRY(qk_merge_join_part_list(m, group, into, node, err));
        own = group->part_attr;
    }
    QK_TRY(qk_merge_attributes(m->out, into, first, node, name, own, err));
    if (node->is_group) {
        return QK_OK;
    }
    size_t axis = qk_merge_part_axis(node);
    if (axis < node->n_dims) {
        return take_rows(m, into, node, axis, err);
    }
    size_t i = first_difference(into, node, 0, node->n_values);
    return i < node->n_values ? refuse_difference(m, node, first, i, err) : QK_OK;
}

static bool is_entry_group(const char *path)
{
    char below[64];
    size_t len = strlen(path);
    if (len + 2 >= sizeof(below)) {
        return false;
    }
    memcpy(below, path, len);
    memcpy(below + len, "/x", 3);
    return qk_entry_group_of(path) == NULL && qk_entry_group_of(below) != NULL;
}

/* Whether a node may be missing in those n of the parts: they hold other measurements, and it is of one that they do
 * not hold, or what a measurement adds to /model. */
static bool may_lack(const struct qk_merge_state *m, const struct qk_node *node, const struct qk_table *const *parts,
                     size_t n)
{
    bool lacks_group = qk_run_group_is_measured(node->path);
    for (size_t i = 0; i < n; i++) {
        lacks_group = lacks_group && !qk_run_has_group_of(parts[i], node->path);
    }
    return m->is_other && (lacks_group || qk_str_starts(node->path, "/model/"));
}

static enum qk_code add_part(struct qk_merge_state *m, struct qk_err *err)
{
    const struct qk_table *part = m->parts[m->p];
    m->is_other = !qk_run_same_measurements(m->out, part);
    for (size_t i = 0; i < m->out->n_nodes; i++) {
        const struct qk_node *node = m->out->nodes[i];
        bool free_to_miss =
            is_entry_group(node->path) || may_lack(m, node, &part, 1) ||
            (qk_entry_group_of(node->path) != NULL && (entry_of(part, node->path) == NULL || is_plain_array(node)));
        if (!free_to_miss && qk_table_find(part, node->path) == NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: is missing (%s has it)", m->names[m->p], node->path,
                           qk_merge_first_with(m, node->path));
        }
    }
    for (size_t i = 0; i < part->n_nodes; i++) {
        const struct qk_node *node = part->nodes[i];
        struct qk_node *into = qk_table_find(m->out, node->path);
        if (into != NULL) {
            QK_TRY(join_node(m, into, node, err));
            continue;
        }
        bool may_be_new =
            is_entry_group(node->path) || may_lack(m, node, m->parts, m->p) ||
            (qk_entry_group_of(node->path) != NULL && (!earlier_part_has_entry(m, node->path) || is_plain_array(node)));
        if (!may_be_new) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: is not in %s", m->names[m->p], node->path, m->names[0]);
        }
        QK_TRY(qk_merge_check_new_entry(m, node, err));
        QK_TRY(qk_merge_check_new_checkpoint(m, node, err));
        QK_TRY(clone_node(m, node, err));
    }
    return QK_OK;
}

static enum qk_code merge_parts(struct qk_merge_state *m, struct qk_err *err)
{
    for (size_t i = 0; i < m->parts[0]->n_nodes; i++) {
        QK_TRY(clone_node(m, m->parts[0]->nodes[i], err));
    }
    for (m->p = 1; m->p < m->n_parts; m->p++) {
        QK_TRY(add_part(m, err));
    }
    for (size_t i = 0; i < m->out->n_nodes; i++) {
        QK_TRY(qk_merge_check_whole(m, m->out->nodes[i], err));
    }
    return qk_merge_check_one_base(m, err);
}

/* By their first measurement; parts of the same one stay in the order given. */
static void sort_parts(const struct qk_table *const *parts, const char *const *names, size_t n,
                       const struct qk_table **ret_parts, const char **ret_names)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = i, rank = qk_run_first_measurement(parts[i]);
        for (; k > 0 && rank < qk_run_first_measurement(ret_parts[k - 1]); k--) {
            ret_parts[k] = ret_parts[k - 1];
            ret_names[k] = ret_names[k - 1];
        }
        ret_parts[k] = parts[i];
        ret_names[k] = names[i];
    }
}

enum qk_code qk_merge(const struct qk_table *const *parts, const char *const *names, size_t n, struct qk_table **ret,
                      struct qk_err *err)
{
    if (n == 0) {
        return qk_fail(err, QK_EUSAGE, "nothing to merge");
    }
    struct qk_merge_state m = {.n_parts = n};
    const struct qk_table **sorted_parts = qk_calloc(n, sizeof(const struct qk_table *));
    const char **sorted_names = qk_calloc(n, sizeof(*sorted_names));
    enum qk_code code =
        sorted_parts == NULL || sorted_names == NULL ? qk_fail_nomem(err, "merge") : qk_table_new(&m.out, err);
    if (code == QK_OK) {
        sort_parts(parts, names, n, sorted_parts, sorted_names);
        m.parts = sorted_parts;
        m.names = sorted_names;
        code = merge_parts(&m, err);
    }
    qk_free(sorted_parts);
    qk_free(sorted_names);
    if (code != QK_OK) {
        qk_table_free(m.out);
        return code;
    }
    *ret = m.out;
    return QK_OK;
}
