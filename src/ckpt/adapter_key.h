/* Names of tensors in adapter_model.safetensors, and the base's tensors that they mean. */
#ifndef QK_CKPT_ADAPTER_KEY_H
#define QK_CKPT_ADAPTER_KEY_H

#include "base/arena.h"
#include "ckpt/ckpt.h"

enum qk_adapter_key_kind {
    QK_ADAPTER_SAVED, /* a tensor of the model in full */
    QK_ADAPTER_A,
    QK_ADAPTER_B,
    QK_ADAPTER_B_BIAS,
    QK_ADAPTER_EMBEDDING_A,
    QK_ADAPTER_EMBEDDING_B,
    QK_ADAPTER_MAGNITUDE,
    QK_ADAPTER_IGNORED, /* the base's own copy beside a saved module */
};

struct qk_adapter_key {
    enum qk_adapter_key_kind kind;
    const char *module;  /* without "base_model.model." */
    const char *tensor;  /* module with ".weight", ".bias" … */
    const char *adapter; /* the adapter's name in the key, "" = none */
};

/* Takes a name apart; strings in the arena. QK_EUNSUPPORTED (naming neither file nor tensor) for parts of other kinds
 * of adapters. */
enum qk_code qk_adapter_key_parse(const char *name, struct qk_arena *arena, struct qk_adapter_key *ret,
                                  struct qk_err *err) QK_CHECKED;

/* The tensor of base that a module's tensor is stored as: by that name, or with one of the prefixes exchanged by which
 * the names in a model and in its checkpoint differ. *ret NULL when there is none. */
enum qk_code qk_adapter_key_find(const struct qk_ckpt *base, const char *tensor, struct qk_arena *arena,
                                 const struct qk_tensor **ret, struct qk_err *err) QK_CHECKED;

#endif
