/* model.safetensors.index.json: which shard holds which tensor.
 *
 * {"metadata": {"total_size": bytes}, "weight_map": {tensor: shard file name}}. A tensor that a shard holds and the
 * index does not list belongs to the checkpoint as long as no other shard holds it too: transformers loads it as well.
 */
#ifndef QK_CKPT_SHARD_INDEX_H
#define QK_CKPT_SHARD_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "check.h"
#include "order.h"

struct qk_shard_index {
    struct qk_named *tensors; /* sorted by name; index: into shards; owned */
    size_t n_tensors;
    const char **shards; /* sorted file names, plain basenames; owned */
    size_t *n_listed;    /* tensors listed for each shard; owned */
    size_t n_shards;
    bool has_total_size;
    double total_size;
    bool whole;               /* no violation left anything out */
    struct qk_json *document; /* owned; the names above live in it */
};

/* ret is set in every case but an error; entries that break a rule are left out of it after they were reported. */
enum qk_code qk_shard_index_parse(struct qk_check *check, const char *file, const char *text, size_t len,
                                  struct qk_shard_index *ret, struct qk_err *err) QK_CHECKED;
void qk_shard_index_release(struct qk_shard_index *index);

#endif
