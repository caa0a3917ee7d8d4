/* qkscope.json as text: see repair/restore.h. */
#include "restore_record.h"

#include <string.h>

#include "base/hash.h"

static void add_checkpoint(struct qk_str *out, const char *key, const struct qk_ckpt *ckpt)
{
    qk_str_addf(out, " \"%s\": {\"name\": ", key);
    qk_str_add_json(out, ckpt->name);
    qk_str_addf(out, ", \"header_sha256\": \"%s\", \"config_sha256\": \"%s\"},\n", ckpt->header_sha256,
                ckpt->config_sha256);
}

static void add_tensor(struct qk_str *out, const struct qk_edits *edits, const struct qk_tensor_hash *hash)
{
    uint64_t n_bytes = 0;
    qk_str_add(out, "{\"name\": ");
    qk_str_add_json(out, hash->tensor->name);
    qk_str_add(out, ", \"file\": ");
    qk_str_add_json(out, edits->tuned->ckpt->shards[hash->tensor->shard].file_name);
    qk_str_addf(out, ", \"sha256\": \"%s\",\n   \"rows\": [", hash->sha256);
    for (size_t i = 0; i < hash->n_edits; i++) {
        const struct qk_edit *e = &edits->edits[hash->first_edit + i];
        qk_str_addf(out, "%s{\"layer\": %zu, \"role\": \"%s\", \"first\": %llu, \"count\": %llu, \"how\": \"%s\"}",
                    i == 0 ? "" : ",\n            ", e->layer, qk_role_name(e->role), (unsigned long long)e->first,
                    (unsigned long long)e->count, qk_edit_how_name(e->how));
        n_bytes += e->n_bytes;
    }
    qk_str_addf(out, "],\n   \"bytes\": %llu}", (unsigned long long)n_bytes);
}

/* Of the files as they are written: those of the tuned checkpoint, an adapter merged into its base's. */
static void add_output(struct qk_str *out, const struct qk_ckpt *ckpt)
{
    struct qk_sha256 sha;
    char hex[65];
    qk_sha256_init(&sha);
    for (size_t s = 0; s < ckpt->n_shards; s++) {
        qk_sha256_add(&sha, ckpt->shards[s].header_sha256, strlen(ckpt->shards[s].header_sha256));
    }
    qk_sha256_hex(&sha, hex);
    qk_str_addf(out, " \"output\": {\"header_sha256\": \"%s\"},\n",
                ckpt->n_shards == 1 ? ckpt->shards[0].header_sha256 : hex);
}

void qk_restore_record(const struct qk_plan *plan, const struct qk_edits *edits, const char *command,
                       const struct qk_tensor_hash *hashes, struct qk_str *out)
{
    qk_str_add(out,
               "{\"format\": \"qkscope-restore\", \"version\": 1, \"qkscope\": \"" QK_VERSION "\",\n \"command\": ");
    qk_str_add_json(out, command == NULL ? "" : command);
    qk_str_add(out, ",\n");
    add_checkpoint(out, "base", edits->base->ckpt);
    add_checkpoint(out, "tuned", edits->tuned->ckpt);
    add_output(out, edits->tuned->ckpt);
    qk_str_add(out, " \"tensors\": [");
    for (size_t i = 0; i < edits->n_tensors; i++) {
        qk_str_add(out, i == 0 ? "\n  " : ",\n  ");
        add_tensor(out, edits, &hashes[i]);
    }
    qk_str_add(out, edits->n_tensors == 0 ? "],\n \"plan\":\n" : "\n ],\n \"plan\":\n");
    qk_plan_write(plan, out);
    qk_str_add(out, "}\n");
}
