/* Computing rows of W0 + s·B·A: see adapter_values.h. */
#include "adapter_values.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "num/low_rank.h"

/* Elements computed at a time, and stored elements read at a time. */
enum { TILE = 1024, BLOCK = 1 << 16 };

/* ---- factors ---------------------------------------------------------------------------------------------------- */

/* All of a tensor of the adapter's file as floats, from qk_alloc_aligned. */
static enum qk_code read_floats(const struct qk_adapter *adapter, const struct qk_tensor *t, float **ret,
                                struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    size_t n = (size_t)t->n_elements;
    float *values = qk_alloc_aligned(n, sizeof *values);
    void *raw = qk_alloc_aligned((size_t)t->n_bytes, 1);
    enum qk_code code = values == NULL || raw == NULL ? qk_fail_nomem(err, adapter->file->path)
                                                      : qk_adapter_read(adapter, t, 0, (size_t)t->n_bytes, raw, err);
    if (code == QK_OK) {
        type->to_f32(raw, n, values);
    }
    qk_free(raw);
    if (code != QK_OK) {
        qk_free(values);
        return code;
    }
    *ret = values;
    return QK_OK;
}

/* x (rows, cols) to its transpose, in place of the pointer. */
static enum qk_code transpose(float **x, size_t rows, size_t cols, struct qk_err *err)
{
    float *turned = qk_alloc_aligned(rows * cols, sizeof *turned);
    if (turned == NULL) {
        return qk_fail_nomem(err, "factors of an adapter");
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            turned[j * rows + i] = (*x)[i * cols + j];
        }
    }
    qk_free(*x);
    *x = turned;
    return QK_OK;
}

static enum qk_code load_factors(struct qk_adapter_values *v, struct qk_err *err)
{
    const struct qk_adapter_part *p = v->part;
    v->rank = (size_t)p->rank;
    if (!p->transposed) {
        QK_TRY(read_floats(v->adapter, p->b, &v->left, err));
        return read_floats(v->adapter, p->a, &v->right, err);
    }
    QK_TRY(read_floats(v->adapter, p->a, &v->left, err));
    QK_TRY(transpose(&v->left, v->rank, (size_t)v->rows, err));
    QK_TRY(read_floats(v->adapter, p->b, &v->right, err));
    return transpose(&v->right, (size_t)v->cols, v->rank, err);
}

/* A bias is a column: the factor's bias times one. */
static enum qk_code load_bias(struct qk_adapter_values *v, struct qk_err *err)
{
    v->rank = 1;
    v->right = qk_alloc_aligned(1, sizeof *v->right);
    if (v->right == NULL) {
        return qk_fail_nomem(err, "bias of an adapter");
    }
    v->right[0] = 1.0F;
    return read_floats(v->adapter, v->part->bias, &v->left, err);
}

static enum qk_code load_magnitude(struct qk_adapter_values *v, struct qk_err *err)
{
    size_t n = (size_t)v->part->magnitude->n_elements;
    float *values;
    QK_TRY(read_floats(v->adapter, v->part->magnitude, &values, err));
    v->magnitude = qk_calloc(n, sizeof *v->magnitude);
    v->gain = qk_calloc(n, sizeof *v->gain);
    for (size_t i = 0; v->magnitude != NULL && i < n; i++) {
        v->magnitude[i] = values[i];
    }
    qk_free(values);
    return v->magnitude == NULL || v->gain == NULL ? qk_fail_nomem(err, "magnitudes of an adapter") : QK_OK;
}

static enum qk_dtype shown_dtype(const struct qk_adapter *adapter, const struct qk_adapter_part *part)
{
    bool wide = part->base->dtype == QK_DTYPE_F64 || (part->saved != NULL && part->saved->dtype == QK_DTYPE_F64);
    if (adapter->as_stored) {
        return part->base->dtype;
    }
    if (part->rank == 0 && part->bias == NULL) {
        return part->saved->dtype;
    }
    return wide ? QK_DTYPE_F64 : QK_DTYPE_F32;
}

enum qk_code qk_adapter_values_load(const struct qk_adapter *adapter, const struct qk_adapter_part *part,
                                    struct qk_adapter_values *ret, struct qk_err *err)
{
    const struct qk_tensor *base = part->base;
    *ret = (struct qk_adapter_values){.adapter = adapter,
                                      .part = part,
                                      .source = part->saved != NULL ? part->saved : base,
                                      .dtype = shown_dtype(adapter, part),
                                      .cols = base->n_dims < 2 ? 1 : base->shape[base->n_dims - 1],
                                      .source_scale = 1.0,
                                      .shown_scale = 1.0};
    ret->rows = ret->cols == 0 ? 0 : base->n_elements / ret->cols;
    if (qk_dtype_info(base->dtype)->bits == 8) {
        double scale;
        QK_TRY(qk_ckpt_scale(adapter->base, base, &scale, err));
        ret->source_scale = part->saved == NULL ? scale : 1.0;
        ret->shown_scale = adapter->as_stored ? scale : 1.0;
    }
    if (part->rank > 0) {
        QK_TRY(load_factors(ret, err));
    } else if (part->bias != NULL) {
        QK_TRY(load_bias(ret, err));
    }
    return part->magnitude != NULL ? load_magnitude(ret, err) : QK_OK;
}

void qk_adapter_values_release(struct qk_adapter_values *v)
{
    qk_free(v->left);
    qk_free(v->right);
    qk_free(v->magnitude);
    qk_free(v->gain);
    *v = (struct qk_adapter_values){0};
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static enum qk_code read_source(const struct qk_adapter_values *v, uint64_t first, size_t n, void *raw,
                                struct qk_err *err)
{
    const struct qk_tensor *t = v->source;
    size_t width = qk_dtype_info(t->dtype)->bits / 8;
    return v->part->saved != NULL ? qk_adapter_read(v->adapter, t, first * width, n * width, raw, err)
                                  : qk_ckpt_read(v->adapter->base, t, first * width, n * width, raw, err);
}

/* Columns [col, col + n) of a row, n ≤ TILE, from their stored bytes; DoRA's gain is not applied. */
static void compute(const struct qk_adapter_values *v, uint64_t row, uint64_t col, size_t n, const void *raw, double *w)
{
    qk_dtype_info(v->source->dtype)->to_f64(raw, n, w);
    for (size_t j = 0; v->source_scale != 1.0 && j < n; j++) {
        w[j] *= v->source_scale;
    }
    if (v->rank == 0) {
        return;
    }
    qk_low_rank_add(n, v->rank, v->part->scale, v->left + (size_t)row * v->rank, v->right + (size_t)col,
                    (size_t)v->cols, w);
}

typedef enum qk_code (*tile_fn)(void *ctx, uint64_t row, uint64_t col, size_t n, const double *w, struct qk_err *err);

/* Elements [first, first + n) in tiles within rows, in order. */
static enum qk_code for_tiles(const struct qk_adapter_values *v, uint64_t first, uint64_t n, tile_fn tile, void *ctx,
                              struct qk_err *err)
{
    size_t width = qk_dtype_info(v->source->dtype)->bits / 8, block = n < BLOCK ? (size_t)n : BLOCK;
    double w[TILE];
    unsigned char *raw = qk_alloc_aligned(block, width);
    enum qk_code code = raw == NULL ? qk_fail_nomem(err, "rows of an adapter") : QK_OK;
    for (uint64_t at = first, end = first + n; code == QK_OK && at < end; at += block) {
        block = end - at < block ? (size_t)(end - at) : block;
        code = read_source(v, at, block, raw, err);
        for (size_t done = 0, m; code == QK_OK && done < block; done += m) {
            uint64_t row = (at + done) / v->cols, col = (at + done) % v->cols;
            m = v->cols - col < TILE ? (size_t)(v->cols - col) : TILE;
            m = block - done < m ? block - done : m;
            compute(v, row, col, m, raw + done * width, w);
            code = tile(ctx, row, col, m, w, err);
        }
    }
    qk_free(raw);
    return code;
}

/* ---- DoRA ------------------------------------------------------------------------------------------------------- */

struct norms {
    double *sum; /* of squares: one per column, or one alone */
    bool per_column;
};

static enum qk_code add_squares(void *ctx, uint64_t row, uint64_t col, size_t n, const double *w, struct qk_err *err)
{
    struct norms *norms = ctx;
    (void)row;
    (void)err;
    for (size_t j = 0; j < n; j++) {
        norms->sum[norms->per_column ? (size_t)col + j : 0] += w[j] * w[j];
    }
    return QK_OK;
}

/* Two threads that both find a gain unknown compute the same number. */
static enum qk_code row_gain(const struct qk_adapter_values *v, uint64_t row, double *ret, struct qk_err *err)
{
    double gain = atomic_load_explicit(&v->gain[row], memory_order_relaxed);
    if (gain == 0.0) {
        double sum = 0.0;
        struct norms norms = {.sum = &sum};
        QK_TRY(for_tiles(v, row * v->cols, v->cols, add_squares, &norms, err));
        gain = v->magnitude[row] / sqrt(sum);
        atomic_store_explicit(&v->gain[row], gain, memory_order_relaxed);
    }
    *ret = gain;
    return QK_OK;
}

static enum qk_code column_gains(const struct qk_adapter_values *v, struct qk_err *err)
{
    if (atomic_load_explicit(&v->gain[0], memory_order_acquire) != 0.0) {
        return QK_OK;
    }
    struct norms norms = {.sum = qk_calloc((size_t)v->cols, sizeof *norms.sum), .per_column = true};
    enum qk_code code = norms.sum == NULL ? qk_fail_nomem(err, "norms of an adapter")
                                          : for_tiles(v, 0, v->rows * v->cols, add_squares, &norms, err);
    /* the first last: it tells that all are there */
    for (size_t i = (size_t)v->cols; code == QK_OK && i-- > 0;) {
        atomic_store_explicit(&v->gain[i], v->magnitude[i] / sqrt(norms.sum[i]), memory_order_release);
    }
    qk_free(norms.sum);
    return code;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

struct target {
    const struct qk_adapter_values *v;
    unsigned char *at;
};

/* A finite number that became infinite or NaN in the narrow types. */
static enum qk_code check_fit(const struct qk_adapter_values *v, size_t n, const double *w, const void *stored,
                              struct qk_err *err)
{
    double back[TILE];
    const struct qk_dtype_info *type = qk_dtype_info(v->dtype);
    type->to_f64(stored, n, back);
    for (size_t j = 0; j < n; j++) {
        if (isfinite(w[j]) && !isfinite(back[j])) {
            return qk_fail(err, QK_EFORMAT,
                           "%s: %s: a value does not fit the base's type (expected one that %s holds, "
                           "found %g)",
                           v->adapter->path, v->part->base->name, type->name, w[j]);
        }
    }
    return QK_OK;
}

static enum qk_code put(void *ctx, uint64_t row, uint64_t col, size_t n, const double *w, struct qk_err *err)
{
    struct target *target = ctx;
    const struct qk_adapter_values *v = target->v;
    const struct qk_dtype_info *type = qk_dtype_info(v->dtype);
    double turned[TILE], gain = 1.0;
    if (v->magnitude != NULL && !v->part->transposed) {
        QK_TRY(row_gain(v, row, &gain, err));
    }
    for (size_t j = 0; v->magnitude != NULL && j < n; j++) {
        turned[j] = w[j] * (v->part->transposed ? atomic_load_explicit(&v->gain[col + j], memory_order_relaxed) : gain);
    }
    w = v->magnitude != NULL ? turned : w;
    for (size_t j = 0; v->shown_scale != 1.0 && j < n; j++) {
        turned[j] = w[j] / v->shown_scale;
    }
    w = v->shown_scale != 1.0 ? turned : w;
    type->from_f64(w, n, target->at);
    if (v->adapter->as_stored) {
        QK_TRY(check_fit(v, n, w, target->at, err));
    }
    target->at += n * (type->bits / 8);
    return QK_OK;
}

static enum qk_code read_elements(const struct qk_adapter_values *v, uint64_t first, uint64_t n, void *buf,
                                  struct qk_err *err)
{
    struct target target = {v, buf};
    if (v->magnitude != NULL && v->part->transposed) {
        QK_TRY(column_gains(v, err));
    }
    return for_tiles(v, first, n, put, &target, err);
}

enum qk_code qk_adapter_values_read(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err)
{
    const struct qk_adapter_values *v = ctx;
    size_t width = qk_dtype_info(v->dtype)->bits / 8;
    if (v->rank == 0 && v->dtype == v->source->dtype && v->shown_scale == 1.0) {
        return qk_adapter_read(v->adapter, v->part->saved, at, n, buf, err);
    }
    if (n == 0) {
        return QK_OK;
    }
    if (at % width == 0 && n % width == 0) {
        return read_elements(v, at / width, n / width, buf, err);
    }
    uint64_t first = at / width, last = (at + n - 1) / width;
    unsigned char *whole = qk_alloc_aligned((size_t)(last - first + 1), width);
    enum qk_code code = whole == NULL ? qk_fail_nomem(err, "rows of an adapter")
                                      : read_elements(v, first, last - first + 1, whole, err);
    if (code == QK_OK) {
        memcpy(buf, whole + (at - first * width), n);
    }
    qk_free(whole);
    return code;
}
