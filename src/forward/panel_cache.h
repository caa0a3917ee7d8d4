/* Weights of a small model as packed float32 panels (num/float_panels.h), kept from their first use on, so that neither
 * a batch of sequences nor decoding reads and widens them again and again. Bounded: what does not fit is not kept. */
#ifndef QK_FORWARD_PANEL_CACHE_H
#define QK_FORWARD_PANEL_CACHE_H

#include "base/err.h"
#include "base/pool.h"
#include "ckpt/ckpt.h"
#include "model/model.h"

struct qk_panel_cache {
    size_t limit, bytes; /* limit 0: keeps nothing */
    size_t n, cap;
    struct qk_kept_panels *slots; /* hash table */
};

/* Models whose weights take more than this as floats are read anew each time. */
#define QK_PANEL_CACHE_MOST ((size_t)256 << 20)
/* The limit for a checkpoint: QK_PANEL_CACHE_MOST when all of its tensors fit as floats, else 0. */
size_t qk_panel_cache_limit(const struct qk_ckpt *ckpt);
/* Bytes that its tensors take when they are kept; 0 when they are not. */
size_t qk_panel_cache_plan(const struct qk_ckpt *ckpt);

/* The block (count, d) as panels with stride d · QK_PANEL_COLUMNS, without an 8-bit scale; *ret NULL when it does not
 * fit. Valid until the cache is released. ckpt must live as long. */
enum qk_code qk_panel_cache_take(struct qk_panel_cache *cache, const struct qk_ckpt *ckpt, const struct qk_rows *block,
                                 size_t d, struct qk_pool *pool, const float **ret, struct qk_err *err) QK_CHECKED;
/* Forgets everything; the limit stays. */
void qk_panel_cache_release(struct qk_panel_cache *cache);

#endif
