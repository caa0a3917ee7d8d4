/* Opening shards and judging them together: see shards.h. */
#include "shards.h"

#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "document.h"
#include "foreign.h"
#include "order.h"

static void hash_header(const char *head, const char *header, size_t len, char ret[65])
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, head, 8);
    qk_sha256_add(&sha, header, len);
    qk_sha256_hex(&sha, ret);
}

/* Reads and parses the header of an open file whose first bytes are head. */
static enum qk_code read_header(struct qk_check *check, const char *head, size_t len, struct qk_arena *arena,
                                struct qk_opened_shard *opened, struct qk_err *err)
{
    struct qk_shard *shard = &opened->shard;
    struct qk_err cause;
    char *header = qk_calloc(len + 1, 1);
    if (header == NULL) {
        return qk_fail_nomem(err, shard->path);
    }
    enum qk_code code = qk_file_read_at(shard->fd, shard->path, 8, len, header, &cause);
    if (code != QK_OK) {
        code = qk_document_unreadable(check, shard->path, code, &cause, err);
    } else {
        shard->header_bytes = 8 + (uint64_t)len;
        hash_header(head, header, len, shard->header_sha256);
        code = qk_safetensors_parse(check, shard->path, header, len, shard->file_bytes, arena, &opened->contents,
                                    &opened->usable, err);
        shard->n_tensors = opened->contents.n_tensors;
        shard->metadata = opened->contents.metadata;
    }
    qk_free(header);
    return code;
}

/* A trajectory of large checkpoints has more shards than the usual soft limit on open files: lifts it to the hard one
 * once descriptors use up half of it, so that the rest of the program has room too. */
static void leave_room(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max && (rlim_t)fd >= limit.rlim_cur / 2) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum qk_code qk_shard_open(struct qk_check *check, const char *path, const char *file_name, struct qk_arena *arena,
                           struct qk_opened_shard *ret, struct qk_err *err)
{
    *ret = (struct qk_opened_shard){.shard = {.fd = -1}};
    struct qk_shard *shard = &ret->shard;
    struct qk_err cause;
    shard->path = qk_arena_strdup(arena, path);
    shard->file_name = qk_arena_strdup(arena, file_name);
    if (shard->path == NULL || shard->file_name == NULL) {
        return qk_fail_nomem(err, path);
    }
    enum qk_code code = qk_file_open(path, &shard->fd, &shard->file_bytes, &cause);
    if (code != QK_OK) {
        shard->fd = -1;
        return qk_document_unreadable(check, path, code, &cause, err);
    }
    leave_room(shard->fd);
    char head[qk_foreign_head];
    size_t n_head = shard->file_bytes < sizeof head ? (size_t)shard->file_bytes : sizeof head, len;
    code = qk_file_read_at(shard->fd, path, 0, n_head, head, &cause);
    if (code != QK_OK) {
        return qk_document_unreadable(check, path, code, &cause, err);
    }
    bool framed;
    QK_TRY(qk_safetensors_frame(check, path, head, n_head, shard->file_bytes, &len, &framed, err));
    return framed ? read_header(check, head, len, arena, ret, err) : QK_OK;
}

void qk_shard_release(struct qk_opened_shard *shard)
{
    qk_file_close(shard->shard.fd);
    qk_safetensors_release(&shard->contents);
    shard->shard.fd = -1;
}

static enum qk_code report_twice(struct qk_check *check, const struct qk_opened_shard *shards,
                                 const struct qk_tensor *a, const struct qk_tensor *b, struct qk_err *err)
{
    if (a->shard == b->shard || strcmp(a->name, b->name) != 0) {
        return QK_OK;
    }
    return qk_violate(check, QK_RULE_TENSOR_IN_TWO_SHARDS, shards[b->shard].shard.path, b->name, "", err,
                      "tensor is in two shards (expected in one, found in %s too)", shards[a->shard].shard.file_name);
}

enum qk_code qk_shards_join(struct qk_check *check, const struct qk_opened_shard *shards, size_t n,
                            struct qk_arena *arena, struct qk_tensor **ret, size_t *ret_n, struct qk_err *err)
{
    size_t total = 0;
    for (size_t s = 0; s < n; s++) {
        total += shards[s].contents.n_tensors;
    }
    struct qk_tensor *tensors = qk_arena_alloc(arena, total, sizeof *tensors);
    const struct qk_tensor **all = qk_calloc(total, sizeof *all);
    struct qk_named *order = qk_calloc(total, sizeof *order);
    uint32_t *of_shard = qk_calloc(total, sizeof *of_shard);
    enum qk_code code = QK_OK;
    if (tensors == NULL || all == NULL || order == NULL || of_shard == NULL) {
        code = qk_fail_nomem(err, "table of tensors");
    }
    size_t at = 0;
    for (size_t s = 0; s < n && code == QK_OK; s++) {
        for (size_t i = 0; i < shards[s].contents.n_tensors; i++, at++) {
            all[at] = &shards[s].contents.tensors[i];
            order[at] = (struct qk_named){all[at]->name, at};
            of_shard[at] = (uint32_t)s;
        }
    }
    if (code == QK_OK) {
        code = qk_order_names(order, total, err);
    }
    for (size_t i = 0; i < total && code == QK_OK; i++) {
        tensors[i] = *all[order[i].index];
        tensors[i].shard = of_shard[order[i].index];
        code = i == 0 ? QK_OK : report_twice(check, shards, &tensors[i - 1], &tensors[i], err);
    }
    qk_free(all);
    qk_free(order);
    qk_free(of_shard);
    if (code == QK_OK) {
        *ret = tensors;
        *ret_n = total;
    }
    return code;
}

static enum qk_code check_total_size(struct qk_check *check, const char *index_path, const struct qk_shard_index *index,
                                     const struct qk_opened_shard *shards, const struct qk_tensor *tensors, size_t n,
                                     struct qk_err *err)
{
    bool judge = index->has_total_size && index->whole;
    for (size_t s = 0; s < index->n_shards; s++) {
        judge = judge && shards[s].usable;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += tensors[i].n_bytes;
    }
    if (!judge || (double)sum == index->total_size) {
        return QK_OK;
    }
    return qk_violate(check, QK_RULE_INDEX_TOTAL_SIZE, index_path, "metadata.total_size",
                      "shards of another version, or an index that a tool left unchanged; if the shards are right, "
                      "correct or remove total_size",
                      err, "does not fit the shards (expected %llu bytes, the sum of all tensors, found %.0f)",
                      (unsigned long long)sum, index->total_size);
}

enum qk_code qk_shards_check_index(struct qk_check *check, const char *index_path, const struct qk_shard_index *index,
                                   const struct qk_opened_shard *shards, const struct qk_tensor *tensors, size_t n,
                                   struct qk_err *err)
{
    size_t t = 0;
    for (size_t i = 0; i < index->n_tensors; i++) {
        const char *name = index->tensors[i].name;
        size_t listed = index->tensors[i].index;
        while (t < n && strcmp(tensors[t].name, name) < 0) {
            t++;
        }
        bool found = false;
        size_t other = SIZE_MAX;
        for (size_t k = t; k < n && strcmp(tensors[k].name, name) == 0; k++) {
            found = found || tensors[k].shard == listed;
            other = tensors[k].shard;
        }
        if (found || !shards[listed].usable) {
            continue;
        }
        QK_TRY(qk_violate(check, QK_RULE_TENSOR_NOT_IN_SHARD, index_path, name,
                          "the index and the shards belong to different versions, or a shard was replaced", err,
                          "tensor is not in its shard (expected in %s, found in %s)", index->shards[listed],
                          other == SIZE_MAX ? "no shard" : shards[other].shard.file_name));
    }
    return check_total_size(check, index_path, index, shards, tensors, n, err);
}
