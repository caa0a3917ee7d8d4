/* Single-precision products for the forward pass, on row-major matrices: the only way to BLAS's float kernels.
 *
 * Element (i, j) of a matrix with leading dimension ld is at [i · ld + j]. One thread per call (qk_blas_init); callers
 * thread over tiles or heads. For given sizes and a given BLAS core the result is the same bits every time. */
#ifndef QK_NUM_SBLAS_H
#define QK_NUM_SBLAS_H

#include <stdbool.h>
#include <stddef.h>

/* C := alpha · op(A) op(B) + beta · C; C is (m, n), inner dimension k, op is transpose where ta/tb. beta 0: C need not
 * be initialised. A single row or column goes to the matrix-vector kernels, which read the matrix once and do not copy
 * it. */
void qk_sgemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
              size_t ldb, float beta, float *c, size_t ldc);
/* B := L⁻¹ B with L (m, m) lower triangular with ones on its diagonal (diagonal and upper part are not read), B (m, n).
 */
void qk_strsm_unit_lower(size_t m, size_t n, const float *l, size_t ldl, float *b, size_t ldb);

#endif
