/* Edits in file order, disjoint, with the way their values are made: see edit_list.h. */
#include "edit_list.h"

#include <stdlib.h>

#include "base/alloc.h"

/* Room for one more element of *items. */
static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return true;
    }
    size_t more = *cap == 0 ? 64 : 2 * *cap;
    void *grown = qk_realloc(*items, more, size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *cap = more;
    return true;
}

enum qk_code qk_edit_list_add(struct qk_edit_list *list, const struct qk_edit *edit, struct qk_err *err)
{
    void *items = list->edits.edits;
    if (!grow(&items, list->edits.n, &list->cap, sizeof *edit)) {
        return qk_fail_nomem(err, "edits");
    }
    list->edits.edits = items;
    list->edits.edits[list->edits.n++] = *edit;
    return QK_OK;
}

enum qk_code qk_edit_list_add_head(struct qk_edit_list *list, const struct qk_edit_head *head, size_t *ret,
                                   struct qk_err *err)
{
    void *items = list->edits.heads;
    if (!grow(&items, list->edits.n_heads, &list->cap_heads, sizeof *head)) {
        return qk_fail_nomem(err, "edits");
    }
    list->edits.heads = items;
    *ret = list->edits.n_heads++;
    list->edits.heads[*ret] = *head;
    return QK_OK;
}

static int by_place(const void *pa, const void *pb)
{
    const struct qk_edit *a = pa, *b = pb;
    if (a->tensor != b->tensor) {
        if (a->tensor->shard != b->tensor->shard) {
            return a->tensor->shard < b->tensor->shard ? -1 : 1;
        }
        if (a->tensor->offset != b->tensor->offset) {
            return a->tensor->offset < b->tensor->offset ? -1 : 1;
        }
        return a->tensor < b->tensor ? -1 : 1; /* empty tensors share an offset */
    }
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    if (a->count != b->count) {
        return a->count > b->count ? -1 : 1;
    }
    return (a->layer > b->layer) - (a->layer < b->layer);
}

static bool same_values(const struct qk_edit *a, const struct qk_edit *b)
{
    return a->base == b->base && a->base_first - a->first == b->base_first - b->first &&
           a->transposed == b->transposed && a->how == b->how && a->alpha == b->alpha && a->how != QK_EDIT_HEAD;
}

/* Takes next into last where that is the same statement; *ret_kept tells that it stands for itself. */
static enum qk_code join(const struct qk_edit_list *list, struct qk_edit *last, const struct qk_edit *next,
                         bool *ret_kept, struct qk_err *err)
{
    uint64_t end = last->first + last->count, next_end = next->first + next->count;
    *ret_kept = true;
    if (last->tensor != next->tensor || next->first > end) {
        return QK_OK;
    }
    bool same = same_values(last, next), overlaps = next->first < end;
    if (overlaps && !same) {
        return qk_fail(err, QK_EUSAGE,
                       "%s: %s: two units want different values in row %llu (layers %zu and %zu store it together)",
                       list->edits.tuned->ckpt->path, next->tensor->name, (unsigned long long)next->first, last->layer,
                       next->layer);
    }
    if (overlaps || (same && last->layer == next->layer && last->role == next->role)) {
        last->count = (next_end > end ? next_end : end) - last->first;
        *ret_kept = false;
    }
    return QK_OK;
}

enum qk_code qk_edit_list_order(struct qk_edit_list *list, struct qk_err *err)
{
    struct qk_edit *edits = list->edits.edits;
    size_t n = 0;
    if (list->edits.n > 0) {
        qsort(edits, list->edits.n, sizeof *edits, by_place);
    }
    for (size_t i = 0; i < list->edits.n; i++) {
        bool kept = true;
        if (n > 0) {
            QK_TRY(join(list, &edits[n - 1], &edits[i], &kept, err));
        }
        if (kept) {
            edits[n++] = edits[i];
        }
    }
    list->edits.n = n;
    return QK_OK;
}

static enum qk_code check_weights(const struct qk_model *model, const struct qk_tensor *t, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    if (type->is_float) {
        return QK_OK;
    }
    return qk_fail(err, QK_EUNSUPPORTED,
                   "%s: %s: dtype %s holds no weights that can be decoded (expected a float type, found %s)",
                   model->ckpt->path, t->name, type->name, type->name);
}

static enum qk_code resolve(struct qk_edit_list *list, struct qk_edit *e, struct qk_err *err)
{
    const struct qk_model *base = list->edits.base, *tuned = list->edits.tuned;
    uint64_t rows, cols, base_rows, base_cols;
    struct qk_rows of_tuned = {e->tensor, e->first, e->count, e->transposed};
    struct qk_rows of_base = {e->base, e->base_first, e->count, e->transposed};
    qk_rows_shape(&of_tuned, &rows, &cols);
    qk_rows_shape(&of_base, &base_rows, &base_cols);
    if (cols != base_cols || rows != base_rows) {
        return qk_fail(err, QK_EMISMATCH,
                       "%s: %s: shape differs from the base's %s (expected %llu x %llu, found %llu "
                       "x %llu)",
                       tuned->ckpt->path, e->tensor->name, e->base->name, (unsigned long long)base_rows,
                       (unsigned long long)base_cols, (unsigned long long)rows, (unsigned long long)cols);
    }
    QK_TRY(check_weights(tuned, e->tensor, err));
    QK_TRY(check_weights(base, e->base, err));
    QK_TRY(qk_ckpt_scale(tuned->ckpt, e->tensor, &e->scale, err));
    QK_TRY(qk_ckpt_scale(base->ckpt, e->base, &e->base_scale, err));
    bool same_store = e->tensor->dtype == e->base->dtype && e->scale == e->base_scale;
    if (e->how == QK_EDIT_COPY && !same_store) {
        e->how = QK_EDIT_CONVERT;
        qk_notices_add(&list->notices, e->layer,
                       "base and tuned store these weights in different types or scales: the base's values are rounded "
                       "to the tuned checkpoint's");
    }
    e->n_bytes = e->count * cols * (qk_dtype_info(e->tensor->dtype)->bits / 8); /* inside the tensor */
    return QK_OK;
}

enum qk_code qk_edit_list_resolve(struct qk_edit_list *list, struct qk_err *err)
{
    struct qk_edits *edits = &list->edits;
    for (size_t i = 0; i < edits->n; i++) {
        QK_TRY(resolve(list, &edits->edits[i], err));
        edits->n_bytes += edits->edits[i].n_bytes;
        edits->n_tensors += i == 0 || edits->edits[i].tensor != edits->edits[i - 1].tensor;
    }
    return list->notices.failed ? qk_fail_nomem(err, "edits") : QK_OK;
}
