/* A checkpoint on disk as a validated, read-only table of tensors.
 *
 * Accepts a directory with config.json and model.safetensors or model.safetensors.index.json + shards, or a single
 * .safetensors file with a config.json beside it. Only headers are read on opening. Every rule of the safetensors
 * format and of the index is enforced (docs/checkpoint-rules.md lists them); the first violation is the error;
 * qk_ckpt_validate lists all, and ckpt/rules.h is the table of rules. A tensor that a shard holds and the index does
 * not list belongs to the checkpoint unless another shard holds it too.
 *
 * Thread-safe after opening: reads are pread. Inputs are never written. */
#ifndef QK_CKPT_CKPT_H
#define QK_CKPT_CKPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ckpt/json.h"
#include "num/dtype.h"

#define QK_MAX_DIMS 8

struct qk_tensor {
    const char *name;
    enum qk_dtype dtype;
    size_t n_dims;
    uint64_t shape[QK_MAX_DIMS];
    uint64_t n_elements; /* product of shape; 1 for rank 0 */
    uint64_t n_bytes;
    uint32_t shard;  /* index into qk_ckpt.shards */
    uint64_t offset; /* of the first byte in the shard's file (absolute) */
};

struct qk_shard {
    const char *path;      /* as opened */
    const char *file_name; /* basename */
    int fd;
    uint64_t file_bytes;
    uint64_t header_bytes;  /* 8 + length of the JSON header = offset of the data */
    char header_sha256[65]; /* over the 8 length bytes and the JSON header */
    size_t n_tensors;
    const struct qk_json *metadata; /* "__metadata__" or NULL */
};

struct qk_overlay;
struct qk_adapter;

struct qk_ckpt {
    const char *name; /* in results; the path's last part; for a file its stem, of model.safetensors its directory */
    const char *path; /* the argument */
    const char *dir;  /* directory of config.json */
    const char *config_path;
    const struct qk_json *config;
    char config_sha256[65];
    char header_sha256[65]; /* SHA-256 over the shards' header_sha256 hex digests in file name order; a single file: its
                               own */
    size_t n_tensors;
    const struct qk_tensor *tensors; /* sorted by name */
    size_t n_shards;
    const struct qk_shard *shards;    /* sorted by file name */
    uint64_t total_bytes;             /* sum of tensor bytes */
    const struct qk_overlay *overlay; /* NULL: tensors are what the files hold (ckpt/overlay.h) */
    const struct qk_adapter
        *adapter; /* NULL unless a PEFT adapter over its base (ckpt/adapter.h); shards are the base's */
};

/* *ret owned by the caller: qk_ckpt_close (takes NULL). Errors name file, tensor, rule, expected and found; Git-LFS
 * pointers and truncated downloads are recognised and hinted at. */
enum qk_code qk_ckpt_open(const char *path, struct qk_ckpt **ret, struct qk_err *err) QK_CHECKED;
void qk_ckpt_close(struct qk_ckpt *ckpt);

/* NULL when there is none of that name. O(log n). */
const struct qk_tensor *qk_ckpt_find(const struct qk_ckpt *ckpt, const char *name);
/* n bytes of t's data from byte at on. Thread-safe. */
enum qk_code qk_ckpt_read(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t at, size_t n, void *buf,
                          struct qk_err *err) QK_CHECKED;

/* SHA-256 over every tensor's name and its first, middle and last 64 bytes: tells two checkpoints of the same shapes
 * apart, as base and tuned are, where header_sha256 is the same. Three small reads a tensor. */
enum qk_code qk_ckpt_sample(const struct qk_ckpt *ckpt, char ret[65], struct qk_err *err) QK_CHECKED;

/* One violation of the format. rule is a stable kebab-case id ("header-too-large", "hole-in-data" …). */
struct qk_violation {
    const char *file;
    const char *tensor; /* or field; may be "" */
    const char *rule;
    const char *text; /* what is wrong (expected X, found Y) */
    const char *hint; /* may be "" */
};
typedef void (*qk_violation_fn)(void *ctx, const struct qk_violation *violation);
/* Checks everything that opening checks, and goes on after a violation where that makes sense. Gives the number of
 * violations; fails only when the path cannot be looked at at all. */
enum qk_code qk_ckpt_validate(const char *path, qk_violation_fn report, void *ctx, size_t *ret_n,
                              struct qk_err *err) QK_CHECKED;

/* Per-tensor scale of 8-bit tensors: the value of "<name>_scale" or "<name>_scale_inv" style companions
 * (weight → weight_scale, weight_scale_inv: multiply the decoded value by it). 1.0 where the model has none.
 * A companion with more than one element (block scales) is QK_EUNSUPPORTED. */
enum qk_code qk_ckpt_scale(const struct qk_ckpt *ckpt, const struct qk_tensor *t, double *ret,
                           struct qk_err *err) QK_CHECKED;

#endif
