/* Edits on a thread pool: see edit_pool.h. */
#include "edit_pool.h"

#include "base/alloc.h"
#include "base/interrupt.h"

enum { PIECE = 256 << 10 }; /* bytes a worker moves at a time */

struct pool_work {
    const struct qk_edits *edits;
    qk_edit_put_fn put;
    void *ctx;
    struct qk_edit_maker **makers; /* per worker, made on first use */
    unsigned char **buffers;       /* per worker; of aligned heads: of the largest edit */
    size_t buffer_bytes;
    size_t *by_head; /* indices of HEAD edits, by head */
    size_t *first;   /* (n_heads + 1) into by_head */
};

static enum qk_code buffer_of(struct pool_work *w, size_t worker, unsigned char **ret, struct qk_err *err)
{
    if (w->buffers[worker] == NULL) {
        w->buffers[worker] = qk_alloc_aligned(w->buffer_bytes, 1);
    }
    *ret = w->buffers[worker];
    return *ret == NULL ? qk_fail_nomem(err, "restored rows") : QK_OK;
}

static enum qk_code put_head(void *ctx, size_t head, size_t worker, struct qk_err *err)
{
    struct pool_work *w = ctx;
    unsigned char *buffer;
    QK_TRY(buffer_of(w, worker, &buffer, err));
    if (w->makers[worker] == NULL) {
        QK_TRY(qk_edit_maker_new(w->edits, &w->makers[worker], err));
    }
    QK_TRY(qk_edit_make(w->makers[worker], head, err));
    for (size_t i = w->first[head]; i < w->first[head + 1]; i++) {
        const struct qk_edit *edit = &w->edits->edits[w->by_head[i]];
        QK_TRY(qk_edit_made(w->makers[worker], edit, buffer, err));
        uint64_t at, n;
        const unsigned char *from = buffer;
        for (size_t e = 0; e < qk_edit_n_extents(edit); e++, from += n) {
            qk_edit_extent(edit, e, &at, &n);
            QK_TRY(w->put(w->ctx, edit, at, (size_t)n, from, err));
        }
    }
    return QK_OK;
}

static enum qk_code put_edit(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct pool_work *w = ctx;
    const struct qk_edit *edit = &w->edits->edits[i];
    unsigned char *buffer;
    if (edit->how == QK_EDIT_HEAD) {
        return QK_OK;
    }
    QK_TRY(buffer_of(w, worker, &buffer, err));
    for (size_t e = 0; e < qk_edit_n_extents(edit); e++) {
        uint64_t at, n;
        qk_edit_extent(edit, e, &at, &n);
        for (uint64_t done = 0; done < n; done += PIECE) {
            size_t some = n - done < PIECE ? (size_t)(n - done) : PIECE;
            QK_TRY(qk_interrupt_check(err));
            QK_TRY(qk_edit_read(w->edits, edit, e, done, some, buffer, err));
            QK_TRY(w->put(w->ctx, edit, at + done, some, buffer, err));
        }
    }
    return QK_OK;
}

/* Counting sort of the HEAD edits by head. */
static void sort_by_head(struct pool_work *w)
{
    const struct qk_edits *edits = w->edits;
    for (size_t i = 0; i < edits->n; i++) {
        if (edits->edits[i].how == QK_EDIT_HEAD) {
            w->first[edits->edits[i].head + 1]++;
        }
    }
    for (size_t h = 0; h < edits->n_heads; h++) {
        w->first[h + 1] += w->first[h];
    }
    for (size_t i = edits->n; i > 0; i--) {
        if (edits->edits[i - 1].how == QK_EDIT_HEAD) {
            w->by_head[--w->first[edits->edits[i - 1].head + 1]] = i - 1;
        }
    }
    /* each bound was moved down to the start of its own head: shift them back into place */
    for (size_t h = 0; h < edits->n_heads; h++) {
        w->first[h] = w->first[h + 1];
    }
    size_t n = 0;
    for (size_t i = 0; i < edits->n; i++) {
        n += edits->edits[i].how == QK_EDIT_HEAD;
    }
    w->first[edits->n_heads] = n;
}

static enum qk_code run(struct pool_work *w, struct qk_pool *pool, size_t n, qk_pool_item item, struct qk_err *err)
{
    size_t n_workers = qk_pool_size(pool);
    w->makers = qk_calloc(n_workers, sizeof(struct qk_edit_maker *));
    w->buffers = qk_calloc(n_workers, sizeof(unsigned char *));
    enum qk_code code = w->makers == NULL || w->buffers == NULL ? qk_fail_nomem(err, "restored rows")
                                                                : qk_pool_for(pool, n, item, w, err);
    for (size_t i = 0; i < n_workers; i++) {
        if (w->makers != NULL) {
            qk_edit_maker_free(w->makers[i]);
        }
        if (w->buffers != NULL) {
            qk_free(w->buffers[i]);
        }
    }
    qk_free(w->makers);
    qk_free(w->buffers);
    return code;
}

enum qk_code qk_edit_pool_aligned(const struct qk_edits *edits, struct qk_pool *pool, qk_edit_put_fn put, void *ctx,
                                  struct qk_err *err)
{
    struct pool_work w = {.edits = edits, .put = put, .ctx = ctx, .buffer_bytes = 1};
    for (size_t i = 0; i < edits->n; i++) {
        const struct qk_edit *e = &edits->edits[i];
        if (e->how == QK_EDIT_HEAD && e->n_bytes > w.buffer_bytes) {
            w.buffer_bytes = (size_t)e->n_bytes;
        }
    }
    w.by_head = qk_calloc(edits->n + 1, sizeof *w.by_head);
    w.first = qk_calloc(edits->n_heads + 1, sizeof *w.first);
    enum qk_code code = QK_OK;
    if (w.by_head == NULL || w.first == NULL) {
        code = qk_fail_nomem(err, "restored rows");
    } else {
        sort_by_head(&w);
        code = run(&w, pool, edits->n_heads, put_head, err);
    }
    qk_free(w.by_head);
    qk_free(w.first);
    return code;
}

enum qk_code qk_edit_pool_others(const struct qk_edits *edits, struct qk_pool *pool, qk_edit_put_fn put, void *ctx,
                                 struct qk_err *err)
{
    struct pool_work w = {.edits = edits, .put = put, .ctx = ctx, .buffer_bytes = PIECE};
    return run(&w, pool, edits->n, put_edit, err);
}
