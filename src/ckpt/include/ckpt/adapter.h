/* A PEFT LoRA directory (adapter_config.json, adapter_model.safetensors) as a tuned checkpoint: its base, seen with
 * every targeted tensor as merging would leave it.
 *
 *   W = W0 + s · B A        s = lora_alpha / r, or lora_alpha / √r (rslora); r and alpha per module by pattern
 *   W = m · (W0 + s · B A) / ‖W0 + s · B A‖      DoRA, the norm over the inputs of each output feature
 *   b = b0 + s · b_B        lora_bias
 *
 * W0 is the base's tensor, or the one that the adapter holds in its place (modules_to_save, saved biases and
 * embeddings). Stored [in, out] tensors (GPT-2's Conv1D) and embeddings have the transposed product.
 *
 * The changed tensors are shown as F32 (F64 where the base is F64), whatever the base stores: an update is often
 * smaller than half a step of BF16, and rounding it away would make the adapter look weaker than it is where it is
 * added while running. Each element is computed in double precision, in the order of the rank, and rounded once, so
 * that its bits do not depend on which block it is read in. Rounding to the base's type is the business of who writes a
 * checkpoint.
 *
 * Factors are held in memory as F32; rows are computed when they are read, r multiplications an element. Thread-safe.
 * Source of the facts: PEFT's save_and_load, LoraConfig, LoraLayer and DoRA code (Hugging Face). */
#ifndef QK_CKPT_ADAPTER_H
#define QK_CKPT_ADAPTER_H

#include <stdbool.h>

#include "ckpt/ckpt.h"

/* What an adapter does to one tensor of its base. The tensors that are not `base` lie in the adapter's file. */
struct qk_adapter_part {
    const struct qk_tensor *base;
    const char *module;            /* the name in the adapter, without "base_model.model." */
    const struct qk_tensor *saved; /* stands in the base's place; NULL = the base's own */
    /* Factors (rank, columns) and (rows, rank) of the logical matrix: lora_A (r, in) and lora_B (out, r); of an
     * embedding lora_embedding_A (r, tokens) and lora_embedding_B (width, r). NULL = none. */
    const struct qk_tensor *a, *b;
    bool is_embedding;
    bool transposed;                   /* output features are the stored columns (Conv1D, embeddings) */
    const struct qk_tensor *bias;      /* lora_B's bias, for a bias tensor; NULL = none */
    const struct qk_tensor *magnitude; /* DoRA; NULL = none */
    uint64_t rank;                     /* 0 without factors */
    double scale;
};

struct qk_adapter {
    const char *path; /* the directory */
    const char *config_path;
    const struct qk_shard *file; /* adapter_model.safetensors */
    size_t n_tensors;            /* in it, sorted by name */
    const struct qk_tensor *tensors;
    const struct qk_ckpt *base;
    const char *named_base; /* base_model_name_or_path, or NULL */
    bool as_stored;
    size_t n_parts; /* in the order of the base's tensors */
    const struct qk_adapter_part *parts;
};

/* True for a directory with adapter_config.json and without weights of a whole model. */
bool qk_adapter_present(const char *path);

struct qk_adapter_options {
    const struct qk_ckpt *base; /* borrowed: close it later than the adapter; NULL: open one */
    const char *base_path;      /* of the one to open; NULL: the local directory of base_model_name_or_path */
    bool as_stored;             /* shown as merging would store it: in the base's types, rounded to nearest even */
};

/* Opens the adapter at path. *ret->adapter tells of the parts; name and path are the adapter's, dir and config the
 * base's, header_sha256 covers the base's headers and both files of the adapter. Closed by qk_ckpt_close. options NULL:
 * zeros. Errors name file and tensor: factors without partner, of wrong shape or rank, for modules that the base has
 * not (QK_EMISMATCH), other kinds of adapters (QK_EUNSUPPORTED), no base named or no local one (QK_EUSAGE). Reading a
 * value that the type does not hold is QK_EFORMAT with as_stored. */
enum qk_code qk_adapter_open(const char *path, const struct qk_adapter_options *options, struct qk_ckpt **ret,
                             struct qk_err *err) QK_CHECKED;

/* The bytes of a tensor in the adapter's own file. */
enum qk_code qk_adapter_read(const struct qk_adapter *adapter, const struct qk_tensor *t, uint64_t at, size_t n,
                             void *buf, struct qk_err *err) QK_CHECKED;

/* The adapter's own directory as a checkpoint to copy and write over (ckpt/writer.h): its file of weights is the only
 * shard. Borrows the adapter; not to be closed. */
void qk_adapter_files(const struct qk_adapter *adapter, struct qk_ckpt *ret);

#endif
