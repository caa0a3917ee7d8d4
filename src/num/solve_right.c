/* B := B U⁻¹ for the small square matrices of the metrics: rows of B are independent and lie side by side in memory, so
 * 64 of them are solved at once, in registers. xTRSM spends its time on packing and on the scalar parts of its kernel
 * (12 GF/s at 128 × 128; this: about four times that). */
#include <string.h>

#include "num/blas.h"
#include "simd.h"

/* 8 doubles; the compiler splits them where the CPU's registers are narrower. */
typedef double v8 __attribute__((vector_size(64)));

enum { LANES = 8, STRIP = 64 };

/* Vectors are passed by address: by value they would have another ABI in every copy of the kernel. */
QK_SIMD_BODY void load(v8 *x, const double *p)
{
    memcpy(x, p, sizeof *x);
}

#define EACH(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)
#define BEGIN(i)                                                                                                       \
    v8 a##i;                                                                                                           \
    load(&a##i, x + (i)*LANES);
#define STEP(i)                                                                                                        \
    {                                                                                                                  \
        v8 other;                                                                                                      \
        load(&other, y + (i)*LANES);                                                                                   \
        a##i -= other * f;                                                                                             \
    }
#define END(i)                                                                                                         \
    a##i /= d;                                                                                                         \
    memcpy(x + (i)*LANES, &a##i, sizeof a##i);

/* 64 rows, column by column: x_j = (b_j − Σ_{l<j} x_l u_lj) / u_jj. */
QK_SIMD_BODY void solve_strip(size_t n, const double *u, size_t ldu, double *b, size_t ldb)
{
    for (size_t j = 0; j < n; j++) {
        double *x = b + j * ldb, d = u[j + j * ldu];
        EACH(BEGIN)
        for (size_t l = 0; l < j; l++) {
            const double *y = b + l * ldb;
            double f = u[l + j * ldu];
            EACH(STEP)
        }
        EACH(END)
    }
}

/* What is left below the strips, row by row within each column. */
QK_SIMD_BODY void solve_rest(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb)
{
    for (size_t j = 0; j < n; j++) {
        double *x = b + j * ldb;
        for (size_t l = 0; l < j; l++) {
            const double *y = b + l * ldb;
            double f = u[l + j * ldu];
            for (size_t i = 0; i < m; i++) {
                x[i] -= y[i] * f;
            }
        }
        for (size_t i = 0; i < m; i++) {
            x[i] /= u[j + j * ldu];
        }
    }
}

QK_SIMD_BODY void solve_right_body(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb)
{
    size_t i = 0;
    for (; i + STRIP <= m; i += STRIP) {
        solve_strip(n, u, ldu, b + i, ldb);
    }
    if (i < m) {
        solve_rest(m - i, n, u, ldu, b + i, ldb);
    }
}

QK_SIMD_KERNEL(static, solve_right, (size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb),
               (m, n, u, ldu, b, ldb))

void qk_solve_right(size_t m, size_t n, const double *u, size_t ldu, double *b, size_t ldb)
{
    solve_right(m, n, u, ldu, b, ldb);
}

void qk_transpose(size_t n, const double *a, size_t lda, double *b, size_t ldb)
{
    for (size_t j0 = 0; j0 < n; j0 += LANES) {
        size_t j1 = j0 + LANES < n ? j0 + LANES : n;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = j0; j < j1; j++) {
                b[j + i * ldb] = a[i + j * lda];
            }
        }
    }
}
