/* Float products whose right factor is packed beforehand: what the forward pass spends its time on.
 *
 * The right factor B (k, n) is cut into panels of QK_PANEL_COLUMNS columns; element (l, j) of panel p is at
 * [p · stride + l · QK_PANEL_COLUMNS + j], zero behind the last column. stride is at least k · QK_PANEL_COLUMNS, so
 * that a panel may go on behind the k rows of a product. The left factor and the result are row-major as they are;
 * nothing is copied, which is what small products gain by.
 *
 * C = α A B: an element is summed over blocks of 256 products, in order inside a block by fused multiply-adds where the
 * CPU has them. For given sizes and a given CPU the result is the same bits every time, however the rows are cut. One
 * thread per call. */
#ifndef QK_NUM_FLOAT_PANELS_H
#define QK_NUM_FLOAT_PANELS_H

#include <stdbool.h>
#include <stddef.h>

#define QK_PANEL_COLUMNS ((size_t)32)

/* Panels of n columns, and their floats with k rows each; SIZE_MAX when that overflows. */
size_t qk_float_panels_count(size_t n);
size_t qk_float_panels_size(size_t k, size_t n);

/* B = Wᵀ of w (n, k) with leading dimension ldw: rows of w become columns. */
void qk_float_panels_pack_transposed(size_t k, size_t n, const float *w, size_t ldw, size_t stride, float *panels);
/* B = b (k, n) with leading dimension ldb. */
void qk_float_panels_pack(size_t k, size_t n, const float *b, size_t ldb, size_t stride, float *panels);

/* C (m, n) := alpha · A B, or + C when add. A (m, k) with leading dimension lda. */
void qk_float_panels_product(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *panels,
                             size_t stride, bool add, float *c, size_t ldc);

#endif
