/* What an overlay (ckpt/overlay.h) adds to a checkpoint. */
#ifndef QK_CKPT_OVERLAY_READ_H
#define QK_CKPT_OVERLAY_READ_H

#include "base/arena.h"
#include "ckpt/overlay.h"

struct qk_overlay {
    const struct qk_ckpt *below;
    const struct qk_overlay_patch *patches; /* by tensor, then at; n + 1st: an end */
    const size_t *first;                    /* (n_tensors + 1) patches of tensor i: [first[i], first[i + 1]) */
};

/* qk_ckpt_read of an overlay; t is one of its tensors and the range lies in it. */
enum qk_code qk_overlay_read(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t at, size_t n, void *buf,
                             struct qk_err *err) QK_CHECKED;

/* A checkpoint with an arena and nothing else, for qk_ckpt_close; NULL when out of memory. */
struct qk_ckpt *qk_ckpt_new_empty(struct qk_arena **ret_arena);
/* release(ctx) will be called when the checkpoint is closed, last. */
void qk_ckpt_own(struct qk_ckpt *ckpt, void (*release)(void *ctx), void *ctx);

#endif
