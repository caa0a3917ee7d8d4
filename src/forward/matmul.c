/* Products with stored weights, in two ways. Weights that are kept as panels: threads over blocks of tokens. Else a
 * tile of rows is read, widened to float and multiplied by one thread: a wide one with many tokens, since every tile
 * costs the product a copy of x; with few, the weights are what moves, and a tile that stays in the cache is better.
 *
 * Tiles depend on the weight's shape and the number of tokens alone, and a token's result by panels not on those beside
 * it, so that the result is the same for every number of threads. */
#include "forward/matmul.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "matmul_tile.h"
#include "num/float_panels.h"
#include "num/sblas.h"
#include "panel_cache.h"

enum { FEW_TOKENS = 16, ROW_STEP = 16, MOST_TILE_ROWS = 512, TILES_WANTED = 8, LEAST_TOKENS = 32, MOST_TOKENS = 256 };
#define FEW_TILE_FLOATS  ((size_t)1 << 16)
#define MANY_TILE_FLOATS ((size_t)1 << 21)

struct matmul_job {
    const struct qk_ckpt *ckpt;
    const struct qk_projection_weight *w;
    size_t n_tokens, d, ldx, ldy, n_rows, tile_rows;
    const float *x;
    float *y;
    const float *bias;  /* n_rows, or NULL */
    const float **kept; /* per block its panels, or NULL */
    size_t tile_floats;
    float *tiles;        /* per worker */
    unsigned char *raw;  /* per worker QK_TILE_RAW_BYTES */
    size_t first_tile[]; /* per block, and the number of all */
};

size_t qk_projection_rows(const struct qk_projection_weight *w)
{
    size_t rows = 0;
    for (size_t i = 0; i < w->n_blocks; i++) {
        rows += (size_t)w->blocks[i].count;
    }
    return rows;
}

static enum qk_code check_block(const struct qk_ckpt *ckpt, const struct qk_rows *block, size_t d, struct qk_err *err)
{
    const struct qk_tensor *t = block->tensor;
    const char *file = ckpt->shards[t->shard].path;
    uint64_t rows, cols;
    qk_rows_shape(block, &rows, &cols);
    if (cols != d) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: does not fit the product (expected %zu columns, found %llu)", file,
                       t->name, d, (unsigned long long)cols);
    }
    if (block->first > rows || block->count > rows - block->first) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: too few rows (expected %llu from row %llu on, found %llu in all)",
                       file, t->name, (unsigned long long)block->count, (unsigned long long)block->first,
                       (unsigned long long)rows);
    }
    if (!qk_dtype_info(t->dtype)->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %s: not a weight (expected a floating-point type, found %s)", file,
                       t->name, qk_dtype_info(t->dtype)->name);
    }
    return QK_OK;
}

static size_t choose_tile_rows(size_t n_rows, size_t d, size_t n_tokens)
{
    size_t most = (n_tokens <= FEW_TOKENS ? FEW_TILE_FLOATS : MANY_TILE_FLOATS) / (d == 0 ? 1 : d);
    size_t rows = n_rows / TILES_WANTED;
    rows = rows < MOST_TILE_ROWS ? rows : MOST_TILE_ROWS;
    rows = rows < most ? rows : most;
    rows = rows / ROW_STEP * ROW_STEP;
    return rows < ROW_STEP ? ROW_STEP : rows;
}

/* Bias elements of all blocks one after another. */
static enum qk_code read_bias(const struct qk_ckpt *ckpt, const struct qk_projection_weight *w, unsigned char *raw,
                              float *bias, struct qk_err *err)
{
    for (size_t i = 0, at = 0; i < w->n_bias; i++) {
        const struct qk_rows *rows = &w->bias[i];
        QK_TRY(check_block(ckpt, rows, 1, err));
        if (rows->count != w->blocks[i].count) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: bias of another size than its rows (expected %llu, found %llu)",
                           ckpt->shards[rows->tensor->shard].path, rows->tensor->name,
                           (unsigned long long)w->blocks[i].count, (unsigned long long)rows->count);
        }
        QK_TRY(qk_tile_read(ckpt, rows, rows->first, (size_t)rows->count, 1, raw, bias + at, err));
        at += (size_t)rows->count;
    }
    return QK_OK;
}

/* Rows of y start as the bias, to which the product is added. */
static void start_outputs(const struct matmul_job *job, size_t first, size_t n_tokens, size_t row, size_t n)
{
    for (size_t t = first; job->bias != NULL && t < first + n_tokens; t++) {
        memcpy(job->y + t * job->ldy + row, job->bias + row, n * sizeof *job->y);
    }
}

/* y (n_tokens from first on, n from row on) by panels of those n. */
static void multiply_panels(const struct matmul_job *job, size_t first, size_t n_tokens, size_t row, size_t n,
                            double scale, const float *panels)
{
    start_outputs(job, first, n_tokens, row, n);
    qk_float_panels_product(n_tokens, n, job->d, (float)scale, job->x + first * job->ldx, job->ldx, panels,
                            job->d * QK_PANEL_COLUMNS, job->bias != NULL, job->y + first * job->ldy + row, job->ldy);
}

static enum qk_code run_tile(void *ctx, size_t item, size_t worker, struct qk_err *err)
{
    const struct matmul_job *job = ctx;
    size_t b = 0, row = 0;
    while (item >= job->first_tile[b + 1]) {
        row += (size_t)job->w->blocks[b++].count;
    }
    const struct qk_rows *block = &job->w->blocks[b];
    size_t from = (item - job->first_tile[b]) * job->tile_rows;
    size_t n = (size_t)block->count - from < job->tile_rows ? (size_t)block->count - from : job->tile_rows;
    unsigned char *raw = job->raw + worker * QK_TILE_RAW_BYTES;
    float *tile = job->tiles + worker * job->tile_floats;
    row += from;
    double scale;
    QK_TRY(qk_ckpt_scale(job->ckpt, block->tensor, &scale, err));
    start_outputs(job, 0, job->n_tokens, row, n);
    QK_TRY(qk_tile_read(job->ckpt, block, block->first + from, n, job->d, raw, tile, err));
    qk_sgemm(false, !block->transposed, job->n_tokens, n, job->d, (float)scale, job->x, job->ldx, tile,
             block->transposed ? n : job->d, job->bias != NULL, job->y + row, job->ldy);
    return QK_OK;
}

/* Tokens that one thread takes through all kept panels. */
static size_t token_block(size_t n_tokens)
{
    size_t n = n_tokens / TILES_WANTED / LEAST_TOKENS * LEAST_TOKENS;
    return n < LEAST_TOKENS ? LEAST_TOKENS : n > MOST_TOKENS ? MOST_TOKENS : n;
}

static enum qk_code run_tokens(void *ctx, size_t item, size_t worker, struct qk_err *err)
{
    (void)worker;
    const struct matmul_job *job = ctx;
    size_t block = token_block(job->n_tokens), first = item * block, row = 0;
    size_t n_tokens = job->n_tokens - first < block ? job->n_tokens - first : block;
    for (size_t i = 0; i < job->w->n_blocks; i++) {
        double scale;
        size_t n = (size_t)job->w->blocks[i].count;
        QK_TRY(qk_ckpt_scale(job->ckpt, job->w->blocks[i].tensor, &scale, err));
        multiply_panels(job, first, n_tokens, row, n, scale, job->kept[i]);
        row += n;
    }
    return QK_OK;
}

/* Memory of a job: tiles and raw bytes per worker, and the bias. */
static enum qk_code allocate(struct matmul_job *job, size_t n_workers, float **ret_bias, struct qk_err *err)
{
    size_t tiles, raw;
    if (!qk_size_mul(job->tile_rows, job->d, &job->tile_floats) || !qk_size_mul(job->tile_floats, n_workers, &tiles) ||
        !qk_size_mul(QK_TILE_RAW_BYTES, n_workers, &raw)) {
        return qk_fail_nomem(err, "tiles of a projection");
    }
    job->tiles = qk_alloc_aligned(tiles, sizeof *job->tiles);
    job->raw = qk_alloc_aligned(raw, 1);
    *ret_bias = job->w->n_bias > 0 ? qk_alloc_aligned(job->n_rows, sizeof **ret_bias) : NULL;
    if (job->tiles == NULL || job->raw == NULL || (job->w->n_bias > 0 && *ret_bias == NULL)) {
        return qk_fail_nomem(err, "tiles of a projection");
    }
    return QK_OK;
}

/* Panels of all blocks out of the cache; false where one is not kept. */
static enum qk_code take_kept(struct matmul_job *job, struct qk_panel_cache *cache, struct qk_pool *pool, bool *ret,
                              struct qk_err *err)
{
    *ret = false;
    for (size_t i = 0; i < job->w->n_blocks; i++) {
        QK_TRY(qk_panel_cache_take(cache, job->ckpt, &job->w->blocks[i], job->d, pool, &job->kept[i], err));
        if (job->kept[i] == NULL) {
            return QK_OK;
        }
    }
    *ret = true;
    return QK_OK;
}

static enum qk_code run(struct matmul_job *job, struct qk_panel_cache *cache, struct qk_pool *pool, float **ret_bias,
                        struct qk_err *err)
{
    const struct qk_projection_weight *w = job->w;
    bool kept = false;
    job->n_rows = qk_projection_rows(w);
    assert(job->ldx >= job->d && job->ldy >= job->n_rows && (w->n_bias == 0 || w->n_bias == w->n_blocks));
    job->tile_rows = choose_tile_rows(job->n_rows, job->d, job->n_tokens);
    for (size_t i = 0; i < w->n_blocks; i++) {
        QK_TRY(check_block(job->ckpt, &w->blocks[i], job->d, err));
        size_t count = (size_t)w->blocks[i].count;
        job->first_tile[i + 1] = job->first_tile[i] + count / job->tile_rows + (count % job->tile_rows != 0);
    }
    if (cache != NULL) {
        QK_TRY(take_kept(job, cache, pool, &kept, err));
    }
    if (!kept || w->n_bias > 0) {
        QK_TRY(allocate(job, kept ? 1 : qk_pool_size(pool), ret_bias, err));
    }
    if (w->n_bias > 0) {
        QK_TRY(read_bias(job->ckpt, w, job->raw, *ret_bias, err));
        job->bias = *ret_bias;
    }
    if (kept) {
        size_t block = token_block(job->n_tokens);
        return qk_pool_for(pool, job->n_tokens / block + (job->n_tokens % block != 0), run_tokens, job, err);
    }
    return qk_pool_for(pool, job->first_tile[w->n_blocks], run_tile, job, err);
}

enum qk_code qk_matmul_kept(struct qk_panel_cache *cache, const struct qk_ckpt *ckpt,
                            const struct qk_projection_weight *w, size_t n_tokens, size_t d, const float *x, size_t ldx,
                            float *y, size_t ldy, struct qk_pool *pool, struct qk_err *err)
{
    struct matmul_job *job = NULL;
    size_t bytes;
    if (qk_size_add(w->n_blocks, 1, &bytes) && qk_size_mul(bytes, sizeof *job->first_tile, &bytes) &&
        qk_size_add(bytes, sizeof *job, &bytes)) {
        job = qk_calloc(1, bytes);
    }
    if (job == NULL) {
        return qk_fail_nomem(err, "a projection");
    }
    *job =
        (struct matmul_job){.ckpt = ckpt, .w = w, .n_tokens = n_tokens, .d = d, .ldx = ldx, .ldy = ldy, .x = x, .y = y};
    float *bias = NULL;
    job->kept = qk_calloc(w->n_blocks > 0 ? w->n_blocks : 1, sizeof *job->kept);
    enum qk_code code = job->kept ? run(job, cache, pool, &bias, err) : qk_fail_nomem(err, "a projection");
    qk_free(bias);
    qk_free(job->kept);
    qk_free(job->raw);
    qk_free(job->tiles);
    qk_free(job);
    return code;
}

enum qk_code qk_matmul(const struct qk_ckpt *ckpt, const struct qk_projection_weight *w, size_t n_tokens, size_t d,
                       const float *x, size_t ldx, float *y, size_t ldy, struct qk_pool *pool, struct qk_err *err)
{
    return qk_matmul_kept(NULL, ckpt, w, n_tokens, d, x, ldx, y, ldy, pool, err);
}
