/* Element-wise work on rows of activations, spread over the pool in blocks of rows. */
#ifndef QK_FORWARD_ROW_BLOCKS_H
#define QK_FORWARD_ROW_BLOCKS_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"

/* Calls run for all rows, n from first on at a time; width: floats of a row. Little work stays on the calling thread.
 */
enum qk_code qk_row_blocks(struct qk_pool *pool, size_t n_rows, size_t width,
                           void (*run)(const void *ctx, size_t first, size_t n), const void *ctx,
                           struct qk_err *err) QK_CHECKED;

#endif
