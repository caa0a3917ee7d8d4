/* Writing the repaired checkpoint: see repair/restore.h. */
#include "repair/restore.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "ckpt/writer.h"
#include "edit_pool.h"
#include "restore_record.h"

enum { PIECE = 1 << 20 };

struct restore {
    const struct qk_edits *edits;
    struct qk_writer *writer;
    const struct qk_progress *progress;
    struct qk_tensor_hash *hashes; /* one a changed tensor */
    _Atomic uint64_t n_put;
};

static struct qk_writer_options writer_options(const struct qk_edits *edits, const struct qk_restore_options *options)
{
    return (struct qk_writer_options){.force = options->force,
                                      .n_inputs = 1,
                                      .inputs = &edits->base->ckpt,
                                      .left_out = QK_RESTORE_RECORD,
                                      .progress = options->progress};
}

static enum qk_code put(void *ctx, const struct qk_edit *edit, uint64_t at, size_t n, const void *bytes,
                        struct qk_err *err)
{
    struct restore *r = ctx;
    QK_TRY(qk_writer_put(r->writer, edit->tensor, at, n, bytes, err));
    uint64_t done = atomic_fetch_add(&r->n_put, n) + n;
    if (done / PIECE != (done - n) / PIECE) {
        qk_progress_update(r->progress, done, r->edits->n_bytes, "restoring");
    }
    return QK_OK;
}

static void list_tensors(struct restore *r)
{
    struct qk_tensor_hash *last = NULL;
    for (size_t i = 0, n = 0; i < r->edits->n; i++) {
        const struct qk_edit *edit = &r->edits->edits[i];
        if (last == NULL || last->tensor != edit->tensor) {
            last = &r->hashes[n++];
            *last = (struct qk_tensor_hash){.tensor = edit->tensor, .first_edit = i};
        }
        last->n_edits++;
    }
}

static enum qk_code hash_tensor(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct restore *r = ctx;
    struct qk_tensor_hash *hash = &r->hashes[i];
    struct qk_sha256 sha;
    unsigned char *buffer = qk_alloc_aligned(PIECE, 1);
    enum qk_code code = buffer == NULL ? qk_fail_nomem(err, "hashes") : QK_OK;
    (void)worker;
    qk_sha256_init(&sha);
    for (uint64_t at = 0; at < hash->tensor->n_bytes && code == QK_OK; at += PIECE) {
        size_t n = hash->tensor->n_bytes - at < PIECE ? (size_t)(hash->tensor->n_bytes - at) : PIECE;
        code = qk_interrupt_check(err);
        if (code == QK_OK) {
            code = qk_writer_read(r->writer, hash->tensor, at, n, buffer, err);
        }
        if (code == QK_OK) {
            qk_sha256_add(&sha, buffer, n);
        }
    }
    qk_free(buffer);
    qk_sha256_hex(&sha, hash->sha256);
    return code;
}

static enum qk_code add_record(const struct restore *r, const struct qk_plan *plan, const char *command,
                               struct qk_err *err)
{
    struct qk_str text = {0};
    qk_restore_record(plan, r->edits, command, r->hashes, &text);
    enum qk_code code = text.failed ? qk_fail_nomem(err, "record")
                                    : qk_writer_add_file(r->writer, QK_RESTORE_RECORD, text.s, text.len, err);
    qk_str_release(&text);
    return code;
}

static enum qk_code fill(struct restore *r, const struct qk_plan *plan, const char *command, struct qk_pool *pool,
                         struct qk_err *err)
{
    QK_TRY(qk_edit_pool_others(r->edits, pool, put, r, err));
    if (r->edits->n_heads > 0) {
        QK_TRY(qk_edit_pool_aligned(r->edits, pool, put, r, err));
    }
    list_tensors(r);
    QK_TRY(qk_pool_for(pool, r->edits->n_tensors, hash_tensor, r, err));
    return add_record(r, plan, command, err);
}

/* Whole rows that are replaced; what is scattered over a transposed tensor is cheaper to copy. */
static void list_replaced(const struct qk_edits *edits, struct qk_writer_range *ranges, struct qk_writer_options *wo)
{
    for (size_t i = 0; i < edits->n; i++) {
        if (!edits->edits[i].transposed) {
            struct qk_writer_range *r = &ranges[wo->n_replaced++];
            r->tensor = edits->edits[i].tensor;
            qk_edit_extent(&edits->edits[i], 0, &r->at, &r->n);
        }
    }
    wo->replaced = ranges;
}

enum qk_code qk_restore_check(const struct qk_edits *edits, const char *target,
                              const struct qk_restore_options *options, struct qk_err *err)
{
    struct qk_writer_options wo = writer_options(edits, options);
    return qk_writer_check(edits->tuned->ckpt, target, &wo, err);
}

enum qk_code qk_restore_write(const struct qk_plan *plan, const struct qk_edits *edits, const char *target,
                              const struct qk_restore_options *options, struct qk_pool *pool, struct qk_err *err)
{
    struct qk_writer_options wo = writer_options(edits, options);
    struct restore r = {.edits = edits, .progress = options->progress};
    r.hashes = qk_calloc(edits->n_tensors + 1, sizeof *r.hashes);
    struct qk_writer_range *ranges = qk_calloc(edits->n + 1, sizeof *ranges);
    if (r.hashes == NULL || ranges == NULL) {
        qk_free(r.hashes);
        qk_free(ranges);
        return qk_fail_nomem(err, "restore");
    }
    list_replaced(edits, ranges, &wo);
    enum qk_code code = qk_writer_open(edits->tuned->ckpt, target, &wo, &r.writer, err);
    if (code == QK_OK) {
        code = fill(&r, plan, options->command, pool, err);
        if (code == QK_OK) {
            code = qk_writer_commit(r.writer, err);
        } else {
            qk_writer_abort(r.writer);
        }
    }
    qk_free(ranges);
    qk_free(r.hashes);
    return code;
}
