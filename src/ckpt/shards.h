/* The safetensors files of a checkpoint, opened, parsed and checked against the index. */
#ifndef QK_CKPT_SHARDS_H
#define QK_CKPT_SHARDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "ckpt/ckpt.h"
#include "safetensors.h"
#include "shard_index.h"

struct qk_opened_shard {
    struct qk_shard shard;
    struct qk_safetensors contents;
    bool usable; /* contents are complete and broke no rule */
};

/* Opens a file, reads and parses its header. shard->shard.fd is −1 when the file could not be opened. Names live in the
 * arena; release in every case. */
enum qk_code qk_shard_open(struct qk_check *check, const char *path, const char *file_name, struct qk_arena *arena,
                           struct qk_opened_shard *ret, struct qk_err *err) QK_CHECKED;
/* Closes the file and frees the contents. */
void qk_shard_release(struct qk_opened_shard *shard);

/* All tensors of shards[n] as one table sorted by name, in the arena; reports a tensor that two shards hold. */
enum qk_code qk_shards_join(struct qk_check *check, const struct qk_opened_shard *shards, size_t n,
                            struct qk_arena *arena, struct qk_tensor **ret, size_t *ret_n,
                            struct qk_err *err) QK_CHECKED;
/* Checks the joined table against the index; what unusable shards may hold is not judged. */
enum qk_code qk_shards_check_index(struct qk_check *check, const char *index_path, const struct qk_shard_index *index,
                                   const struct qk_opened_shard *shards, const struct qk_tensor *tensors, size_t n,
                                   struct qk_err *err) QK_CHECKED;

#endif
