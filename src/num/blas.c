/* BLAS level 3 and Cholesky behind size_t arguments. */
#include <assert.h>
#include <cblas.h>
#include <lapacke.h>
#include <stdint.h>

#include "lapack_size.h"
#include "num/blas.h"

void qk_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, double alpha, const double *a, size_t lda, const double *b,
             size_t ldb, double beta, double *c, size_t ldc)
{
    if (m == 0 || n == 0) {
        return;
    }
    cblas_dgemm(CblasColMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, qk_lapack_size(m),
                qk_lapack_size(n), qk_lapack_size(k), alpha, a, qk_lapack_size(lda), b, qk_lapack_size(ldb), beta, c,
                qk_lapack_size(ldc));
}

void qk_syrk_t(size_t n, size_t k, const double *a, size_t lda, double beta, double *c, size_t ldc)
{
    if (n == 0) {
        return;
    }
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, qk_lapack_size(n), qk_lapack_size(k), 1.0, a,
                qk_lapack_size(lda), beta, c, qk_lapack_size(ldc));
}

void qk_symmetrise(size_t n, double *a, size_t lda)
{
    /* In squares: a column sweep alone would miss the cache with every store of a large matrix. */
    enum { TILE = 32 };
    for (size_t j0 = 0; j0 < n; j0 += TILE) {
        size_t j1 = j0 + TILE < n ? j0 + TILE : n;
        for (size_t i0 = 0; i0 <= j0; i0 += TILE) {
            for (size_t j = j0; j < j1; j++) {
                size_t i1 = i0 + TILE < j ? i0 + TILE : j;
                for (size_t i = i0; i < i1; i++) {
                    a[j + i * lda] = a[i + j * lda];
                }
            }
        }
    }
}

bool qk_cholesky(size_t n, double *a, size_t lda)
{
    if (n == 0) {
        return true;
    }
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', qk_lapack_size(n), a, qk_lapack_size(lda)) != 0) {
        return false;
    }
    /* a NaN anywhere in the triangle reaches the diagonal, but OpenBLAS's test for a pivot ≤ 0 lets it pass */
    for (size_t i = 0; i < n; i++) {
        if (!(a[i + i * lda] > 0)) {
            return false;
        }
    }
    return true;
}

void qk_trsm_upper(bool trans, size_t n, size_t m, const double *u, size_t ldu, double *b, size_t ldb)
{
    if (n == 0 || m == 0) {
        return;
    }
    /* xTRSM packs its triangle, whatever is to be solved */
    if (m == 1) {
        cblas_dtrsv(CblasColMajor, CblasUpper, trans ? CblasTrans : CblasNoTrans, CblasNonUnit, qk_lapack_size(n), u,
                    qk_lapack_size(ldu), b, 1);
        return;
    }
    cblas_dtrsm(CblasColMajor, CblasLeft, CblasUpper, trans ? CblasTrans : CblasNoTrans, CblasNonUnit,
                qk_lapack_size(n), qk_lapack_size(m), 1.0, u, qk_lapack_size(ldu), b, qk_lapack_size(ldb));
}

void qk_trsm_upper_right(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb)
{
    if (n == 0 || m == 0) {
        return;
    }
    cblas_dtrsm(CblasColMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, qk_lapack_size(m), qk_lapack_size(n),
                1.0, u, qk_lapack_size(ldu), b, qk_lapack_size(ldb));
}

double qk_norm2(size_t n, const double *x)
{
    return n == 0 ? 0.0 : cblas_dnrm2(qk_lapack_size(n), x, 1);
}

double qk_dot(size_t n, const double *x, const double *y)
{
    return n == 0 ? 0.0 : cblas_ddot(qk_lapack_size(n), x, 1, y, 1);
}
