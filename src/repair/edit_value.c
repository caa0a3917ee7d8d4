/* The bytes of edits that are made value by value: see repair/edit.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "edit_encode.h"

enum { CHUNK = 1024 }; /* values in work at a time, on the stack */

size_t qk_edit_n_extents(const struct qk_edit *edit)
{
    struct qk_rows rows = {edit->tensor, edit->first, edit->count, edit->transposed};
    uint64_t n_rows, n_cols;
    qk_rows_shape(&rows, &n_rows, &n_cols);
    return edit->transposed ? (size_t)n_cols : 1;
}

/* Element of tensor at which extent i begins, and how many there are. */
static uint64_t extent_start(const struct qk_tensor *tensor, uint64_t first, const struct qk_edit *edit, size_t i,
                             uint64_t *ret_n)
{
    struct qk_rows rows = {tensor, first, edit->count, edit->transposed};
    uint64_t n_rows, n_cols;
    qk_rows_shape(&rows, &n_rows, &n_cols);
    *ret_n = edit->transposed ? edit->count : edit->count * n_cols;
    return edit->transposed ? i * n_rows + first : first * n_cols;
}

void qk_edit_extent(const struct qk_edit *edit, size_t i, uint64_t *ret_at, uint64_t *ret_n)
{
    size_t element = qk_dtype_info(edit->tensor->dtype)->bits / 8;
    uint64_t n, start = extent_start(edit->tensor, edit->first, edit, i, &n);
    *ret_at = start * element;
    *ret_n = n * element;
}

enum qk_code qk_edit_encode(const struct qk_edits *edits, const struct qk_edit *edit, double *values, size_t n,
                            void *dst, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(edit->tensor->dtype);
    size_t element = type->bits / 8;
    for (size_t i = 0; i < n; i++) {
        values[i] = edit->scale == 1.0 ? values[i] : values[i] / edit->scale;
    }
    type->from_f64(values, n, dst);
    for (size_t i = 0; i < n; i++) {
        double stored;
        type->to_f64((const unsigned char *)dst + i * element, 1, &stored);
        if (isfinite(values[i]) && !isfinite(stored)) {
            return qk_fail(err, QK_EFORMAT,
                           "%s: %s: %s cannot hold a restored value (expected a finite number, found "
                           "%g%s)",
                           edits->tuned->ckpt->path, edit->tensor->name, type->name, values[i],
                           edit->scale == 1.0 ? "" : " after division by the scale");
        }
    }
    return QK_OK;
}

/* n values from element start on, scaled. raw: room for their bytes. */
static enum qk_code read_values(const struct qk_ckpt *ckpt, const struct qk_tensor *t, double scale, uint64_t start,
                                size_t n, unsigned char *raw, double *dst, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    size_t element = type->bits / 8;
    QK_TRY(qk_ckpt_read(ckpt, t, start * element, n * element, raw, err));
    type->to_f64(raw, n, dst);
    for (size_t i = 0; scale != 1.0 && i < n; i++) {
        dst[i] *= scale;
    }
    return QK_OK;
}

/* At most CHUNK values from element (of the extent) from on. */
static enum qk_code make_values(const struct qk_edits *edits, const struct qk_edit *edit, size_t extent, uint64_t from,
                                size_t n, void *dst, struct qk_err *err)
{
    unsigned char raw[CHUNK * 8];
    double base[CHUNK], tuned[CHUNK];
    uint64_t n_extent;
    uint64_t at_base = extent_start(edit->base, edit->base_first, edit, extent, &n_extent) + from;
    uint64_t at_tuned = extent_start(edit->tensor, edit->first, edit, extent, &n_extent) + from;
    QK_TRY(read_values(edits->base->ckpt, edit->base, edit->base_scale, at_base, n, raw, base, err));
    if (edit->how == QK_EDIT_BLEND) {
        QK_TRY(read_values(edits->tuned->ckpt, edit->tensor, edit->scale, at_tuned, n, raw, tuned, err));
        for (size_t i = 0; i < n; i++) {
            base[i] = (1.0 - edit->alpha) * tuned[i] + edit->alpha * base[i];
        }
    }
    return qk_edit_encode(edits, edit, base, n, dst, err);
}

enum qk_code qk_edit_read(const struct qk_edits *edits, const struct qk_edit *edit, size_t extent, uint64_t from,
                          size_t n, void *buf, struct qk_err *err)
{
    assert(edit->how != QK_EDIT_HEAD);
    size_t element = qk_dtype_info(edit->tensor->dtype)->bits / 8;
    if (edit->how == QK_EDIT_COPY) {
        uint64_t n_extent, start = extent_start(edit->base, edit->base_first, edit, extent, &n_extent);
        return qk_ckpt_read(edits->base->ckpt, edit->base, start * element + from, n, buf, err);
    }
    unsigned char bytes[CHUNK * 8];
    for (size_t done = 0; done < n;) {
        uint64_t first = (from + done) / element;
        size_t skip = (size_t)(from + done - first * element), left = n - done;
        size_t count = left + skip > CHUNK * element ? CHUNK : (left + skip + element - 1) / element;
        size_t some = count * element - skip < left ? count * element - skip : left;
        QK_TRY(make_values(edits, edit, extent, first, count, bytes, err));
        memcpy((unsigned char *)buf + done, bytes + skip, some);
        done += some;
    }
    return QK_OK;
}
