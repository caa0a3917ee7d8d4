/* Dense linear algebra in double precision: the only way to BLAS and LAPACK.
 *
 * Matrices are column-major with leading dimension ld, as LAPACK wants them; a row-major (K, D) block of a weight
 * matrix, as the checkpoint stores it, IS the column-major (D, K) matrix Wᵀ. Sizes are size_t and checked to fit
 * lapack_int. Nothing allocates except where said: workspaces are passed in.
 *
 * Threads: qk_blas_init makes BLAS single-threaded; parallelism is over heads in qk_pool. */
#ifndef QK_NUM_BLAS_H
#define QK_NUM_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* One BLAS thread, LAPACKE's NaN checks off. Call once at the start of the program. */
void qk_blas_init(void);
/* What is really loaded, e.g. "OpenBLAS 0.3.21 DYNAMIC_ARCH …" and the kernel set in use, e.g. "SkylakeX". */
const char *qk_blas_config(void);
const char *qk_blas_core(void);
/* OpenBLAS 0.3.21 does not know CPUs newer than itself and falls back to its oldest kernels (a fifth of the speed).
 * Gives the OPENBLAS_CORETYPE that this CPU's features allow when it is better than the core in use, else NULL.
 * The variable is read when the library is loaded, so the program must set it and re-execute itself. */
const char *qk_blas_better_core(void);
/* Space-separated CPU features that matter here ("avx2 fma avx512f …"). */
const char *qk_cpu_features(void);

/* C := alpha · op(A) op(B) + beta · C; op is transpose where ta/tb. C is (m, n), inner dimension k. */
void qk_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, double alpha, const double *a, size_t lda, const double *b,
             size_t ldb, double beta, double *c, size_t ldc);
/* C (n, n) := AᵀA + beta · C with A (k, n): upper triangle only. */
void qk_syrk_t(size_t n, size_t k, const double *a, size_t lda, double beta, double *c, size_t ldc);
/* Copies the upper triangle to the lower. */
void qk_symmetrise(size_t n, double *a, size_t lda);

/* Eigenvalues (ascending) of symmetric A (upper triangle used, destroyed); with vectors: A := eigenvectors in columns.
 * work: qk_eig_work(n) doubles. */
size_t qk_eig_work(size_t n);
enum qk_code qk_eig_sym(size_t n, double *a, size_t lda, bool vectors, double *w, double *work,
                        struct qk_err *err) QK_CHECKED;
/* The largest eigenvalue alone: tridiagonal form, then bisection to the last bits. A destroyed; work: qk_eig_work(n).
 */
enum qk_code qk_eig_sym_largest(size_t n, double *a, size_t lda, double *ret, double *work,
                                struct qk_err *err) QK_CHECKED;
/* Singular values (descending, min(m,n)) and optionally U (m, min) and Vᵀ (min, n); A destroyed. xGESDD, falling back
 * to xGESVD when it does not converge (*ret_fell_back, may be NULL). work: qk_svd_work(m, n) doubles. */
size_t qk_svd_work(size_t m, size_t n);
enum qk_code qk_svd(size_t m, size_t n, double *a, size_t lda, double *s, double *u, size_t ldu, double *vt,
                    size_t ldvt, double *work, bool *ret_fell_back, struct qk_err *err) QK_CHECKED;
/* Cholesky A = UᵀU in the upper triangle. False when not positive definite. */
bool qk_cholesky(size_t n, double *a, size_t lda);
/* B := U⁻ᵀ B (trans) or U⁻¹ B, U (n, n) upper triangular, B (n, m). */
void qk_trsm_upper(bool trans, size_t n, size_t m, const double *u, size_t ldu, double *b, size_t ldb);
/* B := B U⁻¹, B (m, n). */
void qk_trsm_upper_right(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb);
/* The same for matrices that fit the cache: several times faster for m, n of 64 to 256. */
void qk_solve_right(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb);
/* B (n, n) := Aᵀ; no overlap. */
void qk_transpose(size_t n, const double *a, size_t lda, double *b, size_t ldb);
/* Reciprocal condition number (1-norm estimate) of U upper triangular, work 4n doubles. */
double qk_rcond_upper(size_t n, const double *u, size_t ldu, double *work);
/* Thin QR of any A (m, n), p = min(m, n): the first p columns of A := Q (m, p) (want_q; else A is destroyed), r (p, n)
 * upper trapezoidal. With column pivoting: A(:, jpvt) = Q r, jpvt 0-based, |r_ii| descending. work: qk_qr_work(m, n).
 */
size_t qk_qr_work(size_t m, size_t n);
enum qk_code qk_qr(size_t m, size_t n, bool want_q, double *a, size_t lda, double *r, size_t ldr, double *work,
                   struct qk_err *err) QK_CHECKED;
enum qk_code qk_qr_pivot(size_t m, size_t n, double *a, size_t lda, double *r, size_t ldr, size_t *jpvt, double *work,
                         struct qk_err *err) QK_CHECKED;
/* A := A⁻¹ by LU; false when a pivot is exactly zero. work: qk_invert_work(n). */
size_t qk_invert_work(size_t n);
bool qk_invert(size_t n, double *a, size_t lda, double *work);
/* Euclidean norm without overflow; dot product (both fixed order for a given BLAS core). */
double qk_norm2(size_t n, const double *x);
double qk_dot(size_t n, const double *x, const double *y);

#endif
