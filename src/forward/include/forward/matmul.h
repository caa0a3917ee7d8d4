/* Products with weights that stay on disk: y (T, N) = x (T, D) Wᵀ, W a list of row blocks of stored tensors. Weights
 * are read and converted to float32 tile by tile inside the product; threads over tiles. */
#ifndef QK_FORWARD_MATMUL_H
#define QK_FORWARD_MATMUL_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "model/model.h"

/* Row blocks one after another form the (N, D) matrix; transposed storage (Conv1D) and rank > 2 as in struct qk_rows.
 */
struct qk_projection_weight {
    size_t n_blocks;
    const struct qk_rows *blocks;
    size_t n_bias; /* 0 or as many as blocks: the bias elements of each block */
    const struct qk_rows *bias;
};

size_t qk_projection_rows(const struct qk_projection_weight *w);
/* y has leading dimension ldy (≥ N). */
enum qk_code qk_matmul(const struct qk_ckpt *ckpt, const struct qk_projection_weight *w, size_t n_tokens, size_t d,
                       const float *x, size_t ldx, float *y, size_t ldy, struct qk_pool *pool,
                       struct qk_err *err) QK_CHECKED;
/* The same with weights out of a cache (of a runner; NULL = none) where they fit. */
struct qk_panel_cache;
enum qk_code qk_matmul_kept(struct qk_panel_cache *cache, const struct qk_ckpt *ckpt,
                            const struct qk_projection_weight *w, size_t n_tokens, size_t d, const float *x, size_t ldx,
                            float *y, size_t ldy, struct qk_pool *pool, struct qk_err *err) QK_CHECKED;

#endif
