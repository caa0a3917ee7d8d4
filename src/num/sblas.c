/* BLAS in single precision behind size_t arguments, row-major. */
#include "num/sblas.h"

#include <cblas.h>
#include <string.h>

#include "lapack_size.h"

/* y := alpha · M x + beta · y. */
static void multiply_vector(bool trans, size_t rows, size_t cols, float alpha, const float *matrix, size_t ld,
                            const float *x, size_t x_step, float beta, float *y, size_t y_step)
{
    cblas_sgemv(CblasRowMajor, trans ? CblasTrans : CblasNoTrans, qk_lapack_size(rows), qk_lapack_size(cols), alpha,
                matrix, qk_lapack_size(ld), x, qk_lapack_size(x_step), beta, y, qk_lapack_size(y_step));
}

static void clear(size_t m, size_t n, float *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        memset(c + i * ldc, 0, n * sizeof *c);
    }
}

void qk_sgemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
              size_t ldb, float beta, float *c, size_t ldc)
{
    if (m == 0 || n == 0) {
        return;
    }
    if (beta == 0) {
        clear(m, n, c, ldc); /* some versions of BLAS multiply what is there by zero, which keeps a NaN */
        beta = 1;
    }
    if (k == 0) {
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                c[i * ldc + j] *= beta;
            }
        }
    } else if (m == 1) {
        multiply_vector(!tb, tb ? n : k, tb ? k : n, alpha, b, ldb, a, ta ? lda : 1, beta, c, 1);
    } else if (n == 1) {
        multiply_vector(ta, ta ? k : m, ta ? m : k, alpha, a, lda, b, tb ? 1 : ldb, beta, c, ldc);
    } else {
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, qk_lapack_size(m),
                    qk_lapack_size(n), qk_lapack_size(k), alpha, a, qk_lapack_size(lda), b, qk_lapack_size(ldb), beta,
                    c, qk_lapack_size(ldc));
    }
}

void qk_strsm_unit_lower(size_t m, size_t n, const float *l, size_t ldl, float *b, size_t ldb)
{
    if (m == 0 || n == 0) {
        return;
    }
    cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, qk_lapack_size(m), qk_lapack_size(n),
                1.0f, l, qk_lapack_size(ldl), b, qk_lapack_size(ldb));
}
