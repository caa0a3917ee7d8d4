/* Blocks of rows that stay in a core's cache. */
#include "row_blocks.h"

/* Below this, waking a thread costs more than it saves. */
#define FEW_FLOATS   ((size_t)1 << 15)
#define BLOCK_FLOATS ((size_t)1 << 15)

struct rows_job {
    size_t n_rows, block;
    void (*run)(const void *ctx, size_t first, size_t n);
    const void *ctx;
};

static enum qk_code run_block(void *ctx, size_t item, size_t worker, struct qk_err *err)
{
    const struct rows_job *job = ctx;
    size_t first = item * job->block, left = job->n_rows - first;
    (void)worker;
    (void)err;
    job->run(job->ctx, first, left < job->block ? left : job->block);
    return QK_OK;
}

enum qk_code qk_row_blocks(struct qk_pool *pool, size_t n_rows, size_t width,
                           void (*run)(const void *ctx, size_t first, size_t n), const void *ctx, struct qk_err *err)
{
    struct rows_job job = {.n_rows = n_rows, .block = BLOCK_FLOATS / (width > 0 ? width : 1), .run = run, .ctx = ctx};
    job.block = job.block > 0 ? job.block : 1;
    if (n_rows <= FEW_FLOATS / (width > 0 ? width : 1)) {
        run(ctx, 0, n_rows);
        return QK_OK;
    }
    return qk_pool_for(pool, n_rows / job.block + (n_rows % job.block != 0), run_block, &job, err);
}
