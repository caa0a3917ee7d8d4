/* An adapter that holds an output layer of its own for a base that ties it to the embedding. */
#ifndef QK_CKPT_ADAPTER_TIED_H
#define QK_CKPT_ADAPTER_TIED_H

#include <stdbool.h>

#include "base/arena.h"
#include "ckpt/adapter.h"

/* "…lm_head.weight" and its like. */
bool qk_adapter_is_output_layer(const char *tensor);
/* Whether the saved output layer t holds the values of the embedding as the adapter leaves it, so that the tie says all
 * that it does (PEFT saves both when it saves embeddings). *ret false also when there is no embedding of its shape, or
 * one with factors. Reads both. */
enum qk_code qk_adapter_repeats_embedding(const struct qk_adapter *adapter, const struct qk_tensor *t,
                                          struct qk_arena *arena, bool *ret, struct qk_err *err) QK_CHECKED;

#endif
