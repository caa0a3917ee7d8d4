/* What Qwen3-Next and Qwen3.5 share: gated softmax attention every few layers, gated delta rule in between. */
#ifndef QK_MODEL_QWEN_HYBRID_H
#define QK_MODEL_QWEN_HYBRID_H

#include "model/forward_builder.h"

struct qk_gated_delta {
    size_t n_key_heads, n_value_heads, key_dim, value_dim; /* dims per head */
};

typedef enum qk_code (*qk_gated_delta_fn)(struct qk_model_builder *b, size_t layer, size_t hidden,
                                          const struct qk_gated_delta *gd, struct qk_err *err);

/* linear_num_key_heads and its like; value heads must be a multiple of key heads. */
enum qk_code qk_cfg_gated_delta(const struct qk_model_builder *b, struct qk_gated_delta *ret,
                                struct qk_err *err) QK_CHECKED;
enum qk_code qk_build_qwen_hybrid(struct qk_model_builder *b, qk_gated_delta_fn linear, struct qk_err *err) QK_CHECKED;

/* The forward passes that both share. The callback gives a linear layer its v, gate, beta and decay projections; sizes
 * are there already. */
typedef enum qk_code (*qk_forward_linear_fn)(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer,
                                             struct qk_linear_spec *linear, struct qk_err *err);
enum qk_code qk_forward_qwen_hybrid(struct qk_model_builder *b, struct qk_forward_spec *spec,
                                    qk_forward_linear_fn linear, struct qk_err *err) QK_CHECKED;

#endif
