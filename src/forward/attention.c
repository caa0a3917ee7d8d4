/* Softmax attention, one head per item, a block of rows at a time.
 *
 * A head's keys and values are packed once (num/float_panels.h); then a block of rows runs through product, softmax row
 * by row while the row is in the cache, and product. Weights stay unscaled, e^{score − largest}, until the output is
 * there: an output has fewer elements than its row has weights. A few queries, as in decoding, are not worth packing
 * all keys for and go to BLAS. */
#include "forward/attention.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "attention_softmax.h"
#include "base/alloc.h"
#include "base/interrupt.h"
#include "num/float_panels.h"
#include "num/sblas.h"

enum { BLOCK_ROWS = 64, LD_STEP = 16, FEW_QUERIES = 16 };

struct block_layout {
    size_t rows, ld;              /* rows of a block, keys it may see rounded up */
    bool packed;                  /* keys and values are */
    size_t weights, keys, values; /* floats */
    size_t bytes;                 /* per worker: all of these and what rows end with */
};

struct attention_job {
    const struct qk_attention *attention;
    const struct qk_attention_observer *observer;
    struct block_layout layout;
    unsigned char *scratch;
};

/* One block of one head. */
struct block {
    const struct qk_attention *attention;
    size_t head, first_row, n_rows, first_position, first_key, n_keys, ld;
    const float *keys, *values; /* packed, or NULL */
    float *weights;             /* (n_rows, ld) */
    double *scale, *entropy;    /* n_rows */
};

static size_t round_up(size_t n, size_t step)
{
    return n > SIZE_MAX - step ? SIZE_MAX : (n + step - 1) / step * step;
}

/* False when the sizes overflow. */
static bool lay_out(const struct qk_attention *attention, struct block_layout *ret)
{
    struct block_layout l = {.rows = attention->n_queries < BLOCK_ROWS ? attention->n_queries : BLOCK_ROWS};
    size_t keys = attention->n_keys, step = QK_PANEL_COLUMNS, floats, bytes;
    if (attention->window > 0 && attention->window < keys && keys - attention->window > l.rows + step) {
        keys = attention->window + l.rows + step;
    }
    l.ld = round_up(keys, LD_STEP);
    l.packed = attention->n_queries > FEW_QUERIES;
    l.keys = l.packed ? qk_float_panels_size(attention->head_dim, attention->n_keys) : 0;
    l.values = l.packed ? qk_float_panels_size(attention->n_keys, attention->v_head_dim) : 0;
    if (!qk_size_mul(l.ld, round_up(l.rows, LD_STEP), &l.weights) || !qk_size_add(l.weights, l.keys, &floats) ||
        !qk_size_add(floats, l.values, &floats) || !qk_size_mul(floats, sizeof(float), &bytes) ||
        !qk_size_add(bytes, 2 * BLOCK_ROWS * sizeof(double), &l.bytes)) {
        return false;
    }
    *ret = l;
    return true;
}

size_t qk_attention_scratch(const struct qk_attention *attention, size_t n_workers)
{
    struct block_layout layout;
    size_t bytes;
    return lay_out(attention, &layout) && qk_size_mul(layout.bytes, n_workers, &bytes) ? bytes : SIZE_MAX;
}

/* Keys that row sees, as a half-open range of columns of the block. */
static void visible_columns(const struct block *b, size_t row, size_t *ret_from, size_t *ret_to)
{
    size_t position = b->first_position + row, window = b->attention->window;
    size_t from = window > 0 && position + 1 > window ? position + 1 - window : 0;
    *ret_from = from - b->first_key;
    *ret_to = position + 1 - b->first_key;
}

static const float *head_of(const float *rows, size_t row, size_t n_heads, size_t head, size_t dim)
{
    return rows + (row * n_heads + head) * dim;
}

static void score(const struct block *b)
{
    const struct qk_attention *at = b->attention;
    size_t group = b->head / (at->n_heads / at->n_kv_heads), stride = at->head_dim * QK_PANEL_COLUMNS;
    const float *q = head_of(at->q, b->first_row, at->n_heads, b->head, at->head_dim);
    if (b->keys != NULL) {
        qk_float_panels_product(b->n_rows, b->n_keys, at->head_dim, (float)at->scale, q, at->n_heads * at->head_dim,
                                b->keys + b->first_key / QK_PANEL_COLUMNS * stride, stride, false, b->weights, b->ld);
    } else {
        const float *k = head_of(at->k, b->first_key, at->n_kv_heads, group, at->head_dim);
        qk_sgemm(false, true, b->n_rows, b->n_keys, at->head_dim, (float)at->scale, q, at->n_heads * at->head_dim, k,
                 at->n_kv_heads * at->head_dim, 0, b->weights, b->ld);
    }
}

/* Scores to unscaled weights, invisible ones to zero; a sink takes part in the sum. */
static void weigh(const struct block *b)
{
    const struct qk_attention *at = b->attention;
    for (size_t r = 0; r < b->n_rows; r++) {
        size_t from, to;
        visible_columns(b, r, &from, &to);
        float *row = b->weights + r * b->ld;
        struct qk_row_sums sums;
        memset(row, 0, from * sizeof *row);
        memset(row + to, 0, (b->n_keys - to) * sizeof *row);
        if (at->softcap > 0) {
            qk_softcap(to - from, row + from, (float)at->softcap);
        }
        float most = qk_row_max(to - from, row + from, at->sinks != NULL ? at->sinks[b->head] : -INFINITY);
        qk_row_exp(to - from, row + from, most, &sums);
        double all = sums.sum + (at->sinks != NULL ? exp((double)at->sinks[b->head] - (double)most) : 0);
        b->scale[r] = 1 / all;
        /* −Σ A ln A with ln A = (score − most) − ln all; −0 is 0 */
        b->entropy[r] = 0.0 + (log(all) * sums.sum - sums.weighted) / all;
    }
}

static void mix(const struct block *b)
{
    const struct qk_attention *at = b->attention;
    size_t group = b->head / (at->n_heads / at->n_kv_heads), ld = at->n_heads * at->v_head_dim;
    float *out = at->out + (b->first_row * at->n_heads + b->head) * at->v_head_dim;
    if (b->values != NULL) {
        qk_float_panels_product(b->n_rows, at->v_head_dim, b->n_keys, 1, b->weights, b->ld,
                                b->values + b->first_key * QK_PANEL_COLUMNS, at->n_keys * QK_PANEL_COLUMNS, false, out,
                                ld);
    } else {
        const float *v = head_of(at->v, b->first_key, at->n_kv_heads, group, at->v_head_dim);
        qk_sgemm(false, false, b->n_rows, at->v_head_dim, b->n_keys, 1, b->weights, b->ld, v,
                 at->n_kv_heads * at->v_head_dim, 0, out, ld);
    }
    for (size_t r = 0; r < b->n_rows; r++) {
        qk_row_scale(at->v_head_dim, out + r * ld, b->scale[r]);
    }
}

static enum qk_code show(const struct attention_job *job, const struct block *b, size_t worker, struct qk_err *err)
{
    struct qk_attention_rows rows = {
        .head = b->head,
        .first_row = b->first_row,
        .n_rows = b->n_rows,
        .first_key = b->first_key,
        .n_keys = b->n_keys,
        .ld = b->ld,
        .first_position = b->first_position,
        .a = b->weights,
    };
    if (job->observer->unscaled) {
        rows.scale = b->scale;
        rows.entropy = b->entropy;
    } else {
        for (size_t r = 0; r < b->n_rows; r++) {
            qk_row_scale(b->n_keys, b->weights + r * b->ld, b->scale[r]);
        }
    }
    return job->observer->rows(job->observer->ctx, &rows, worker, err);
}

/* Keys and values of the head's group into the worker's scratch. */
static void pack(const struct attention_job *job, struct block *b, float *keys)
{
    const struct qk_attention *at = job->attention;
    size_t group = b->head / (at->n_heads / at->n_kv_heads);
    float *values = keys + job->layout.keys;
    qk_float_panels_pack_transposed(at->head_dim, at->n_keys, head_of(at->k, 0, at->n_kv_heads, group, at->head_dim),
                                    at->n_kv_heads * at->head_dim, at->head_dim * QK_PANEL_COLUMNS, keys);
    qk_float_panels_pack(at->n_keys, at->v_head_dim, head_of(at->v, 0, at->n_kv_heads, group, at->v_head_dim),
                         at->n_kv_heads * at->v_head_dim, at->n_keys * QK_PANEL_COLUMNS, values);
    b->keys = keys;
    b->values = values;
}

static enum qk_code run_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    const struct attention_job *job = ctx;
    const struct qk_attention *at = job->attention;
    const struct block_layout *l = &job->layout;
    struct block b = {.attention = at, .head = head, .ld = l->ld};
    b.scale = (double *)(void *)(job->scratch + worker * l->bytes);
    b.entropy = b.scale + BLOCK_ROWS;
    b.weights = (float *)(void *)(b.entropy + BLOCK_ROWS);
    if (l->packed) {
        pack(job, &b, b.weights + l->weights);
    }
    for (b.first_row = 0; b.first_row < at->n_queries; b.first_row += l->rows) {
        b.n_rows = at->n_queries - b.first_row < l->rows ? at->n_queries - b.first_row : l->rows;
        b.first_position = at->first_query + b.first_row;
        b.first_key = at->window > 0 && b.first_position + 1 > at->window ? b.first_position + 1 - at->window : 0;
        b.first_key -= b.first_key % QK_PANEL_COLUMNS;
        b.n_keys = b.first_position + b.n_rows - b.first_key;
        QK_TRY(qk_interrupt_check(err));
        score(&b);
        weigh(&b);
        mix(&b);
        if (job->observer != NULL) {
            QK_TRY(show(job, &b, worker, err));
        }
    }
    return QK_OK;
}

enum qk_code qk_attention_run(const struct qk_attention *attention, const struct qk_attention_observer *observer,
                              struct qk_pool *pool, struct qk_err *err)
{
    assert(attention->n_kv_heads > 0 && attention->n_heads % attention->n_kv_heads == 0);
    assert(attention->n_keys >= attention->first_query + attention->n_queries);
    if (attention->n_queries == 0) {
        return QK_OK;
    }
    struct attention_job job = {.attention = attention, .observer = observer};
    if (lay_out(attention, &job.layout)) {
        job.scratch = qk_alloc_aligned(qk_pool_size(pool), job.layout.bytes);
    }
    if (job.scratch == NULL) {
        return qk_fail_nomem(err, "attention rows");
    }
    enum qk_code code = qk_pool_for(pool, attention->n_heads, run_head, &job, err);
    qk_free(job.scratch);
    return code;
}
