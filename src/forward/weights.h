/* The one way by which a forward pass reads weights: products with projections, rows of the embedding, and small
 * vectors, which are kept in memory once read. Overrides are asked for every block of rows. */
#ifndef QK_FORWARD_WEIGHTS_H
#define QK_FORWARD_WEIGHTS_H

#include "forward/runner.h"
#include "panel_cache.h"

struct qk_weights {
    const struct qk_ckpt *ckpt;
    struct qk_pool *pool;
    struct qk_weight_override override; /* find NULL = none */
    struct qk_kept_vector *kept;        /* hash table of cap slots */
    size_t n_kept, cap_kept;
    struct qk_panel_cache panels;
};

void qk_weights_release(struct qk_weights *weights);

/* y (n_tokens, p->n_out) with leading dimension n_out := multiplier · (W x + b); x has leading dimension p->n_in. */
enum qk_code qk_weights_project(struct qk_weights *weights, const struct qk_projection *p, size_t n_tokens,
                                const float *x, float *y, struct qk_err *err) QK_CHECKED;
/* One row of a projection's matrix as floats. */
enum qk_code qk_weights_row(struct qk_weights *weights, const struct qk_projection *p, size_t row, float *y,
                            struct qk_err *err) QK_CHECKED;
/* All elements of the rows, valid until the weights are released or forgotten. NULL for rows without tensor. */
enum qk_code qk_weights_vector(struct qk_weights *weights, const struct qk_rows *rows, bool plus_one, const float **ret,
                               struct qk_err *err) QK_CHECKED;
/* Several blocks of rows of equal width one after another. */
enum qk_code qk_weights_blocks(struct qk_weights *weights, const struct qk_rows *blocks, size_t n, const float **ret,
                               struct qk_err *err) QK_CHECKED;
/* The same for a whole tensor. */
enum qk_code qk_weights_tensor(struct qk_weights *weights, const struct qk_tensor *t, bool plus_one, const float **ret,
                               struct qk_err *err) QK_CHECKED;
/* y := norm(x) of rows; y may be x. */
enum qk_code qk_weights_norm(struct qk_weights *weights, const struct qk_norm_spec *norm, size_t rows, const float *x,
                             float *y, struct qk_err *err) QK_CHECKED;

#endif
