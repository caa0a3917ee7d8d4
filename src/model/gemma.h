/* What the forward passes of Gemma 2 and 3 share. */
#ifndef QK_MODEL_GEMMA_H
#define QK_MODEL_GEMMA_H

#include "model/forward_builder.h"

/* Norms around mixer and MLP, embedding times the root of the hidden size, soft caps where the config has them. */
enum qk_code qk_forward_gemma(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err) QK_CHECKED;

#endif
