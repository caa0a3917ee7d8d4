/* Lists of what is finished: see part_list.h. */
#include "part_list.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "resume.h"

static struct qk_attr *list_of(const struct qk_node *entry, const char *name)
{
    for (size_t i = 0; i < entry->n_attrs; i++) {
        if (qk_streq(entry->attrs[i].name, name)) {
            return entry->attrs[i].type == QK_TYPE_I64 ? &entry->attrs[i] : NULL;
        }
    }
    return NULL;
}

enum qk_code qk_part_list_open(struct qk_table *table, struct qk_node *entry, const struct qk_part_sort *sort, size_t n,
                               struct qk_part_list *ret, struct qk_err *err)
{
    const struct qk_attr *old = list_of(entry, sort->list);
    struct qk_part_list list = {.entry = entry, .attr = sort->list, .n = n, .done = qk_calloc(n, sizeof *list.done)};
    int64_t *room = qk_calloc(n, sizeof *room);
    size_t n_old = old == NULL ? 0 : old->n;
    enum qk_code code = list.done != NULL && room != NULL ? QK_OK : qk_fail_nomem(err, entry->path);
    for (size_t i = 0; code == QK_OK && i < n_old; i++) {
        if (i >= n || old->v.i64[i] < 0 || (uint64_t)old->v.i64[i] >= n) {
            code = qk_fail(err, QK_EFORMAT, "%s: %s: %" PRId64 " is no number of it (expected below %zu)", entry->path,
                           sort->list, old->v.i64[i], n);
        } else {
            room[i] = old->v.i64[i];
            list.done[old->v.i64[i]] = true;
        }
    }
    code = code == QK_OK ? qk_node_attr_i64s(table, entry, sort->list, room, n, err) : code;
    qk_free(room);
    if (code != QK_OK) {
        qk_free(list.done);
        return code;
    }
    list_of(entry, sort->list)->n = n_old;
    *ret = list;
    return QK_OK;
}

void qk_part_list_add(struct qk_part_list *list, size_t number)
{
    struct qk_attr *attr = list_of(list->entry, list->attr);
    size_t at = attr->n;
    while (at > 0 && attr->v.i64[at - 1] > (int64_t)number) {
        at--;
    }
    memmove(attr->v.i64 + at + 1, attr->v.i64 + at, (attr->n - at) * sizeof *attr->v.i64);
    attr->v.i64[at] = (int64_t)number;
    attr->n++;
    list->done[number] = true;
}

void qk_part_list_release(struct qk_part_list *list)
{
    qk_free(list->done);
    list->done = NULL;
}

/* ---- resuming ---------------------------------------------------------------------------------------------------- */

static bool is_over(const struct qk_node *node, const char *path, const char *axis)
{
    size_t len = strlen(path);
    return !node->is_group && strncmp(node->path, path, len) == 0 && node->path[len] == '/' && node->n_dims > 0 &&
           qk_streq(node->dims[0], axis);
}

static enum qk_code copy_row(struct qk_table *table, struct qk_node *into, const struct qk_node *from, size_t row,
                             struct qk_err *err)
{
    size_t n = into->n_values / into->shape[0], size = qk_resume_value_size(into->type);
    if (size > 0) {
        memcpy((char *)into->v.p + row * n * size, (const char *)from->v.p + row * n * size, n * size);
        return QK_OK;
    }
    for (size_t i = row * n; i < (row + 1) * n; i++) {
        into->v.str[i] = qk_arena_strdup(table->arena, from->v.str[i]);
        if (into->v.str[i] == NULL) {
            return qk_fail_nomem(err, "resume");
        }
    }
    return QK_OK;
}

/* Numbers below n, ascending, and of this part. */
static enum qk_code check_list(const char *path, const struct qk_attr *list, const struct qk_part_sort *sort, size_t n,
                               const struct qk_part *shard, struct qk_err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        int64_t number = list->v.i64[i];
        if (number < 0 || (uint64_t)number >= n || (i > 0 && number <= list->v.i64[i - 1])) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: cannot resume: entry %zu is %" PRId64 " (of %zu)", path,
                           list->name, i, number, n);
        }
        if (!qk_part_has(shard, (size_t)number)) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: cannot resume a run of another --shard (it has %s %" PRId64 ")",
                           path, list->name, sort->one, number);
        }
    }
    return QK_OK;
}

static enum qk_code resume_entry(struct qk_table *table, const struct qk_table *partial, const char *name,
                                 const struct qk_part_sort *sort, size_t n, const struct qk_part *shard, size_t *done,
                                 struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/%s/%s", sort->group, name);
    if (path == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    QK_TRY(qk_resume_check(table, partial, path, sort->list, err));
    const struct qk_attr *list = qk_node_attr(qk_table_find(partial, path), sort->list);
    QK_TRY(check_list(path, list, sort, n, shard, err));
    for (size_t i = 0; i < table->n_nodes; i++) {
        struct qk_node *node = table->nodes[i];
        const struct qk_node *old = is_over(node, path, sort->axis) ? qk_table_find(partial, node->path) : NULL;
        for (size_t k = 0; old != NULL && k < list->n; k++) {
            QK_TRY(copy_row(table, node, old, (size_t)list->v.i64[k], err));
        }
    }
    *done += list->n;
    return qk_node_attr_i64s(table, qk_table_find(table, path), sort->list, list->v.i64, list->n, err);
}

enum qk_code qk_part_list_resume(struct qk_table *table, const struct qk_table *partial,
                                 const struct qk_run_input *inputs, size_t n_inputs, const struct qk_part_sort *sort,
                                 size_t n, const struct qk_part *shard, size_t *ret_done, struct qk_err *err)
{
    size_t done = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        QK_TRY(resume_entry(table, partial, inputs[i].name, sort, n, shard, &done, err));
    }
    *ret_done = done;
    return QK_OK;
}

/* ---- whole entries ----------------------------------------------------------------------------------------------- */

const char *qk_part_whole_entry(const struct qk_node *node, const struct qk_part_sort *sort)
{
    size_t len = strlen(sort->group);
    bool is_inside =
        node->path[0] == '/' && strncmp(node->path + 1, sort->group, len) == 0 && node->path[len + 1] == '/';
    const char *name = is_inside ? node->path + len + 2 : NULL;
    const struct qk_attr *list = qk_node_attr(node, sort->list), *n = qk_node_attr(node, sort->number);
    bool is_whole = list != NULL && n != NULL && list->type == QK_TYPE_I64 && n->type == QK_TYPE_I64 && n->n == 1 &&
                    (int64_t)list->n == n->v.i64[0];
    return node->is_group && is_inside && strchr(name, '/') == NULL && is_whole ? name : NULL;
}
