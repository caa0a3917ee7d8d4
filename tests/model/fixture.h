/* Checkpoints made on the spot: a manifest of tensors becomes sparse safetensors files in a temporary directory. */
#ifndef QK_TESTS_MODEL_FIXTURE_H
#define QK_TESTS_MODEL_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "ckpt/ckpt.h"
#include "model/model.h"

struct fixture_tensor {
    char *name, *dtype;
    size_t n_dims;
    uint64_t shape[QK_MAX_DIMS];
    uint64_t n_bytes, offset; /* within its shard's data */
    size_t shard;
    const void *data; /* NULL = zeros (a hole) */
};

struct fixture {
    char dir[256];
    size_t n_tensors, cap, n_shards;
    struct fixture_tensor *tensors;
};

void fixture_init(struct fixture *f);
/* One tensor; dims "4,16" or "-" for rank 0; data is borrowed until fixture_write. */
void fixture_add(struct fixture *f, const char *name, const char *dtype, const char *dims, const void *data);
/* Lines "name dtype dims" with {a,b-c} alternatives in the name. */
void fixture_add_manifest(struct fixture *f, const char *path);
/* Writes shards (with an index when n_shards > 1) and config.json with the given text. */
void fixture_write(struct fixture *f, const char *config, size_t n_shards);
/* The checkpoint that QK_TEST_DATA/models/<model> describes, in F32 and one file: matrices of normal numbers that keep
 * the scale of what they are applied to, vectors around 0 (norm weights that are added to 1, decays and biases of order
 * 1). */
void fixture_write_described(struct fixture *f, const char *model, uint64_t seed);
/* Another config.json beside the same tensors. */
void fixture_write_config(const struct fixture *f, const char *config);
/* Removes the directory. */
void fixture_release(struct fixture *f);

/* Calls fn for every expansion of {a,b-c}. */
void fixture_expand(const char *pattern, void (*fn)(void *ctx, const char *name), void *ctx);

/* "<QK_TEST_DATA>/<rest>", in a static buffer. */
const char *fixture_data(const char *rest);
/* A whole file as text; release with free. NULL when there is none. */
char *fixture_slurp(const char *path);

/* Opens checkpoint and model; fails the test on an error. */
void fixture_open(const struct fixture *f, struct qk_ckpt **ckpt, struct qk_model **model);
void fixture_close(struct qk_ckpt *ckpt, struct qk_model *model);

#endif
