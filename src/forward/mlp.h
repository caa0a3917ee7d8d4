/* MLP and mixture of experts of a layer, on blocks of tokens. */
#ifndef QK_FORWARD_MLP_H
#define QK_FORWARD_MLP_H

#include "scratch.h"
#include "weights.h"

/* y (n, down.n_out) := mlp(x); y ≠ x. */
enum qk_code qk_mlp_run(struct qk_weights *weights, struct qk_scratch *scratch, const struct qk_mlp_spec *mlp, size_t n,
                        const float *x, float *y, struct qk_err *err) QK_CHECKED;
enum qk_code qk_moe_run(struct qk_weights *weights, struct qk_scratch *scratch, const struct qk_moe_spec *moe, size_t n,
                        const float *x, float *y, struct qk_err *err) QK_CHECKED;
/* Floats of scratch per token of a block. */
size_t qk_mlp_floats(const struct qk_mlp_spec *mlp);
size_t qk_moe_floats(const struct qk_moe_spec *moe);

#endif
