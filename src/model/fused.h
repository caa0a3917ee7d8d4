/* Softmax attention whose q, k and v are rows of one tensor, in the two orders that families use. */
#ifndef QK_MODEL_FUSED_H
#define QK_MODEL_FUSED_H

#include "model/builder.h"

struct qk_fused {
    const char *module;
    bool by_group;   /* rows per KV group [its q heads | k | v]; else [all q | all k | all v] */
    bool transposed; /* stored [in, out] */
    const char *input_norm;
    const char *q_norm, *k_norm;
};

enum qk_code qk_build_fused(struct qk_model_builder *b, size_t layer, const struct qk_fused *f, const struct qk_dims *d,
                            const struct qk_position *position, size_t window, struct qk_err *err) QK_CHECKED;
/* All layers alike. Looks for the layers under prefix unless that was done. */
enum qk_code qk_build_all_fused(struct qk_model_builder *b, const char *prefix, const struct qk_fused *f,
                                const struct qk_dims *d, const struct qk_position *position, size_t window,
                                struct qk_err *err) QK_CHECKED;

#endif
