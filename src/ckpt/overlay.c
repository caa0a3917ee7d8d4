/* Checkpoints with bytes replaced in memory: see ckpt/overlay.h. */
#include <stdlib.h>
#include <string.h>

#include "overlay_read.h"

static int by_place(const void *a, const void *b)
{
    const struct qk_overlay_patch *x = a, *y = b;
    if (x->tensor != y->tensor) {
        return x->tensor < y->tensor ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

static enum qk_code out_of_place(const struct qk_ckpt *below, const struct qk_overlay_patch *p, struct qk_err *err)
{
    return qk_fail(err, QK_EINTERNAL,
                   "%s: %s: a patch overlaps another or reaches out of the tensor (bytes %llu + %llu)", below->path,
                   p->tensor->name, (unsigned long long)p->at, (unsigned long long)p->n);
}

/* The tensor as the overlay shows it. */
static enum qk_code show(const struct qk_ckpt *below, const struct qk_overlay_patch *p, struct qk_tensor *t,
                         struct qk_err *err)
{
    if (p->dtype != t->dtype) {
        size_t bits = qk_dtype_info(p->dtype)->bits;
        if (p->read == NULL || p->at != 0 || p->n != t->n_elements * bits / 8) {
            return out_of_place(below, p, err);
        }
        t->dtype = p->dtype;
        t->n_bytes = p->n;
    }
    return p->at > t->n_bytes || p->n > t->n_bytes - p->at ? out_of_place(below, p, err) : QK_OK;
}

static enum qk_code fill(const struct qk_ckpt *below, size_t n, const struct qk_overlay_patch *patches,
                         struct qk_arena *arena, struct qk_ckpt *ckpt, struct qk_err *err)
{
    struct qk_overlay *overlay = qk_arena_alloc(arena, 1, sizeof *overlay);
    struct qk_overlay_patch *sorted = qk_arena_alloc(arena, n + 1, sizeof *sorted);
    struct qk_tensor *tensors = qk_arena_alloc(arena, below->n_tensors + 1, sizeof *tensors);
    size_t *first = qk_arena_alloc(arena, below->n_tensors + 1, sizeof *first);
    if (!overlay || !sorted || !tensors || !first) {
        return qk_fail_nomem(err, below->path);
    }
    if (n > 0) {
        memcpy(sorted, patches, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_place);
    }
    memcpy(tensors, below->tensors, below->n_tensors * sizeof *tensors);
    size_t at = 0;
    for (size_t i = 0; i < below->n_tensors; i++) {
        first[i] = at;
        for (uint64_t end = 0; at < n && sorted[at].tensor == &below->tensors[i]; at++) {
            QK_TRY(show(below, &sorted[at], &tensors[i], err));
            if (sorted[at].at < end) {
                return out_of_place(below, &sorted[at], err);
            }
            end = sorted[at].at + sorted[at].n;
        }
        ckpt->total_bytes += tensors[i].n_bytes;
    }
    first[below->n_tensors] = at;
    if (at < n) {
        return qk_fail(err, QK_EINTERNAL, "%s: a patch of a tensor that is not its own", below->path);
    }
    *overlay = (struct qk_overlay){below, sorted, first};
    ckpt->overlay = overlay;
    ckpt->tensors = tensors;
    return QK_OK;
}

enum qk_code qk_ckpt_overlay(const struct qk_ckpt *below, const char *name, size_t n,
                             const struct qk_overlay_patch *patches, struct qk_ckpt **ret, struct qk_err *err)
{
    struct qk_arena *arena;
    struct qk_ckpt *ckpt = qk_ckpt_new_empty(&arena);
    if (ckpt == NULL) {
        return qk_fail_nomem(err, below->path);
    }
    *ckpt = *below;
    ckpt->total_bytes = 0;
    ckpt->name = qk_arena_strdup(arena, name);
    enum qk_code code = ckpt->name == NULL ? qk_fail_nomem(err, below->path) : QK_OK;
    if (code == QK_OK) {
        code = fill(below, n, patches, arena, ckpt, err);
    }
    if (code != QK_OK) {
        qk_ckpt_close(ckpt);
        return code;
    }
    *ret = ckpt;
    return QK_OK;
}

/* Bytes [at, at + n) that no patch covers, from below. */
static enum qk_code read_below(const struct qk_overlay *o, size_t tensor, uint64_t at, uint64_t end, uint64_t start,
                               void *buf, struct qk_err *err)
{
    return end > at ? qk_ckpt_read(o->below, &o->below->tensors[tensor], at, (size_t)(end - at),
                                   (char *)buf + (at - start), err)
                    : QK_OK;
}

enum qk_code qk_overlay_read(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t at, size_t n, void *buf,
                             struct qk_err *err)
{
    const struct qk_overlay *o = ckpt->overlay;
    size_t tensor = (size_t)(t - ckpt->tensors);
    uint64_t done = at, end = at + n;
    for (size_t i = o->first[tensor]; i < o->first[tensor + 1] && done < end; i++) {
        const struct qk_overlay_patch *p = &o->patches[i];
        uint64_t from = p->at > done ? p->at : done;
        uint64_t to = p->at + p->n < end ? p->at + p->n : end;
        if (from >= to) {
            continue;
        }
        QK_TRY(read_below(o, tensor, done, from, at, buf, err));
        char *dst = (char *)buf + (from - at);
        if (p->bytes != NULL) {
            memcpy(dst, (const char *)p->bytes + (from - p->at), (size_t)(to - from));
        } else {
            QK_TRY(p->read(p->ctx, from - p->at, (size_t)(to - from), dst, err));
        }
        done = to;
    }
    return read_below(o, tensor, done, end, at, buf, err);
}
