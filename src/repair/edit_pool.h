/* Every edit's bytes, made on a pool and handed out in pieces. Private to the layer. */
#ifndef QK_REPAIR_EDIT_POOL_H
#define QK_REPAIR_EDIT_POOL_H

#include "base/pool.h"
#include "repair/edit.h"

/* A piece: n bytes of the edit's tensor from byte at on. Called from any worker, for distinct pieces. */
typedef enum qk_code (*qk_edit_put_fn)(void *ctx, const struct qk_edit *edit, uint64_t at, size_t n, const void *bytes,
                                       struct qk_err *err);

/* Which edits: the aligned ones (a head is made once, by one worker), or all others. Checks for an interruption between
 * heads and between pieces of a few hundred KiB. */
enum qk_code qk_edit_pool_aligned(const struct qk_edits *edits, struct qk_pool *pool, qk_edit_put_fn put, void *ctx,
                                  struct qk_err *err) QK_CHECKED;
enum qk_code qk_edit_pool_others(const struct qk_edits *edits, struct qk_pool *pool, qk_edit_put_fn put, void *ctx,
                                 struct qk_err *err) QK_CHECKED;

#endif
