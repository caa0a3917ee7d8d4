/* Kernels for matrices that fit the cache: solves from the right, transposes, the largest eigenvalue alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "num/blas.h"
#include "simd.h"

static const size_t sizes[] = {1, 2, 3, 8, 17, 63, 64, 65, 128, 130};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static double *draw(size_t n, uint64_t seed)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    struct qk_rng rng;
    assert_non_null(p);
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        p[i] = qk_rng_normal(&rng);
    }
    return p;
}

/* X U = B to rounding, the same bits at every instruction set, nothing outside B touched. */
static void check_solve(size_t m, size_t n)
{
    size_t ldu = n + 2, ldb = m + 3;
    double *u = draw(ldu * n, 1), *b = draw(ldb * n, 2), *x = draw(ldb * n, 3), *first = draw(ldb * n, 3);
    for (size_t j = 0; j < n; j++) {
        u[j + j * ldu] = 2 + fabs(u[j + j * ldu]) + sqrt((double)n);
    }
    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        memcpy(x, b, ldb * n * sizeof *x);
        qk_solve_right(m, n, u, ldu, x, ldb);
        if (level == QK_SIMD_BASE) {
            memcpy(first, x, ldb * n * sizeof *x);
        }
        assert_memory_equal(first, x, ldb * n * sizeof *x);
    }
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < m; i++) {
            long double sum = 0, size = 0;
            for (size_t l = 0; l <= j; l++) {
                sum += (long double)x[i + l * ldb] * u[l + j * ldu];
                size += fabsl((long double)x[i + l * ldb] * u[l + j * ldu]);
            }
            assert_true(fabsl(sum - b[i + j * ldb]) <= (long double)(n + 2) * DBL_EPSILON * size);
        }
        for (size_t i = m; i < ldb; i++) {
            assert_true(x[i + j * ldb] == b[i + j * ldb]);
        }
    }
    double *all[] = {u, b, x, first};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

static void test_solve_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_SIZES; j++) {
            check_solve(sizes[i], sizes[j]);
        }
    }
    qk_solve_right(0, 3, NULL, 3, NULL, 1);
    qk_solve_right(3, 0, NULL, 1, NULL, 3);
    qk_simd_limit(QK_SIMD_V4);
}

static void test_transpose(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SIZES; s++) {
        size_t n = sizes[s], lda = n + 1, ldb = n + 2;
        double *a = draw(lda * n, 4), *b = draw(ldb * n, 5);
        qk_transpose(n, a, lda, b, ldb);
        for (size_t i = 0; i < n * n; i++) {
            assert_true(b[i / n + i % n * ldb] == a[i % n + i / n * lda]);
        }
        qk_free(a);
        qk_free(b);
    }
}

/* Against all eigenvalues by the driver; a is destroyed. */
static void check_largest(size_t n, double *a)
{
    double *copy = draw(n * n, 0), *w = draw(n, 0), *work = draw(qk_eig_work(n), 0), largest = NAN, size = 0;
    memcpy(copy, a, n * n * sizeof *a);
    assert_int_equal(qk_eig_sym(n, copy, n, false, w, work, NULL), QK_OK);
    assert_int_equal(qk_eig_sym_largest(n, a, n, &largest, work, NULL), QK_OK);
    for (size_t i = 0; i < n; i++) {
        size = fmax(size, fabs(w[i]));
    }
    assert_true(fabs(largest - w[n - 1]) <= 8 * (double)(n + 4) * DBL_EPSILON * size);
    qk_free(copy);
    qk_free(w);
    qk_free(work);
}

static void test_largest(void **state)
{
    static const double scales[] = {1, -1, 1e-150, 1e140};
    (void)state;
    for (size_t s = 0; s < N_SIZES; s++) {
        size_t n = sizes[s];
        for (size_t k = 0; k < sizeof scales / sizeof scales[0]; k++) {
            double *a = draw(n * n, 6 + k);
            for (size_t i = 0; i < n * n; i++) {
                a[i] *= scales[k];
            }
            check_largest(n, a);
            qk_free(a);
        }
        /* one value many times over, and one that stands alone */
        for (int how = 0; how < 3; how++) {
            double *a = draw(n * n, 9);
            memset(a, 0, n * n * sizeof *a);
            for (size_t i = 0; i < n; i++) {
                a[i + i * n] = how == 0 ? 3 : how == 1 ? (double)(i == n / 2) : -1 - (double)i;
            }
            check_largest(n, a);
            qk_free(a);
        }
    }
}

static void test_largest_edges(void **state)
{
    double zero[4] = {0}, bad[4] = {1, 0, NAN, 1}, work[600], largest = -1;
    struct qk_err err = {0};
    (void)state;
    assert_true(qk_eig_work(2) <= sizeof work / sizeof work[0]);
    assert_int_equal(qk_eig_sym_largest(2, zero, 2, &largest, work, &err), QK_OK);
    assert_true(largest == 0);
    assert_int_equal(qk_eig_sym_largest(2, bad, 2, &largest, work, &err), QK_EFORMAT);
}

static int set_up(void **state)
{
    (void)state;
    qk_blas_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solve_right),
        cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_largest_edges),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
