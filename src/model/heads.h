/* Shared by the builders of heads inside src/model. */
#ifndef QK_MODEL_HEADS_H
#define QK_MODEL_HEADS_H

#include "model/builder.h"

/* First row of a head. */
uint64_t qk_head_first(const struct qk_head_rows *r, size_t head, size_t head_dim);
/* Counts a layer's heads against QK_MAX_TOTAL_HEADS. */
enum qk_code qk_count_heads(struct qk_model_builder *b, size_t layer, size_t n, struct qk_err *err) QK_CHECKED;

#endif
