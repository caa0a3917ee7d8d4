/* Tiles of stored weights as floats. */
#ifndef QK_FORWARD_MATMUL_TILE_H
#define QK_FORWARD_MATMUL_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ckpt/ckpt.h"
#include "model/model.h"

#define QK_TILE_RAW_BYTES ((size_t)1 << 20)

/* Rows [first, first + n) of the logical matrix that block's tensor stores, as floats without the 8-bit scale: (n, d)
 * row-major, or (d, n) when the storage is transposed. raw: QK_TILE_RAW_BYTES. */
enum qk_code qk_tile_read(const struct qk_ckpt *ckpt, const struct qk_rows *block, uint64_t first, size_t n, size_t d,
                          unsigned char *raw, float *tile, struct qk_err *err) QK_CHECKED;
/* The same as packed panels (num/float_panels.h) with stride d · QK_PANEL_COLUMNS. tile: n · d floats of work. */
enum qk_code qk_tile_pack(const struct qk_ckpt *ckpt, const struct qk_rows *block, uint64_t first, size_t n, size_t d,
                          unsigned char *raw, float *tile, float *panels, struct qk_err *err) QK_CHECKED;

#endif
