/* Opening and validating a checkpoint, and reading its tensors: see ckpt/ckpt.h. */
#include "ckpt/ckpt.h"

#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "check.h"
#include "document.h"
#include "layout.h"
#include "overlay_read.h"
#include "shards.h"

struct open_ckpt {
    struct qk_ckpt ckpt; /* first: the public part */
    struct qk_arena *arena;
    struct qk_json *config;
    struct qk_opened_shard *opened;
    struct qk_shard_index index;
    void (*release)(void *ctx); /* NULL: nothing else is owned */
    void *release_ctx;
};

static enum qk_code load_config(struct qk_check *check, struct open_ckpt *open, struct qk_err *err)
{
    const char *path = open->ckpt.config_path;
    if (!qk_layout_present(path)) {
        return qk_violate(check, QK_RULE_MISSING_CONFIG, path, "", "copy the model's config.json beside its weights",
                          err, "no such file (expected beside the weights, found none)");
    }
    char *text;
    size_t len;
    QK_TRY(qk_document_read(check, &qk_config_rules, path, &text, &len, err));
    if (text == NULL) {
        return QK_OK;
    }
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    qk_sha256_add(&sha, text, len);
    qk_sha256_hex(&sha, open->ckpt.config_sha256);
    enum qk_code code = qk_document_parse(check, &qk_config_rules, path, text, len, &open->config, err);
    open->ckpt.config = open->config;
    qk_free(text);
    return code;
}

static enum qk_code load_index(struct qk_check *check, const char *path, struct qk_shard_index *index,
                               struct qk_err *err)
{
    char *text;
    size_t len;
    QK_TRY(qk_document_read(check, &qk_index_rules, path, &text, &len, err));
    enum qk_code code = text == NULL ? QK_OK : qk_shard_index_parse(check, path, text, len, index, err);
    qk_free(text);
    return code;
}

static enum qk_code open_listed(struct qk_check *check, struct open_ckpt *open, const char *index_path, size_t s,
                                size_t n_missing, struct qk_err *err)
{
    const struct qk_shard_index *index = &open->index;
    const char *path = qk_arena_printf(open->arena, "%s/%s", open->ckpt.dir, index->shards[s]);
    const char *hint = qk_arena_printf(open->arena, "%zu of %zu shards are missing: the download is incomplete",
                                       n_missing, index->n_shards);
    if (path == NULL || hint == NULL) {
        return qk_fail_nomem(err, open->ckpt.dir);
    }
    if (!qk_layout_present(path)) {
        return qk_violate(check, QK_RULE_MISSING_SHARD, index_path, index->shards[s], hint, err,
                          "shard is missing (expected a file with %zu tensor%s, found none)", index->n_listed[s],
                          index->n_listed[s] == 1 ? "" : "s");
    }
    return qk_shard_open(check, path, index->shards[s], open->arena, &open->opened[s], err);
}

static enum qk_code load_sharded(struct qk_check *check, struct open_ckpt *open, const char *index_path,
                                 struct qk_err *err)
{
    QK_TRY(load_index(check, index_path, &open->index, err));
    size_t n = open->index.n_shards, n_missing = 0;
    open->opened = qk_calloc(n, sizeof *open->opened);
    if (open->opened == NULL) {
        return qk_fail_nomem(err, index_path);
    }
    open->ckpt.n_shards = n;
    for (size_t s = 0; s < n; s++) {
        open->opened[s].shard.fd = -1;
        const char *path = qk_arena_printf(open->arena, "%s/%s", open->ckpt.dir, open->index.shards[s]);
        if (path == NULL) {
            return qk_fail_nomem(err, index_path);
        }
        n_missing += !qk_layout_present(path);
    }
    for (size_t s = 0; s < n; s++) {
        QK_TRY(open_listed(check, open, index_path, s, n_missing, err));
    }
    return QK_OK;
}

static enum qk_code load_single(struct qk_check *check, struct open_ckpt *open, const char *path, struct qk_err *err)
{
    open->opened = qk_calloc(1, sizeof *open->opened);
    if (open->opened == NULL) {
        return qk_fail_nomem(err, path);
    }
    open->ckpt.n_shards = 1;
    const char *slash = strrchr(path, '/');
    return qk_shard_open(check, path, slash == NULL ? path : slash + 1, open->arena, &open->opened[0], err);
}

/* Joins the shards into the public tables. */
static enum qk_code publish(struct qk_check *check, struct open_ckpt *open, const char *index_path, struct qk_err *err)
{
    struct qk_ckpt *ckpt = &open->ckpt;
    struct qk_tensor *tensors;
    QK_TRY(qk_shards_join(check, open->opened, ckpt->n_shards, open->arena, &tensors, &ckpt->n_tensors, err));
    ckpt->tensors = tensors;
    if (index_path != NULL) {
        QK_TRY(qk_shards_check_index(check, index_path, &open->index, open->opened, tensors, ckpt->n_tensors, err));
    }
    struct qk_shard *shards = qk_arena_alloc(open->arena, ckpt->n_shards, sizeof *shards);
    if (shards == NULL) {
        return qk_fail_nomem(err, ckpt->path);
    }
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    for (size_t s = 0; s < ckpt->n_shards; s++) {
        shards[s] = open->opened[s].shard;
        qk_sha256_add(&sha, shards[s].header_sha256, strlen(shards[s].header_sha256));
    }
    qk_sha256_hex(&sha, ckpt->header_sha256);
    if (ckpt->n_shards == 1) {
        memcpy(ckpt->header_sha256, shards[0].header_sha256, sizeof ckpt->header_sha256);
    }
    ckpt->shards = shards;
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        ckpt->total_bytes += tensors[i].n_bytes;
    }
    return QK_OK;
}

static enum qk_code load(struct qk_check *check, const char *path, struct open_ckpt *open, struct qk_err *err)
{
    struct qk_layout layout;
    QK_TRY(qk_layout_find(check, path, open->arena, &layout, err));
    struct qk_ckpt *ckpt = &open->ckpt;
    ckpt->name = layout.name;
    ckpt->dir = layout.dir;
    ckpt->config_path = layout.config;
    ckpt->path = qk_arena_strdup(open->arena, path);
    if (ckpt->path == NULL) {
        return qk_fail_nomem(err, path);
    }
    if (layout.weights != NULL) {
        QK_TRY(load_single(check, open, layout.weights, err));
    } else if (layout.index != NULL) {
        QK_TRY(load_sharded(check, open, layout.index, err));
    }
    if (layout.config != NULL) {
        QK_TRY(load_config(check, open, err));
    }
    return publish(check, open, layout.index, err);
}

static struct open_ckpt *new_ckpt(void)
{
    struct open_ckpt *open = qk_calloc(1, sizeof *open);
    if (open != NULL && (open->arena = qk_arena_new()) == NULL) {
        qk_free(open);
        open = NULL;
    }
    return open;
}

struct qk_ckpt *qk_ckpt_new_empty(struct qk_arena **ret_arena)
{
    struct open_ckpt *open = new_ckpt();
    if (open == NULL) {
        return NULL;
    }
    *ret_arena = open->arena;
    return &open->ckpt;
}

void qk_ckpt_own(struct qk_ckpt *ckpt, void (*release)(void *ctx), void *ctx)
{
    struct open_ckpt *open = (struct open_ckpt *)(void *)ckpt;
    open->release = release;
    open->release_ctx = ctx;
}

enum qk_code qk_ckpt_open(const char *path, struct qk_ckpt **ret, struct qk_err *err)
{
    struct open_ckpt *open = new_ckpt();
    if (open == NULL) {
        return qk_fail_nomem(err, path);
    }
    struct qk_check check = {0};
    enum qk_code code = load(&check, path, open, err);
    if (code != QK_OK) {
        qk_ckpt_close(&open->ckpt);
        return code;
    }
    for (size_t s = 0; s < open->ckpt.n_shards; s++) {
        qk_free(open->opened[s].contents.tensors);
        open->opened[s].contents.tensors = NULL;
    }
    qk_shard_index_release(&open->index);
    *ret = &open->ckpt;
    return QK_OK;
}

void qk_ckpt_close(struct qk_ckpt *ckpt)
{
    struct open_ckpt *open = (struct open_ckpt *)(void *)ckpt;
    if (open == NULL) {
        return;
    }
    for (size_t s = 0; open->opened != NULL && s < open->ckpt.n_shards; s++) {
        qk_shard_release(&open->opened[s]);
    }
    qk_free(open->opened);
    qk_shard_index_release(&open->index);
    qk_json_free(open->config);
    qk_arena_free(open->arena);
    void (*release)(void *ctx) = open->release;
    void *ctx = open->release_ctx;
    qk_free(open);
    if (release != NULL) {
        release(ctx);
    }
}

enum qk_code qk_ckpt_validate(const char *path, qk_violation_fn report, void *ctx, size_t *ret_n, struct qk_err *err)
{
    struct open_ckpt *open = new_ckpt();
    if (open == NULL) {
        return qk_fail_nomem(err, path);
    }
    struct qk_check check = {.report = report, .ctx = ctx};
    enum qk_code code = load(&check, path, open, err);
    qk_ckpt_close(&open->ckpt);
    if (code == QK_OK) {
        *ret_n = check.n;
    }
    return code;
}

const struct qk_tensor *qk_ckpt_find(const struct qk_ckpt *ckpt, const char *name)
{
    size_t low = 0, high = ckpt->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(ckpt->tensors[middle].name, name);
        if (order == 0) {
            return &ckpt->tensors[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

enum qk_code qk_ckpt_read(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t at, size_t n, void *buf,
                          struct qk_err *err)
{
    if (at > t->n_bytes || n > t->n_bytes - at) {
        return qk_fail(err, QK_EINTERNAL,
                       "%s: %s: read outside the tensor (expected at most %llu bytes, found %llu + %zu)",
                       ckpt->shards[t->shard].path, t->name, (unsigned long long)t->n_bytes, (unsigned long long)at, n);
    }
    if (ckpt->overlay != NULL) {
        return qk_overlay_read(ckpt, t, at, n, buf, err);
    }
    const struct qk_shard *shard = &ckpt->shards[t->shard];
    return qk_file_read_at(shard->fd, shard->path, t->offset + at, n, buf, err);
}
