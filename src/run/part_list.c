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

enum qk_code qk_part_list_open(struct qk_table *table, struct qk_node *entry, const char *attr, size_t n,
                               struct qk_part_list *ret, struct qk_err *err)
{
    const struct qk_attr *old = list_of(entry, attr);
    struct qk_part_list list = {.entry = entry, .attr = attr, .n = n, .done = qk_calloc(n, sizeof *list.done)};
    int64_t *room = qk_calloc(n, sizeof *room);
    size_t n_old = old == NULL ? 0 : old->n;
    enum qk_code code = list.done != NULL && room != NULL ? QK_OK : qk_fail_nomem(err, entry->path);
    for (size_t i = 0; code == QK_OK && i < n_old; i++) {
        if (old->v.i64[i] < 0 || (uint64_t)old->v.i64[i] >= n) {
            code = qk_fail(err, QK_EFORMAT, "%s: %s: %" PRId64 " is no number of it (expected below %zu)", entry->path,
                           attr, old->v.i64[i], n);
        } else {
            room[i] = old->v.i64[i];
            list.done[old->v.i64[i]] = true;
        }
    }
    code = code == QK_OK ? qk_node_attr_i64s(table, entry, attr, room, n, err) : code;
    qk_free(room);
    if (code != QK_OK) {
        qk_free(list.done);
        return code;
    }
    list_of(entry, attr)->n = n_old;
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

enum qk_code qk_part_list_resume(struct qk_table *table, const struct qk_table *partial, const char *path,
                                 const char *attr, const char *axis, struct qk_err *err)
{
    const struct qk_attr *list = qk_node_attr(qk_table_find(partial, path), attr);
    for (size_t i = 0; i < table->n_nodes; i++) {
        struct qk_node *node = table->nodes[i];
        const struct qk_node *old = is_over(node, path, axis) ? qk_table_find(partial, node->path) : NULL;
        for (size_t k = 0; old != NULL && k < list->n; k++) {
            QK_TRY(copy_row(table, node, old, (size_t)list->v.i64[k], err));
        }
    }
    return qk_node_attr_i64s(table, qk_table_find(table, path), attr, list->v.i64, list->n, err);
}
