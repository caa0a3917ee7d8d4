/* Writing a checkpoint beside the one it is made from: see ckpt/writer.h. */
#include "ckpt/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/str.h"
#include "ckpt/adapter.h"
#include "overlay_read.h"
#include "writer_target.h"
#include "writer_tree.h"

enum { PIECE = 1 << 20, LEAST_GAP = 64 << 10 };

/* What belongs to a lone .safetensors file, beside itself. */
static const char *const companions[] = {
    "config.json",       "generation_config.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "chat_template*",         "*.model",    NULL};

struct qk_writer {
    struct qk_arena *arena;
    const struct qk_ckpt *source;
    struct qk_writer_target target;
    bool force;
    struct output {
        const char *path;
        int fd;
    } * outputs; /* one a shard */
};

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static enum qk_code check_space(const struct qk_writer *w, uint64_t need, struct qk_err *err)
{
    struct statvfs fs;
    if (statvfs(w->target.staging, &fs) != 0) {
        return qk_fail_errno(err, w->target.parent, "ask for the free space of");
    }
    uint64_t there = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (there >= need || qk_tree_can_clone(w->source->shards[0].path, w->target.staging)) {
        return QK_OK;
    }
    struct qk_str text = {0};
    qk_str_add(&text, "expected ");
    qk_str_add_bytes(&text, need);
    qk_str_add(&text, ", found ");
    qk_str_add_bytes(&text, there);
    enum qk_code code = text.failed ? qk_fail_nomem(err, w->target.path)
                                    : qk_fail(err, QK_EIO, "%s: not enough free space (%s)", w->target.path, text.s);
    qk_str_release(&text);
    return code;
}

/* As a walk of the source's directory spells it; NULL when out of memory. */
static const char *source_path(const struct qk_writer *w, const char *name)
{
    char *joined = qk_path_join(w->source->dir, name);
    const char *path = joined == NULL ? NULL : qk_arena_strdup(w->arena, joined);
    qk_free(joined);
    return path;
}

/* The replaced ranges as gaps of the files, those that touch joined, small ones left to be copied and overwritten. */
static enum qk_code find_gaps(const struct qk_writer *w, const struct qk_writer_options *options,
                              struct qk_tree_copy *copy, struct qk_err *err)
{
    struct qk_tree_gap *gaps = qk_arena_alloc(w->arena, options->n_replaced + 1, sizeof *gaps);
    const char *path = NULL;
    size_t n = 0, shard = 0;
    if (gaps == NULL) {
        return qk_fail_nomem(err, w->target.path);
    }
    for (size_t i = 0; i < options->n_replaced; i++) {
        const struct qk_writer_range *r = &options->replaced[i];
        if (path == NULL || r->tensor->shard != shard) {
            shard = r->tensor->shard;
            path = source_path(w, w->source->shards[shard].file_name);
        }
        if (path == NULL) {
            return qk_fail_nomem(err, w->target.path);
        }
        uint64_t from = r->tensor->offset + r->at;
        if (n > 0 && gaps[n - 1].path == path && gaps[n - 1].to == from) {
            gaps[n - 1].to = from + r->n;
            continue;
        }
        n -= n > 0 && gaps[n - 1].to - gaps[n - 1].from < LEAST_GAP;
        gaps[n++] = (struct qk_tree_gap){path, from, from + r->n};
    }
    n -= n > 0 && gaps[n - 1].to - gaps[n - 1].from < LEAST_GAP;
    copy->n_gaps = n;
    copy->gaps = gaps;
    return QK_OK;
}

static enum qk_code copy_source(struct qk_writer *w, const struct qk_writer_options *options, struct qk_err *err)
{
    struct qk_tree_copy copy = {.left_out = options->left_out, .progress = options->progress};
    const struct qk_ckpt *files = w->source->adapter != NULL ? w->source->adapter->base : w->source;
    if (!qk_path_is_dir(files->path)) {
        copy.only = companions;
        copy.only_file = w->source->shards[0].file_name;
    }
    QK_TRY(find_gaps(w, options, &copy, err));
    QK_TRY(qk_tree_measure(&copy, w->source->dir, err));
    QK_TRY(check_space(w, copy.total, err));
    return qk_tree_copy(&copy, w->source->dir, w->target.staging, err);
}

static enum qk_code open_outputs(struct qk_writer *w, struct qk_err *err)
{
    size_t n = w->source->n_shards;
    w->outputs = qk_arena_alloc(w->arena, n, sizeof *w->outputs);
    if (w->outputs == NULL) {
        return qk_fail_nomem(err, w->target.path);
    }
    for (size_t s = 0; s < n; s++) {
        w->outputs[s].fd = -1;
    }
    for (size_t s = 0; s < n; s++) {
        const char *path = qk_arena_printf(w->arena, "%s/%s", w->target.staging, w->source->shards[s].file_name);
        if (path == NULL) {
            return qk_fail_nomem(err, w->target.path);
        }
        w->outputs[s] = (struct output){path, open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
        if (w->outputs[s].fd < 0) {
            return qk_fail_errno(err, path, "open");
        }
    }
    return QK_OK;
}

static enum qk_code put_patch(struct qk_writer *w, const struct qk_overlay_patch *p, unsigned char *buffer,
                              struct qk_err *err)
{
    if (p->dtype != p->tensor->dtype) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: cannot be written in another type than its file has (expected "
                       "%s, found %s)",
                       w->source->path, p->tensor->name, qk_dtype_info(p->tensor->dtype)->name,
                       qk_dtype_info(p->dtype)->name);
    }
    for (uint64_t done = 0; done < p->n; done += PIECE) {
        size_t n = p->n - done < PIECE ? (size_t)(p->n - done) : PIECE;
        QK_TRY(qk_interrupt_check(err));
        if (p->bytes == NULL) {
            QK_TRY(p->read(p->ctx, done, n, buffer, err));
        }
        const void *bytes = p->bytes == NULL ? buffer : (const unsigned char *)p->bytes + done;
        QK_TRY(qk_writer_put(w, p->tensor, p->at + done, n, bytes, err));
    }
    return QK_OK;
}

/* What overlays put over the files, the lowest first. */
static enum qk_code put_overlays(struct qk_writer *w, const struct qk_ckpt *ckpt, unsigned char *buffer,
                                 struct qk_err *err)
{
    if (ckpt->overlay == NULL) {
        return QK_OK;
    }
    QK_TRY(put_overlays(w, ckpt->overlay->below, buffer, err));
    for (size_t i = 0; i < ckpt->overlay->first[ckpt->n_tensors]; i++) {
        QK_TRY(put_patch(w, &ckpt->overlay->patches[i], buffer, err));
    }
    return QK_OK;
}

static enum qk_code fill(struct qk_writer *w, const struct qk_writer_options *options, struct qk_err *err)
{
    QK_TRY(qk_target_stage(&w->target, w->arena, err));
    QK_TRY(copy_source(w, options, err));
    QK_TRY(open_outputs(w, err));
    if (w->source->overlay == NULL) {
        return QK_OK;
    }
    unsigned char *buffer = qk_alloc_aligned(PIECE, 1);
    enum qk_code code = buffer == NULL ? qk_fail_nomem(err, w->target.path) : put_overlays(w, w->source, buffer, err);
    qk_free(buffer);
    return code;
}

enum qk_code qk_writer_check(const struct qk_ckpt *source, const char *target, const struct qk_writer_options *options,
                             struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    struct qk_writer_target t;
    if (arena == NULL) {
        return qk_fail_nomem(err, target);
    }
    enum qk_code code = qk_target_init(&t, target, arena, err);
    if (code == QK_OK) {
        code = qk_target_check(&t, source, options, err);
    }
    qk_arena_free(arena);
    return code;
}

enum qk_code qk_writer_open(const struct qk_ckpt *source, const char *target, const struct qk_writer_options *options,
                            struct qk_writer **ret, struct qk_err *err)
{
    struct qk_writer *w = qk_calloc(1, sizeof *w);
    if (w == NULL || (w->arena = qk_arena_new()) == NULL) {
        qk_free(w);
        return qk_fail_nomem(err, target);
    }
    w->source = source;
    w->force = options->force;
    w->target.lock = -1;
    enum qk_code code = qk_target_init(&w->target, target, w->arena, err);
    if (code == QK_OK) {
        code = qk_target_check(&w->target, source, options, err);
    }
    if (code == QK_OK) {
        code = fill(w, options, err);
    }
    if (code != QK_OK) {
        qk_writer_abort(w);
        return code;
    }
    *ret = w;
    return QK_OK;
}

/* ---- the copy's bytes ------------------------------------------------------------------------------------------- */

static enum qk_code check_range(const struct qk_writer *w, const struct qk_tensor *t, uint64_t at, size_t n,
                                struct qk_err *err)
{
    return at <= t->n_bytes && n <= t->n_bytes - at
               ? QK_OK
               : qk_fail(err, QK_EINTERNAL,
                         "%s: %s: bytes outside the tensor (expected at most %llu, found %llu + %zu)", w->target.path,
                         t->name, (unsigned long long)t->n_bytes, (unsigned long long)at, n);
}

enum qk_code qk_writer_put(struct qk_writer *w, const struct qk_tensor *t, uint64_t at, size_t n, const void *bytes,
                           struct qk_err *err)
{
    QK_TRY(check_range(w, t, at, n, err));
    const struct output *o = &w->outputs[t->shard];
    const char *p = bytes;
    uint64_t offset = t->offset + at;
    while (n > 0) {
        ssize_t put = pwrite(o->fd, p, n, (off_t)offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return qk_fail_errno(err, o->path, "write");
        }
        p += put;
        offset += (uint64_t)put;
        n -= (size_t)put;
    }
    return QK_OK;
}

enum qk_code qk_writer_read(const struct qk_writer *w, const struct qk_tensor *t, uint64_t at, size_t n, void *buf,
                            struct qk_err *err)
{
    QK_TRY(check_range(w, t, at, n, err));
    const struct output *o = &w->outputs[t->shard];
    return qk_file_read_at(o->fd, o->path, t->offset + at, n, buf, err);
}

enum qk_code qk_writer_add_file(struct qk_writer *w, const char *name, const void *data, size_t n, struct qk_err *err)
{
    char *path = qk_path_join(w->target.staging, name);
    if (path == NULL) {
        return qk_fail_nomem(err, name);
    }
    enum qk_code code = qk_atomic_put(path, false, data, n, err);
    qk_free(path);
    return code;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* The source may have been replaced by another file while it was copied: its header then is another. */
static enum qk_code check_header(const struct qk_writer *w, size_t s, unsigned char *buffer, struct qk_err *err)
{
    const struct qk_shard *shard = &w->source->shards[s];
    const struct output *o = &w->outputs[s];
    struct qk_sha256 sha;
    char hex[65];
    qk_sha256_init(&sha);
    for (uint64_t at = 0; at < shard->header_bytes; at += PIECE) {
        size_t n = shard->header_bytes - at < PIECE ? (size_t)(shard->header_bytes - at) : PIECE;
        QK_TRY(qk_file_read_at(o->fd, o->path, at, n, buffer, err));
        qk_sha256_add(&sha, buffer, n);
    }
    qk_sha256_hex(&sha, hex);
    off_t size = lseek(o->fd, 0, SEEK_END);
    if (strcmp(hex, shard->header_sha256) != 0 || size < 0 || (uint64_t)size != shard->file_bytes) {
        return qk_fail(err, QK_EIO, "%s: changed while it was copied (expected the header and size that were opened)",
                       shard->path);
    }
    return QK_OK;
}

static enum qk_code check_headers(const struct qk_writer *w, struct qk_err *err)
{
    unsigned char *buffer = qk_alloc_aligned(PIECE, 1);
    enum qk_code code = buffer == NULL ? qk_fail_nomem(err, w->target.path) : QK_OK;
    for (size_t s = 0; s < w->source->n_shards && code == QK_OK; s++) {
        code = check_header(w, s, buffer, err);
    }
    qk_free(buffer);
    return code;
}

enum qk_code qk_writer_commit(struct qk_writer *w, struct qk_err *err)
{
    enum qk_code code = check_headers(w, err);
    if (code == QK_OK) {
        code = qk_tree_sync(w->target.staging, err);
    }
    if (code == QK_OK) {
        code = qk_interrupt_check(err);
    }
    if (code == QK_OK) {
        code = qk_target_publish(&w->target, w->force, err);
    }
    qk_writer_abort(w);
    return code;
}

void qk_writer_abort(struct qk_writer *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t s = 0; w->outputs != NULL && s < w->source->n_shards; s++) {
        qk_file_close(w->outputs[s].fd);
    }
    qk_target_release(&w->target);
    qk_arena_free(w->arena);
    qk_free(w);
}
