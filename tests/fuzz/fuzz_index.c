/* Fuzz target: the index of a sharded checkpoint. */
#include "both_ways.h"

#include <string.h>

#include "shard_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct qk_fuzz_first first = {.n = 0};
    struct qk_check quiet = {0}, loud = {.report = qk_fuzz_collect, .ctx = &first};
    struct qk_shard_index index = {0}, all = {0};
    struct qk_err err = {0};
    enum qk_code code = qk_shard_index_parse(&quiet, "f", text, size, &index, &err);
    qk_fuzz_require(qk_shard_index_parse(&loud, "f", text, size, &all, &err) == QK_OK, "validation goes on");
    qk_fuzz_agree(code, &err, &first);
    size_t listed = 0;
    for (size_t s = 0; s < all.n_shards; s++) {
        const char *name = all.shards[s];
        listed += all.n_listed[s];
        qk_fuzz_require(strpbrk(name, "/\\") == NULL && strcmp(name, "..") != 0 && name[0] != 0,
                        "shard names are plain");
        qk_fuzz_require(s == 0 || strcmp(all.shards[s - 1], name) < 0, "shards are sorted and differ");
    }
    qk_fuzz_require(listed == all.n_tensors, "every tensor is listed for one shard");
    for (size_t i = 0; i < all.n_tensors; i++) {
        qk_fuzz_require(all.tensors[i].index < all.n_shards, "every tensor has a shard");
        qk_fuzz_require(i == 0 || strcmp(all.tensors[i - 1].name, all.tensors[i].name) < 0,
                        "tensors are sorted and differ");
    }
    qk_shard_index_release(&index);
    qk_shard_index_release(&all);
    return 0;
}
