/* Entries of run files while parts are joined: who computed which rows, and what one run's entries have in common. */
#include "merge_entry.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

/* Name of the first part that has path. */
const char *qk_merge_first_with(const struct qk_merge_state *m, const char *path)
{
    size_t i = 0;
    while (i + 1 < m->n_parts && qk_table_find(m->parts[i], path) == NULL) {
        i++;
    }
    return m->names[i];
}

/* Index of the part axis among the array's dims; n_dims when it has none. */
size_t qk_merge_part_axis(const struct qk_node *node)
{
    const struct qk_entry_group *group = qk_entry_group_of(node->path);
    size_t i = 0;
    while (i < node->n_dims && (group == NULL || group->part_axis == NULL || strcmp(node->dims[i], group->part_axis))) {
        i++;
    }
    return i;
}

/* The part's own list of coordinates on an entry; NULL when it is no int64 list. */
const struct qk_attr *qk_merge_part_list(const struct qk_entry_group *group, const struct qk_node *entry)
{
    const struct qk_attr *attr = group->part_attr == NULL ? NULL : qk_node_attr(entry, group->part_attr);
    return attr != NULL && attr->type == QK_TYPE_I64 ? attr : NULL;
}

bool qk_merge_list_has(const struct qk_attr *list, int64_t value)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->v.i64[i] == value) {
            return true;
        }
    }
    return false;
}

/* The entry of part q that holds the entry's coordinate too; NULL when it does not. */
static const struct qk_node *repeated_in(const struct qk_merge_state *m, const struct qk_entry_group *group,
                                         const char *entry, int64_t value, size_t q)
{
    const struct qk_node *other = qk_table_find(m->parts[q], entry);
    const struct qk_attr *list = other == NULL ? NULL : qk_merge_part_list(group, other);
    return list != NULL && qk_merge_list_has(list, value) ? other : NULL;
}

size_t qk_merge_repeats(const struct qk_merge_state *m, const struct qk_node *entry, int64_t value)
{
    size_t q = 0;
    while (q < m->p && repeated_in(m, qk_entry_group_of(entry->path), entry->path, value, q) == NULL) {
        q++;
    }
    return q;
}

/* Whether a has an entry of the group that b lacks. */
static bool has_more(const struct qk_entry_group *group, const struct qk_table *a, const struct qk_table *b)
{
    for (size_t i = 0; i < a->n_nodes; i++) {
        const char *path = a->nodes[i]->path;
        if (qk_entry_group_of(path) == group && path[qk_entry_length(group, path)] == '\0' &&
            qk_table_find(b, path) == NULL) {
            return true;
        }
    }
    return false;
}

/* Whether the part at hand may hold rows that part q has: those of the base, when one of the two measured them beside a
 * checkpoint that the other lacks. */
static bool may_repeat(const struct qk_merge_state *m, const struct qk_entry_group *group, const struct qk_node *entry,
                       size_t q)
{
    const struct qk_table *part = m->parts[m->p];
    const char *path = qk_arena_printf(m->out->arena, "/checkpoints/%s", entry->path + strlen(group->group) + 1);
    const struct qk_node *checkpoint = path == NULL ? NULL : qk_table_find(part, path);
    const char *role = checkpoint == NULL ? NULL : qk_node_attr_get_str(checkpoint, "role");
    return role != NULL && qk_streq(role, "base") &&
           (has_more(group, part, m->parts[q]) || has_more(group, m->parts[q], part));
}

/* The entry's list of computed coordinates: refuses what an earlier part has, then joins in ascending order. */
enum qk_code qk_merge_join_part_list(const struct qk_merge_state *m, const struct qk_entry_group *group,
                                     struct qk_node *into, const struct qk_node *node, struct qk_err *err)
{
    const struct qk_attr *a = qk_merge_part_list(group, into), *b = qk_merge_part_list(group, node);
    if (a == NULL || b == NULL) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: no attribute '%s'", b == NULL ? m->names[m->p] : m->names[0],
                       node->path, group->part_attr);
    }
    for (size_t q = 0; q < m->p; q++) {
        for (size_t i = 0; i < b->n; i++) {
            if (repeated_in(m, group, node->path, b->v.i64[i], q) != NULL && !may_repeat(m, group, node, q)) {
                return qk_fail(err, QK_EMISMATCH, "%s: %s: %s: overlap with %s (both computed %" PRId64 ")",
                               m->names[m->p], node->path, group->part_attr, m->names[q], b->v.i64[i]);
            }
        }
    }
    int64_t *all = qk_arena_alloc(m->out->arena, a->n + b->n, sizeof(*all));
    if (all == NULL) {
        return qk_fail_nomem(err, "merge");
    }
    size_t n = 0;
    for (size_t i = 0; i < a->n + b->n; i++) {
        int64_t value = i < a->n ? a->v.i64[i] : b->v.i64[i - a->n];
        if (i >= a->n && qk_merge_list_has(a, value)) {
            continue;
        }
        size_t k = n++;
        for (; k > 0 && all[k - 1] > value; k--) {
            all[k] = all[k - 1];
        }
        all[k] = value;
    }
    return qk_node_attr_i64s(m->out, into, group->part_attr, all, n, err);
}

/* Every array over the part axis below entry a of table x must be below entry b of table y. */
static enum qk_code check_counterparts(const struct qk_merge_state *m, const struct qk_table *x, const char *a,
                                       const struct qk_table *y, const char *b, struct qk_err *err)
{
    size_t len = strlen(a);
    for (size_t i = 0; i < x->n_nodes; i++) {
        const struct qk_node *node = x->nodes[i];
        if (strncmp(node->path, a, len) != 0 || node->path[len] != '/' || qk_merge_part_axis(node) == node->n_dims) {
            continue;
        }
        char *path = qk_arena_printf(m->out->arena, "%s%s", b, node->path + len);
        if (path == NULL) {
            return qk_fail_nomem(err, "merge");
        }
        if (qk_table_find(y, path) == NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: is missing (%s has %s)", qk_merge_first_with(m, b), path,
                           qk_merge_first_with(m, a), node->path);
        }
    }
    return QK_OK;
}

/* Path of the first entry of the group in the result that one of the first n parts has. */
static const char *first_entry(const struct qk_merge_state *m, const struct qk_entry_group *group, size_t n)
{
    for (size_t i = 0; i < m->out->n_nodes; i++) {
        const char *path = m->out->nodes[i]->path;
        bool is_entry = qk_entry_group_of(path) == group && path[qk_entry_length(group, path)] == '\0';
        for (size_t q = 0; is_entry && q < n; q++) {
            if (qk_table_find(m->parts[q], path) != NULL) {
                return path;
            }
        }
    }
    return NULL;
}

static bool is_shared_entry(const struct qk_entry_group *group, const struct qk_node *node)
{
    return group != NULL && group->part_axis != NULL && node->path[qk_entry_length(group, node->path)] == '\0';
}

enum qk_code qk_merge_check_new_entry(const struct qk_merge_state *m, const struct qk_node *entry, struct qk_err *err)
{
    const struct qk_entry_group *group = qk_entry_group_of(entry->path);
    const char *other = is_shared_entry(group, entry) ? first_entry(m, group, m->p) : NULL;
    if (other == NULL) {
        return QK_OK;
    }
    QK_TRY(check_counterparts(m, m->out, other, m->parts[m->p], entry->path, err));
    return check_counterparts(m, m->parts[m->p], entry->path, m->out, other, err);
}

/* Options decide which cells are computed, so in one run the same ones are in all entries. */
static enum qk_code check_same_cells(const struct qk_merge_state *m, const char *entry, const char *other,
                                     struct qk_err *err)
{
    size_t len = strlen(entry);
    for (size_t i = 0; i < m->out->n_nodes; i++) {
        const struct qk_node *state = m->out->nodes[i];
        if (strncmp(state->path, entry, len) != 0 || state->path[len] != '/' || state->type != QK_TYPE_U8 ||
            !qk_str_ends(state->path, "_state")) {
            continue;
        }
        char *path = qk_arena_printf(m->out->arena, "%s%s", other, state->path + len);
        const struct qk_node *neighbour = path == NULL ? NULL : qk_table_find(m->out, path);
        if (path == NULL) {
            return qk_fail_nomem(err, "merge");
        }
        for (size_t k = 0; neighbour != NULL && neighbour->n_values == state->n_values && k < state->n_values; k++) {
            if ((state->v.u8[k] == QK_STATE_NOT_COMPUTED) != (neighbour->v.u8[k] == QK_STATE_NOT_COMPUTED)) {
                return qk_fail(err, QK_EMISMATCH,
                               "%s: %s: other cells computed than in %s of %s (the first at index %zu)",
                               qk_merge_first_with(m, entry), state->path, path, qk_merge_first_with(m, other), k);
            }
        }
    }
    return QK_OK;
}

enum qk_code qk_merge_check_whole(const struct qk_merge_state *m, const struct qk_node *entry, struct qk_err *err)
{
    const struct qk_entry_group *group = qk_entry_group_of(entry->path);
    if (!is_shared_entry(group, entry)) {
        return QK_OK;
    }
    const struct qk_attr *list = qk_merge_part_list(group, entry);
    const struct qk_node *scale = qk_table_find(m->out, group->part_axis);
    if (list == NULL || scale == NULL || scale->type != QK_TYPE_I64) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: no attribute '%s', or no axis %s", qk_merge_first_with(m, entry->path),
                       entry->path, group->part_attr, group->part_axis);
    }
    struct qk_str missing = {0};
    size_t n = 0;
    for (size_t i = 0; i < scale->n_values; i++) {
        if (!qk_merge_list_has(list, scale->v.i64[i]) && n++ < 16) {
            qk_str_addf(&missing, "%s%" PRId64, n == 1 ? "" : ", ", scale->v.i64[i]);
        }
    }
    if (n == 0) {
        return check_same_cells(m, entry->path, first_entry(m, group, m->n_parts), err);
    }
    enum qk_code code =
        qk_fail(err, QK_EMISMATCH, "%s: %s: no part computed %zu of %zu: %s%s", entry->path, group->part_attr, n,
                scale->n_values, missing.s == NULL ? "" : missing.s, n > 16 ? ", …" : "");
    qk_str_release(&missing);
    return code;
}

/* ---- checkpoints ---- */

static bool is_checkpoint(const struct qk_node *node)
{
    return qk_str_starts(node->path, "/checkpoints/");
}

static bool same_text(const struct qk_node *a, const struct qk_node *b, const char *name)
{
    const char *x = qk_node_attr_get_str(a, name), *y = qk_node_attr_get_str(b, name);
    return x != NULL && y != NULL && qk_streq(x, y);
}

static bool same_checkpoint(const struct qk_node *a, const struct qk_node *b)
{
    return same_text(a, b, "config_sha256") && same_text(a, b, "header_sha256") && same_text(a, b, "sample_sha256");
}

enum qk_code qk_merge_check_new_checkpoint(const struct qk_merge_state *m, const struct qk_node *node,
                                           struct qk_err *err)
{
    for (size_t i = 0; m->is_other && is_checkpoint(node) && i < m->out->n_nodes; i++) {
        const struct qk_node *other = m->out->nodes[i];
        if (!is_checkpoint(other) || !same_checkpoint(node, other) ||
            qk_table_find(m->parts[m->p], other->path) != NULL) {
            continue;
        }
        enum qk_code code =
            qk_fail(err, QK_EMISMATCH, "%s: %s: is the checkpoint that has another name in %s (expected %s)",
                    m->names[m->p], node->path, qk_merge_first_with(m, other->path), other->path);
        qk_err_hint(err, "NAME=PATH gives a checkpoint its name when it is measured");
        return code;
    }
    return QK_OK;
}

enum qk_code qk_merge_check_one_base(const struct qk_merge_state *m, struct qk_err *err)
{
    const struct qk_node *base = NULL;
    for (size_t i = 0; i < m->out->n_nodes; i++) {
        const struct qk_node *node = m->out->nodes[i];
        const char *role = is_checkpoint(node) ? qk_node_attr_get_str(node, "role") : NULL;
        if (role == NULL || !qk_streq(role, "base")) {
            continue;
        }
        if (base != NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: role: is a second base (%s has %s)",
                           qk_merge_first_with(m, node->path), node->path, qk_merge_first_with(m, base->path),
                           base->path);
        }
        base = node;
    }
    return QK_OK;
}
