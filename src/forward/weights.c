/* Reading weights: where overrides are asked, and what is kept. */
#include "weights.h"

#include <string.h>

#include "base/alloc.h"
#include "forward/kernels.h"
#include "forward/matmul.h"
#include "num/dtype.h"
#include "row_blocks.h"

struct qk_kept_vector {
    const struct qk_tensor *tensor; /* NULL = free slot */
    uint64_t first, count;
    bool plus_one;
    float *values;
};

/* Where rows are really read. */
static const struct qk_ckpt *resolve(const struct qk_weights *w, const struct qk_rows *rows, struct qk_rows *ret)
{
    const struct qk_ckpt *ckpt = w->ckpt;
    *ret = *rows;
    if (w->override.find && w->override.find(w->override.ctx, rows, &ckpt, ret)) {
        return ckpt;
    }
    *ret = *rows;
    return w->ckpt;
}

void qk_weights_release(struct qk_weights *w)
{
    for (size_t i = 0; i < w->cap_kept; i++) {
        qk_free(w->kept[i].values);
    }
    qk_free(w->kept);
    w->kept = NULL;
    w->n_kept = w->cap_kept = 0;
    qk_panel_cache_release(&w->panels);
}

/* A run of blocks that lie in one checkpoint. */
static enum qk_code project_run(struct qk_weights *w, const struct qk_ckpt *ckpt, const struct qk_rows *blocks,
                                const struct qk_rows *bias, size_t n, const struct qk_projection *p, size_t n_tokens,
                                const float *x, float *y, struct qk_err *err)
{
    struct qk_projection_weight weight = {.n_blocks = n, .blocks = blocks, .n_bias = bias ? n : 0, .bias = bias};
    return qk_matmul_kept(&w->panels, ckpt, &weight, n_tokens, p->n_in, x, p->n_in, y, p->n_out, w->pool, err);
}

/* With overrides: block by block into a list, cut where the checkpoint changes. */
static enum qk_code project_resolved(struct qk_weights *w, const struct qk_projection *p, size_t n_tokens,
                                     const float *x, float *y, struct qk_rows *list, struct qk_err *err)
{
    struct qk_rows *blocks = list, *bias = list + p->n_blocks;
    const struct qk_ckpt *at = NULL;
    size_t n = 0, column = 0, width = 0;
    for (size_t i = 0; i < p->n_blocks; i++) {
        struct qk_rows block, b = {0};
        const struct qk_ckpt *ckpt = resolve(w, &p->blocks[i], &block);
        const struct qk_ckpt *bias_ckpt = p->n_bias ? resolve(w, &p->bias[i], &b) : ckpt;
        if (bias_ckpt != ckpt) {
            return qk_fail(err, QK_EUNSUPPORTED, "tensor '%s': replaced without its bias", block.tensor->name);
        }
        if (ckpt != at && n > 0) {
            QK_TRY(project_run(w, at, blocks, p->n_bias ? bias : NULL, n, p, n_tokens, x, y + column, err));
            column += width;
            n = width = 0;
        }
        at = ckpt;
        blocks[n] = block;
        bias[n++] = b;
        width += (size_t)block.count;
    }
    return n > 0 ? project_run(w, at, blocks, p->n_bias ? bias : NULL, n, p, n_tokens, x, y + column, err) : QK_OK;
}

enum qk_code qk_weights_project(struct qk_weights *w, const struct qk_projection *p, size_t n_tokens, const float *x,
                                float *y, struct qk_err *err)
{
    if (!w->override.find) {
        QK_TRY(project_run(w, w->ckpt, p->blocks, p->n_bias ? p->bias : NULL, p->n_blocks, p, n_tokens, x, y, err));
    } else {
        struct qk_rows *list = qk_calloc(2 * p->n_blocks, sizeof *list);
        if (!list) {
            return qk_fail_nomem(err, "projection");
        }
        enum qk_code code = project_resolved(w, p, n_tokens, x, y, list, err);
        qk_free(list);
        QK_TRY(code);
    }
    if (p->multiplier != 0 && p->multiplier != 1) {
        float m = (float)p->multiplier;
        for (size_t i = 0; i < n_tokens * p->n_out; i++) {
            y[i] *= m;
        }
    }
    return QK_OK;
}

/* count elements of a tensor from element first on. */
static enum qk_code read_floats(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t first, size_t count,
                                float *dst, struct qk_err *err)
{
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    double scale = 1;
    if (!type->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %s: dtype %s cannot be decoded (expected a float type)", ckpt->path,
                       t->name, type->name);
    }
    if (type->bits == 8) {
        QK_TRY(qk_ckpt_scale(ckpt, t, &scale, err));
    }
    size_t bytes = type->bits / 8;
    void *raw = qk_alloc_aligned(count, bytes);
    if (!raw) {
        return qk_fail_nomem(err, "weights");
    }
    enum qk_code code = qk_ckpt_read(ckpt, t, first * bytes, count * bytes, raw, err);
    if (code == QK_OK) {
        type->to_f32(raw, count, dst);
    }
    qk_free(raw);
    for (size_t i = 0; code == QK_OK && scale != 1 && i < count; i++) {
        dst[i] = (float)((double)dst[i] * scale);
    }
    return code;
}

enum qk_code qk_weights_row(struct qk_weights *w, const struct qk_projection *p, size_t row, float *y,
                            struct qk_err *err)
{
    for (size_t i = 0; i < p->n_blocks; i++) {
        const struct qk_rows *block = &p->blocks[i];
        if (row >= block->count) {
            row -= (size_t)block->count;
            continue;
        }
        struct qk_rows rows, one = *block;
        one.first += row;
        one.count = 1;
        const struct qk_ckpt *ckpt = resolve(w, &one, &rows);
        return read_floats(ckpt, rows.tensor, rows.first * p->n_in, p->n_in, y, err);
    }
    return qk_fail(err, QK_EFORMAT, "%s: no row %zu in '%s'", w->ckpt->path, row, p->blocks[0].tensor->name);
}

static size_t slot_of(const struct qk_kept_vector *kept, size_t cap, const struct qk_rows *rows, bool plus_one)
{
    uint64_t h = ((uint64_t)(uintptr_t)rows->tensor >> 4) * 0x9E3779B97F4A7C15u;
    h ^= (rows->first * 31 + rows->count + plus_one) * 0xC2B2AE3D27D4EB4Fu;
    size_t i = (size_t)(h >> 20) & (cap - 1);
    while (kept[i].tensor && (kept[i].tensor != rows->tensor || kept[i].first != rows->first ||
                              kept[i].count != rows->count || kept[i].plus_one != plus_one)) {
        i = (i + 1) & (cap - 1);
    }
    return i;
}

static enum qk_code make_room(struct qk_weights *w, struct qk_err *err)
{
    if (2 * (w->n_kept + 1) <= w->cap_kept) {
        return QK_OK;
    }
    size_t cap = w->cap_kept ? 2 * w->cap_kept : 256;
    struct qk_kept_vector *kept = qk_calloc(cap, sizeof *kept);
    if (!kept) {
        return qk_fail_nomem(err, "weights");
    }
    for (size_t i = 0; i < w->cap_kept; i++) {
        const struct qk_kept_vector *old = &w->kept[i];
        if (old->tensor) {
            struct qk_rows rows = {old->tensor, old->first, old->count, false};
            kept[slot_of(kept, cap, &rows, old->plus_one)] = *old;
        }
    }
    qk_free(w->kept);
    w->kept = kept;
    w->cap_kept = cap;
    return QK_OK;
}

/* Elements of n blocks one after another, from qk_alloc_aligned. */
static enum qk_code read_blocks(const struct qk_weights *w, const struct qk_rows *blocks, size_t n, bool plus_one,
                                float **ret, struct qk_err *err)
{
    uint64_t rows = 0, cols = 0;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        qk_rows_shape(&blocks[i], &rows, &cols);
        total += (size_t)(blocks[i].count * cols);
    }
    float *values = qk_alloc_aligned(total, sizeof *values);
    enum qk_code code = values ? QK_OK : qk_fail_nomem(err, "weights");
    for (size_t i = 0; code == QK_OK && i < n; i++) {
        struct qk_rows from;
        const struct qk_ckpt *ckpt = resolve(w, &blocks[i], &from);
        qk_rows_shape(&from, &rows, &cols);
        code = read_floats(ckpt, from.tensor, from.first * cols, (size_t)(from.count * cols), values + at, err);
        at += (size_t)(from.count * cols);
    }
    if (code != QK_OK) {
        qk_free(values);
        return code;
    }
    for (size_t i = 0; plus_one && i < total; i++) {
        values[i] += 1;
    }
    *ret = values;
    return QK_OK;
}

/* Kept under the first block's place and the count of all rows: no two lists of blocks of a model start alike and go on
 * differently. */
static enum qk_code kept(struct qk_weights *w, const struct qk_rows *blocks, size_t n, bool plus_one, const float **ret,
                         struct qk_err *err)
{
    struct qk_rows all = blocks[0];
    QK_TRY(make_room(w, err));
    for (size_t i = 1; i < n; i++) {
        all.count += blocks[i].count;
    }
    size_t slot = slot_of(w->kept, w->cap_kept, &all, plus_one);
    if (!w->kept[slot].tensor) {
        float *values = NULL;
        QK_TRY(read_blocks(w, blocks, n, plus_one, &values, err));
        w->kept[slot] = (struct qk_kept_vector){all.tensor, all.first, all.count, plus_one, values};
        w->n_kept++;
    }
    *ret = w->kept[slot].values;
    return QK_OK;
}

enum qk_code qk_weights_vector(struct qk_weights *w, const struct qk_rows *rows, bool plus_one, const float **ret,
                               struct qk_err *err)
{
    if (!rows->tensor) {
        *ret = NULL;
        return QK_OK;
    }
    return kept(w, rows, 1, plus_one, ret, err);
}

enum qk_code qk_weights_blocks(struct qk_weights *w, const struct qk_rows *blocks, size_t n, const float **ret,
                               struct qk_err *err)
{
    return kept(w, blocks, n, false, ret, err);
}

enum qk_code qk_weights_tensor(struct qk_weights *w, const struct qk_tensor *t, bool plus_one, const float **ret,
                               struct qk_err *err)
{
    struct qk_rows rows = {.tensor = t};
    uint64_t cols = 0;
    if (t) {
        qk_rows_shape(&rows, &rows.count, &cols);
    }
    return qk_weights_vector(w, &rows, plus_one, ret, err);
}

struct norm_rows {
    const struct qk_norm_spec *norm;
    const float *weight, *bias, *x;
    float *y;
};

static void norm_rows(const void *ctx, size_t first, size_t rows)
{
    const struct norm_rows *job = ctx;
    const struct qk_norm_spec *norm = job->norm;
    const float *x = job->x + first * norm->n;
    float *y = job->y + first * norm->n;
    if (norm->kind == QK_NORM_RMS) {
        qk_rms_norm(rows, norm->n, norm->group ? norm->group : norm->n, x, job->weight,
                    norm->weight && norm->weight->n_elements != norm->n, norm->eps, y);
    } else {
        /* groups share one weight */
        size_t group = norm->group ? norm->group : norm->n;
        qk_layer_norm_rows(rows * (norm->n / group), group, x, job->weight, job->bias, norm->eps, y);
    }
}

enum qk_code qk_weights_norm(struct qk_weights *w, const struct qk_norm_spec *norm, size_t rows, const float *x,
                             float *y, struct qk_err *err)
{
    struct norm_rows job = {.norm = norm, .x = x, .y = y};
    if (norm->kind == QK_NORM_NONE) {
        if (x != y) {
            memcpy(y, x, rows * norm->n * sizeof *y);
        }
        return QK_OK;
    }
    QK_TRY(qk_weights_tensor(w, norm->weight, norm->plus_one, &job.weight, err));
    if (norm->kind != QK_NORM_RMS) {
        QK_TRY(qk_weights_tensor(w, norm->bias, false, &job.bias, err));
    }
    return qk_row_blocks(w->pool, rows, norm->n, norm_rows, &job, err);
}
