/* A checkpoint seen with some of its bytes replaced in memory: Q and K rows of another checkpoint swapped in, an
 * adapter added. Everything that reads tensors (models, forward passes, drift) sees the replaced bytes; the files stay
 * as they are.
 *
 * An overlay borrows the checkpoint below, its own shards and config included; it must be closed before it
 * (qk_ckpt_close). Reads are thread-safe when the patches' read functions are. */
#ifndef QK_CKPT_OVERLAY_H
#define QK_CKPT_OVERLAY_H

#include <stddef.h>
#include <stdint.h>

#include "ckpt/ckpt.h"

/* n bytes of the patched tensor from byte at on, counted in the tensor as the overlay shows it. */
typedef enum qk_code (*qk_overlay_read_fn)(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err);

/* Bytes [at, at + n) of a tensor of the checkpoint below. Either bytes (n of them, borrowed, must outlive the overlay)
 * or read. dtype: as the overlay shows the tensor; other than the tensor's own only for a patch with read of the whole
 * tensor (at 0, n = its bytes in that dtype). */
struct qk_overlay_patch {
    const struct qk_tensor *tensor;
    uint64_t at, n;
    enum qk_dtype dtype;
    const void *bytes; /* NULL: read */
    qk_overlay_read_fn read;
    void *ctx;
};

/* *ret shows below with the patches laid over it; to be closed by qk_ckpt_close. Tensors whose dtype stays keep their
 * order and names; pointers to tensors are the overlay's own: find them by name or by index. name: in results, copied.
 * The patches are copied. Patches that overlap or reach out of their tensor are QK_EINTERNAL. O(patches log patches).
 */
enum qk_code qk_ckpt_overlay(const struct qk_ckpt *below, const char *name, size_t n,
                             const struct qk_overlay_patch *patches, struct qk_ckpt **ret,
                             struct qk_err *err) QK_CHECKED;

#endif
