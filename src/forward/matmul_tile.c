/* Reading a tile: contiguous rows in pieces, or a stripe of every stored row of a transposed tensor. */
#include "matmul_tile.h"

#include "num/float_panels.h"

/* n stored elements from element `at` on. */
static enum qk_code read_elements(const struct qk_ckpt *ckpt, const struct qk_tensor *t, uint64_t at, size_t n,
                                  unsigned char *raw, float *dst, struct qk_err *err)
{
    const struct qk_dtype_info *dtype = qk_dtype_info(t->dtype);
    size_t width = dtype->bits / 8, most = QK_TILE_RAW_BYTES / width;
    for (size_t done = 0; done < n; done += most) {
        size_t piece = n - done < most ? n - done : most;
        QK_TRY(qk_ckpt_read(ckpt, t, (at + done) * width, piece * width, raw, err));
        dtype->to_f32(raw, piece, dst + done);
    }
    return QK_OK;
}

enum qk_code qk_tile_read(const struct qk_ckpt *ckpt, const struct qk_rows *block, uint64_t first, size_t n, size_t d,
                          unsigned char *raw, float *tile, struct qk_err *err)
{
    if (!block->transposed) {
        return read_elements(ckpt, block->tensor, first * d, n * d, raw, tile, err);
    }
    uint64_t stored_cols, stored_rows;
    qk_rows_shape(block, &stored_cols, &stored_rows);
    for (size_t i = 0; i < d; i++) {
        QK_TRY(read_elements(ckpt, block->tensor, i * stored_cols + first, n, raw, tile + i * n, err));
    }
    return QK_OK;
}

enum qk_code qk_tile_pack(const struct qk_ckpt *ckpt, const struct qk_rows *block, uint64_t first, size_t n, size_t d,
                          unsigned char *raw, float *tile, float *panels, struct qk_err *err)
{
    size_t stride = d * QK_PANEL_COLUMNS;
    if (block->transposed) {
        QK_TRY(qk_tile_read(ckpt, block, first, n, d, raw, tile, err));
        qk_float_panels_pack(d, n, tile, n, stride, panels);
        return QK_OK;
    }
    /* a panel at a time, while its rows are in the cache */
    for (size_t row = 0; row < n; row += QK_PANEL_COLUMNS) {
        size_t rows = n - row < QK_PANEL_COLUMNS ? n - row : QK_PANEL_COLUMNS;
        QK_TRY(qk_tile_read(ckpt, block, first + row, rows, d, raw, tile, err));
        qk_float_panels_pack_transposed(d, rows, tile, d, stride, panels + row * d);
    }
    return QK_OK;
}
