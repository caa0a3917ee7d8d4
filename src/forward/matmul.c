/* Products with stored weights: a tile of rows is read, widened to float and multiplied by one thread.
 *
 * Tiles depend on the weight's shape and the number of tokens alone, so that the result is the same for every number of
 * threads. With many tokens they are wide, since every tile costs the product a copy of x; with few, the weights are
 * what moves, and a tile that stays in the cache is better. */
#include "forward/matmul.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "matmul_tile.h"
#include "num/sblas.h"

enum { FEW_TOKENS = 16, ROW_STEP = 16, MOST_TILE_ROWS = 512, TILES_WANTED = 8 };
#define FEW_TILE_FLOATS  ((size_t)1 << 16)
#define MANY_TILE_FLOATS ((size_t)1 << 21)

struct matmul_job {
    const struct qk_ckpt *ckpt;
    const struct qk_projection_weight *w;
    size_t n_tokens, d, ldx, ldy, n_rows, tile_rows;
    const float *x;
    float *y;
    const float *bias; /* n_rows, or NULL */
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

/* Rows of y start as the bias, or zero; the product is added. */
static void start_outputs(const struct matmul_job *job, size_t row, size_t n)
{
    for (size_t t = 0; t < job->n_tokens; t++) {
        float *y = job->y + t * job->ldy + row;
        if (job->bias == NULL) {
            memset(y, 0, n * sizeof *y);
        } else {
            memcpy(y, job->bias + row, n * sizeof *y);
        }
    }
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
    float *tile = job->tiles + worker * job->tile_floats;
    row += from;
    start_outputs(job, row, n);
    double scale;
    QK_TRY(qk_ckpt_scale(job->ckpt, block->tensor, &scale, err));
    QK_TRY(qk_tile_read(job->ckpt, block, block->first + from, n, job->d, job->raw + worker * QK_TILE_RAW_BYTES, tile,
                        err));
    qk_sgemm(false, !block->transposed, job->n_tokens, n, job->d, (float)scale, job->x, job->ldx, tile,
             block->transposed ? n : job->d, 1, job->y + row, job->ldy);
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

static enum qk_code run(struct matmul_job *job, struct qk_pool *pool, float **ret_bias, struct qk_err *err)
{
    const struct qk_projection_weight *w = job->w;
    job->n_rows = qk_projection_rows(w);
    assert(job->ldx >= job->d && job->ldy >= job->n_rows && (w->n_bias == 0 || w->n_bias == w->n_blocks));
    job->tile_rows = choose_tile_rows(job->n_rows, job->d, job->n_tokens);
    for (size_t i = 0; i < w->n_blocks; i++) {
        QK_TRY(check_block(job->ckpt, &w->blocks[i], job->d, err));
        size_t count = (size_t)w->blocks[i].count;
        job->first_tile[i + 1] = job->first_tile[i] + count / job->tile_rows + (count % job->tile_rows != 0);
    }
    QK_TRY(allocate(job, qk_pool_size(pool), ret_bias, err));
    if (w->n_bias > 0) {
        QK_TRY(read_bias(job->ckpt, w, job->raw, *ret_bias, err));
        job->bias = *ret_bias;
    }
    return qk_pool_for(pool, job->first_tile[w->n_blocks], run_tile, job, err);
}

enum qk_code qk_matmul(const struct qk_ckpt *ckpt, const struct qk_projection_weight *w, size_t n_tokens, size_t d,
                       const float *x, size_t ldx, float *y, size_t ldy, struct qk_pool *pool, struct qk_err *err)
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
    enum qk_code code = run(job, pool, &bias, err);
    qk_free(bias);
    qk_free(job->raw);
    qk_free(job->tiles);
    qk_free(job);
    return code;
}
