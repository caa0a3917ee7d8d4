/* Softmax attention, one head per item, a block of rows at a time.
 *
 * A block runs over its keys in tiles that stay in the cache: product, cap, mask, exp against the largest score so far.
 * Which maximum a tile was taken against is kept, so that a second pass over the tiles brings every weight to the final
 * maximum and sum; that pass also adds the tile's share of the output. A weight is thus rounded three times more than
 * in a plain softmax at most, and scores are written to memory once. */
#include "forward/attention.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "attention_softmax.h"
#include "base/alloc.h"
#include "num/sblas.h"

enum { BLOCK_ROWS = 64, TILE_KEYS = 512, LD_STEP = 16 };

struct block_layout {
    size_t rows, ld, n_tiles; /* rows of a block, keys it may see rounded up, tiles of those */
    size_t floats;            /* weights; per row and tile the maximum that it was taken against */
    size_t bytes;             /* per worker: floats and the row sums */
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
    size_t head, first_row, n_rows, first_position, first_key, n_keys, ld, n_tiles;
    float *weights; /* (n_rows, ld) */
    float *against; /* (n_rows, n_tiles) */
    double *sums;   /* n_rows */
};

static size_t round_up(size_t n, size_t step)
{
    return n > SIZE_MAX - step ? SIZE_MAX : (n + step - 1) / step * step;
}

/* False when the sizes overflow. */
static bool lay_out(const struct qk_attention *attention, struct block_layout *ret)
{
    struct block_layout l = {.rows = attention->n_queries < BLOCK_ROWS ? attention->n_queries : BLOCK_ROWS};
    size_t keys = attention->n_keys;
    if (attention->window > 0 && attention->window < keys && keys - attention->window > l.rows) {
        keys = attention->window + l.rows;
    }
    l.ld = round_up(keys, LD_STEP);
    l.n_tiles = keys / TILE_KEYS + 1;
    size_t per_row, bytes;
    if (!qk_size_add(l.ld, l.n_tiles, &per_row) || !qk_size_mul(per_row, l.rows, &l.floats)) {
        return false;
    }
    l.floats = round_up(l.floats, LD_STEP);
    if (!qk_size_mul(l.floats, sizeof(float), &bytes) || !qk_size_add(bytes, BLOCK_ROWS * sizeof(double), &l.bytes)) {
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

/* Scores of one tile to exponentials: columns [col, col + n). Invisible columns become zero. */
static void exponentiate_tile(const struct block *b, size_t tile, size_t col, size_t n)
{
    for (size_t r = 0; r < b->n_rows; r++) {
        size_t from, to;
        visible_columns(b, r, &from, &to);
        from = from > col ? from : col;
        to = to < col + n ? to : col + n;
        float *row = b->weights + r * b->ld;
        float *against = b->against + r * b->n_tiles + tile;
        float most = tile == 0 ? -INFINITY : against[-1];
        if (from >= to) { /* the tile lies before the row's window or behind its own position */
            memset(row + col, 0, n * sizeof *row);
            *against = most;
            continue;
        }
        memset(row + col, 0, (from - col) * sizeof *row);
        memset(row + to, 0, (col + n - to) * sizeof *row);
        if (b->attention->softcap > 0) {
            qk_softcap(to - from, row + from, (float)b->attention->softcap);
        }
        most = qk_row_max(to - from, row + from, most);
        *against = most;
        double sum = 0;
        if (most == -INFINITY) { /* later tiles decide; if none does, the sum stays 0 and the row becomes NaN */
            memset(row + from, 0, (to - from) * sizeof *row);
        } else {
            sum = qk_row_exp(to - from, row + from, most);
        }
        float before = tile == 0 ? most : against[-1];
        b->sums[r] = b->sums[r] * (before == most ? 1.0 : exp((double)before - (double)most)) + sum;
    }
}

static void score_tiles(const struct block *b)
{
    const struct qk_attention *at = b->attention;
    size_t group = b->head / (at->n_heads / at->n_kv_heads);
    const float *q = head_of(at->q, b->first_row, at->n_heads, b->head, at->head_dim);
    for (size_t tile = 0, col = 0; col < b->n_keys; tile++, col += TILE_KEYS) {
        size_t n = b->n_keys - col < TILE_KEYS ? b->n_keys - col : TILE_KEYS;
        const float *k = head_of(at->k, b->first_key + col, at->n_kv_heads, group, at->head_dim);
        qk_sgemm(false, true, b->n_rows, n, at->head_dim, (float)at->scale, q, at->n_heads * at->head_dim, k,
                 at->n_kv_heads * at->head_dim, 0, b->weights + col, b->ld);
        exponentiate_tile(b, tile, col, n);
    }
}

/* The final maximum and sum of every row, a sink's share included: sums[r] becomes 1 / sum, and the last maximum of the
 * row the final one. */
static void close_rows(const struct block *b)
{
    size_t last = (b->n_keys - 1) / TILE_KEYS;
    for (size_t r = 0; r < b->n_rows; r++) {
        float *most = b->against + r * b->n_tiles + last;
        double shift = 1;
        if (b->attention->sinks != NULL) {
            float sink = b->attention->sinks[b->head];
            float final = sink > *most ? sink : *most;
            shift = exp((double)*most - (double) final);
            b->sums[r] = b->sums[r] * shift + exp((double)sink - (double) final);
        }
        b->sums[r] = shift / b->sums[r];
    }
}

static void weigh_tiles(const struct block *b)
{
    const struct qk_attention *at = b->attention;
    size_t group = b->head / (at->n_heads / at->n_kv_heads), last = (b->n_keys - 1) / TILE_KEYS;
    float *out = at->out + (b->first_row * at->n_heads + b->head) * at->v_head_dim;
    for (size_t tile = 0, col = 0; col < b->n_keys; tile++, col += TILE_KEYS) {
        size_t n = b->n_keys - col < TILE_KEYS ? b->n_keys - col : TILE_KEYS;
        for (size_t r = 0; r < b->n_rows; r++) {
            const float *against = b->against + r * b->n_tiles;
            double drop = against[tile] == against[last] ? 1.0 : exp((double)against[tile] - (double)against[last]);
            qk_row_scale(n, b->weights + r * b->ld + col, drop * b->sums[r]);
        }
        const float *v = head_of(at->v, b->first_key + col, at->n_kv_heads, group, at->v_head_dim);
        qk_sgemm(false, false, b->n_rows, at->v_head_dim, n, 1, b->weights + col, b->ld, v,
                 at->n_kv_heads * at->v_head_dim, tile == 0 ? 0 : 1, out, at->n_heads * at->v_head_dim);
    }
}

static enum qk_code run_block(const struct attention_job *job, struct block *b, size_t worker, struct qk_err *err)
{
    memset(b->sums, 0, b->n_rows * sizeof *b->sums);
    score_tiles(b);
    close_rows(b);
    weigh_tiles(b);
    if (job->observer == NULL) {
        return QK_OK;
    }
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
    return job->observer->rows(job->observer->ctx, &rows, worker, err);
}

static enum qk_code run_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    const struct attention_job *job = ctx;
    const struct qk_attention *at = job->attention;
    unsigned char *scratch = job->scratch + worker * job->layout.bytes;
    struct block b = {.attention = at, .head = head, .ld = job->layout.ld, .n_tiles = job->layout.n_tiles};
    b.weights = (float *)(void *)scratch;
    b.against = b.weights + job->layout.rows * job->layout.ld;
    b.sums = (double *)(void *)(scratch + job->layout.floats * sizeof(float));
    for (b.first_row = 0; b.first_row < at->n_queries; b.first_row += BLOCK_ROWS) {
        b.n_rows = at->n_queries - b.first_row < BLOCK_ROWS ? at->n_queries - b.first_row : BLOCK_ROWS;
        b.first_position = at->first_query + b.first_row;
        b.first_key = at->window > 0 && b.first_position + 1 > at->window ? b.first_position + 1 - at->window : 0;
        b.n_keys = b.first_position + b.n_rows - b.first_key;
        QK_TRY(run_block(job, &b, worker, err));
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
