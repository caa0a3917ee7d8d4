/* Qwen2 and Qwen3 share their rule for sliding windows and their blocks. */
#ifndef QK_MODEL_QWEN_H
#define QK_MODEL_QWEN_H

#include "model/forward_builder.h"

/* A plain transformer whose layers from max_window_layers on slide when use_sliding_window is set. */
enum qk_code qk_build_qwen(struct qk_model_builder *b, const struct qk_plain *plain, struct qk_err *err) QK_CHECKED;
/* Plain blocks or mixtures of experts, with a shared expert where one is stored. */
enum qk_code qk_forward_qwen(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err) QK_CHECKED;

#endif
