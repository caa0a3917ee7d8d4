/* Wrappers of BLAS and LAPACK: residual ratios on shapes from 0 up, and on ill-conditioned, tiny and huge matrices.
 *
 * A residual ratio is ‖what should vanish‖ / (size of the problem × ε × norm): a backward stable method keeps it at a
 * small constant (LAPACK's own tests ask for 30). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "num/blas.h"

static const double MOST_RATIO = 30;

static double *doubles(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

static double *random_matrix(size_t n, uint64_t seed, double size)
{
    struct qk_rng rng;
    double *a = doubles(n);
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        a[i] = size * qk_rng_normal(&rng);
    }
    return a;
}

static double *copy_of(const double *a, size_t n)
{
    double *b = doubles(n);
    memcpy(b, a, n * sizeof *a);
    return b;
}

static double frobenius(size_t n, const double *a)
{
    long double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (long double)a[i] * a[i];
    }
    return (double)sqrtl(sum);
}

/* out (m, n) := op(a) op(b), inner k, without BLAS. */
static void multiply(bool ta, bool tb, size_t m, size_t n, size_t k, const double *a, size_t lda, const double *b,
                     size_t ldb, double *out)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < m; i++) {
            long double sum = 0;
            for (size_t l = 0; l < k; l++) {
                sum += (long double)(ta ? a[l + i * lda] : a[i + l * lda]) * (tb ? b[j + l * ldb] : b[l + j * ldb]);
            }
            out[i + j * m] = (double)sum;
        }
    }
}

/* ‖a − b‖ / (dim ε scale). */
static double ratio(size_t n, const double *a, const double *b, size_t dim, double scale)
{
    double *d = doubles(n);
    for (size_t i = 0; i < n; i++) {
        d[i] = a[i] - b[i];
    }
    double size = frobenius(n, d);
    qk_free(d);
    return size == 0 ? 0 : size / ((double)(dim + 1) * DBL_EPSILON * scale);
}

static double orthogonality(size_t m, size_t n, const double *q)
{
    double *g = doubles(n * n), *one = doubles(n * n);
    multiply(true, false, n, n, m, q, m, q, m, g);
    memset(one, 0, n * n * sizeof *one);
    for (size_t i = 0; i < n; i++) {
        one[i + i * n] = 1;
    }
    double result = ratio(n * n, g, one, m, 1);
    qk_free(g);
    qk_free(one);
    return result;
}

static const size_t sizes[] = {0, 1, 2, 3, 7, 16, 33, 65};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void check_product(size_t m, size_t n, size_t k)
{
    for (int t = 0; t < 4; t++) {
        bool ta = t & 1, tb = t & 2;
        size_t lda = (ta ? k : m) + 3, ldb = (tb ? n : k) + 2, ldc = m + 1;
        double *a = random_matrix(lda * (ta ? m : k), 1, 1), *b = random_matrix(ldb * (tb ? k : n), 2, 1);
        double *c = random_matrix(ldc * n, 3, 1), *before = copy_of(c, ldc * n), *product = doubles(m * n);
        multiply(ta, tb, m, n, k, a, lda, b, ldb, product);
        qk_gemm(ta, tb, m, n, k, -2, a, lda, b, ldb, 0.5, c, ldc);
        for (size_t j = 0; j < n; j++) {
            for (size_t i = 0; i < m; i++) {
                double expected = 0.5 * before[i + j * ldc] - 2 * product[i + j * m];
                /* k terms of size about 1 to 10 */
                assert_true(fabs(c[i + j * ldc] - expected) <= 20 * (double)(k + 1) * DBL_EPSILON);
            }
            assert_true(c[m + j * ldc] == before[m + j * ldc]);
        }
        qk_free(a);
        qk_free(b);
        qk_free(c);
        qk_free(before);
        qk_free(product);
    }
}

static void test_gemm(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_SIZES; j++) {
            check_product(sizes[i], sizes[j], sizes[(i + j) % N_SIZES]);
        }
    }
}

static void check_cholesky(size_t n, double size)
{
    size_t rows = n + 5;
    double *a = random_matrix(rows * n, 4, size), *c = doubles(n * n), *u, *b, *x, *back = doubles(n * n);
    memset(c, 0, n * n * sizeof *c);
    qk_syrk_t(n, rows, a, rows, 0, c, n);
    qk_symmetrise(n, c, n);
    multiply(true, false, n, n, rows, a, rows, a, rows, back);
    assert_true(ratio(n * n, c, back, rows, frobenius(n * n, back)) <= MOST_RATIO);
    u = copy_of(c, n * n);
    assert_true(qk_cholesky(n, u, n));
    for (size_t j = 0; j < n; j++) {
        memset(u + j * n + j + 1, 0, (n - j - 1) * sizeof *u);
    }
    multiply(true, false, n, n, n, u, n, u, n, back);
    assert_true(ratio(n * n, c, back, n, frobenius(n * n, c)) <= MOST_RATIO);

    b = random_matrix(n * 3, 5, 1);
    for (int trans = 0; trans < 2; trans++) {
        x = copy_of(b, n * 3);
        qk_trsm_upper(trans, n, 3, u, n, x, n);
        multiply(trans, false, n, 3, n, u, n, x, n, back);
        assert_true(n == 0 || ratio(n * 3, b, back, n, frobenius(n * n, u) * frobenius(n * 3, x)) <= MOST_RATIO);
        qk_free(x);
    }
    x = copy_of(b, n * 3); /* the same numbers as (3, n) */
    qk_trsm_upper_right(3, n, u, n, x, 3);
    multiply(false, false, 3, n, n, x, 3, u, n, back);
    assert_true(n == 0 || ratio(n * 3, b, back, n, frobenius(n * n, u) * frobenius(n * 3, x)) <= MOST_RATIO);
    qk_free(x);
    qk_free(a);
    qk_free(b);
    qk_free(c);
    qk_free(u);
    qk_free(back);
}

static void test_cholesky(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZES; i++) {
        /* back is reused for (n, 3) results, which need n ≥ 3 or n = 0 */
        if (sizes[i] == 0 || sizes[i] >= 3) {
            check_cholesky(sizes[i], 1);
            check_cholesky(sizes[i], 1e-120);
            check_cholesky(sizes[i], 1e120);
        }
    }
    double indefinite[4] = {1, 0, 2, 1}, nan[1] = {NAN};
    assert_false(qk_cholesky(2, indefinite, 2));
    assert_false(qk_cholesky(1, nan, 1));
}

static void test_rcond(void **state)
{
    (void)state;
    enum { N = 12 };
    double u[N * N] = {0}, work[4 * N];
    for (size_t i = 0; i < N; i++) {
        u[i + i * N] = pow(10, -(double)i);
    }
    /* diagonal: the 1-norm condition is the ratio of the ends */
    assert_true(fabs(qk_rcond_upper(N, u, N, work) / 1e-11 - 1) < 1e-12);
    u[5 + 5 * N] = 0;
    assert_true(qk_rcond_upper(N, u, N, work) == 0);
}

static void check_eigen(size_t n, double size)
{
    double *a = random_matrix(n * n, 6, size), *w = doubles(n), *w2 = doubles(n), *work = doubles(qk_eig_work(n));
    qk_symmetrise(n, a, n);
    double *v = copy_of(a, n * n), *values = copy_of(a, n * n), *av = doubles(n * n), *vw = doubles(n * n);
    /* only the upper triangle may be looked at */
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j + 1; i < n; i++) {
            v[i + j * n] = values[i + j * n] = NAN;
        }
    }
    assert_int_equal(qk_eig_sym(n, v, n, true, w, work, NULL), QK_OK);
    assert_int_equal(qk_eig_sym(n, values, n, false, w2, work, NULL), QK_OK);
    double scale = frobenius(n * n, a);
    multiply(false, false, n, n, n, a, n, v, n, av);
    for (size_t j = 0; j < n; j++) {
        assert_true(j == 0 || w[j] >= w[j - 1]);
        for (size_t i = 0; i < n; i++) {
            vw[i + j * n] = v[i + j * n] * w[j];
        }
    }
    assert_true(ratio(n * n, av, vw, n, scale) <= MOST_RATIO);
    assert_true(orthogonality(n, n, v) <= MOST_RATIO);
    assert_true(ratio(n, w, w2, n, scale) <= MOST_RATIO);
    double *all[] = {a, w, w2, work, v, values, av, vw};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

static void test_eigen(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SIZES; i++) {
        check_eigen(sizes[i], 1);
        check_eigen(sizes[i], 1e-200);
        check_eigen(sizes[i], 1e150);
    }
    struct qk_err err = {0};
    double bad[4] = {1, 0, NAN, 1}, w[2], work[512];
    assert_true(qk_eig_work(2) <= 512);
    assert_int_equal(qk_eig_sym(2, bad, 2, false, w, work, &err), QK_EFORMAT);
    assert_true(strstr(err.text, "NaN") != NULL);
}

/* U diag(s) Vᵀ with singular values from 1 down to 1/condition, times size. */
static double *conditioned(size_t m, size_t n, double condition, double size, uint64_t seed)
{
    size_t p = m < n ? m : n;
    double *u = random_matrix(m * p, seed, 1), *v = random_matrix(n * p, seed + 1, 1), *r = doubles(p * p);
    double *work = doubles(qk_qr_work(m > n ? m : n, p)), *a = doubles(m * n);
    assert_int_equal(qk_qr(m, p, true, u, m, r, p, work, NULL), QK_OK);
    assert_int_equal(qk_qr(n, p, true, v, n, r, p, work, NULL), QK_OK);
    for (size_t j = 0; j < p; j++) {
        double s = size * pow(condition, p > 1 ? -(double)j / (double)(p - 1) : 0);
        for (size_t i = 0; i < m; i++) {
            u[i + j * m] *= s;
        }
    }
    multiply(false, true, m, n, p, u, m, v, n, a);
    qk_free(u);
    qk_free(v);
    qk_free(r);
    qk_free(work);
    return a;
}

static void check_svd(size_t m, size_t n, double condition, double size)
{
    size_t p = m < n ? m : n;
    double *a = conditioned(m, n, condition, size, 8), *in = copy_of(a, m * n), *s = doubles(p), *s2 = doubles(p);
    double *u = doubles(m * p), *vt = doubles(p * n), *work = doubles(qk_svd_work(m, n)), *back = doubles(m * n);
    assert_int_equal(qk_svd(m, n, in, m, s, u, m, vt, p, work, NULL, NULL), QK_OK);
    memcpy(in, a, m * n * sizeof *a);
    bool fell_back = true;
    assert_int_equal(qk_svd(m, n, in, m, s2, NULL, 0, NULL, 0, work, &fell_back, NULL), QK_OK);
    assert_false(fell_back);
    double scale = frobenius(m * n, a);
    assert_true(ratio(p, s, s2, m + n, scale) <= MOST_RATIO);
    assert_true(orthogonality(m, p, u) <= MOST_RATIO);
    for (size_t j = 0; j < p; j++) {
        double expected = size * pow(condition, p > 1 ? -(double)j / (double)(p - 1) : 0);
        assert_true(fabs(s[j] - expected) <= MOST_RATIO * (double)(m + n) * DBL_EPSILON * size);
        for (size_t i = 0; i < m; i++) {
            u[i + j * m] *= s[j];
        }
    }
    multiply(false, false, m, n, p, u, m, vt, p, back);
    assert_true(ratio(m * n, a, back, m + n, scale) <= MOST_RATIO);
    double *all[] = {a, in, s, s2, u, vt, work, back};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

static void test_svd(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 3}, {3, 0}, {1, 1}, {1, 9}, {9, 1}, {2, 2}, {17, 17}, {200, 13}, {13, 200}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_svd(shapes[i][0], shapes[i][1], 1, 1);
        check_svd(shapes[i][0], shapes[i][1], 1e12, 1);
        check_svd(shapes[i][0], shapes[i][1], 100, 1e-140);
        check_svd(shapes[i][0], shapes[i][1], 100, 1e140);
    }
    struct qk_err err = {0};
    double bad[2] = {1, INFINITY}, s[1], work[1024];
    assert_true(qk_svd_work(2, 1) <= 1024);
    assert_int_equal(qk_svd(2, 1, bad, 2, s, NULL, 0, NULL, 0, work, NULL, &err), QK_EFORMAT);
}

static void check_qr(size_t m, size_t n, double condition, bool pivot)
{
    size_t p = m < n ? m : n;
    double *a = conditioned(m, n, condition, 1, 9), *q = copy_of(a, m * n), *r = doubles(p * n);
    double *work = doubles(qk_qr_work(m, n)), *back = doubles(m * n), *only = copy_of(a, m * n), *r2 = doubles(p * n);
    size_t jpvt[256];
    for (size_t j = 0; j < n; j++) {
        jpvt[j] = j;
    }
    if (pivot) {
        assert_int_equal(qk_qr_pivot(m, n, q, m, r, p, jpvt, work, NULL), QK_OK);
    } else {
        assert_int_equal(qk_qr(m, n, true, q, m, r, p, work, NULL), QK_OK);
        assert_int_equal(qk_qr(m, n, false, only, m, r2, p, work, NULL), QK_OK);
        assert_memory_equal(r, r2, p * n * sizeof *r);
    }
    assert_true(orthogonality(m, p, q) <= MOST_RATIO);
    multiply(false, false, m, n, p, q, m, r, p, back);
    for (size_t j = 0; j < n; j++) {
        memcpy(only + j * m, a + jpvt[j] * m, m * sizeof *a);
        for (size_t i = j + 1; i < p; i++) {
            assert_true(r[i + j * p] == 0);
        }
        assert_true(!pivot || j == 0 || j >= p || fabs(r[j + j * p]) <= fabs(r[j - 1 + (j - 1) * p]) * (1 + 1e-12));
    }
    assert_true(ratio(m * n, only, back, m + n, frobenius(m * n, a)) <= MOST_RATIO);
    double *all[] = {a, q, r, work, back, only, r2};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

static void test_qr(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 3}, {3, 0}, {1, 1}, {1, 9}, {9, 1}, {2, 2}, {40, 40}, {200, 37}, {37, 200}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int pivot = 0; pivot < 2; pivot++) {
            check_qr(shapes[i][0], shapes[i][1], 1, pivot);
            check_qr(shapes[i][0], shapes[i][1], 1e12, pivot);
        }
    }
    double bad[1] = {NAN}, r[1], work[1024];
    size_t jpvt[1];
    assert_true(qk_qr_work(1, 1) <= 1024);
    assert_int_equal(qk_qr(1, 1, true, bad, 1, r, 1, work, NULL), QK_EFORMAT);
    assert_int_equal(qk_qr_pivot(1, 1, bad, 1, r, 1, jpvt, work, NULL), QK_EFORMAT);
}

static void test_invert(void **state)
{
    (void)state;
    for (size_t i = 1; i < N_SIZES; i++) {
        size_t n = sizes[i];
        double *a = conditioned(n, n, 1000, 1, 10), *inverse = copy_of(a, n * n), *one = doubles(n * n);
        double *work = doubles(qk_invert_work(n));
        assert_true(qk_invert(n, inverse, n, work));
        multiply(false, false, n, n, n, a, n, inverse, n, one);
        for (size_t j = 0; j < n; j++) {
            one[j + j * n] -= 1;
        }
        double bound = (double)n * DBL_EPSILON * frobenius(n * n, a) * frobenius(n * n, inverse);
        assert_true(frobenius(n * n, one) <= MOST_RATIO * bound);
        memset(a, 0, n * n * sizeof *a);
        assert_false(qk_invert(n, a, n, work));
        qk_free(a);
        qk_free(inverse);
        qk_free(one);
        qk_free(work);
    }
}

static void test_norm_and_dot(void **state)
{
    (void)state;
    const double huge[] = {3e200, 4e200}, tiny[] = {3e-200, 4e-200}, x[] = {1, 2, 3}, y[] = {4, -5, 6};
    assert_true(fabs(qk_norm2(2, huge) / 5e200 - 1) < 4 * DBL_EPSILON);
    assert_true(fabs(qk_norm2(2, tiny) / 5e-200 - 1) < 4 * DBL_EPSILON);
    assert_true(qk_norm2(0, x) == 0 && qk_dot(0, x, y) == 0);
    assert_true(qk_dot(3, x, y) == 12);
}

static void test_core_choice(void **state)
{
    (void)state;
    assert_true(strlen(qk_blas_config()) > 0 && strlen(qk_blas_core()) > 0);
    unsetenv("OPENBLAS_CORETYPE");
    const char *better = qk_blas_better_core();
    if (better != NULL) {
        assert_string_not_equal(better, qk_blas_core());
        /* only what this CPU can run */
        bool wide = strstr(qk_cpu_features(), "avx512f") != NULL;
        assert_true(strcmp(better, "Haswell") == 0 ? strstr(qk_cpu_features(), "avx2") != NULL : wide);
    }
    /* a choice that was made is kept: the re-executed program must not try again */
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    assert_null(qk_blas_better_core());
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
        cmocka_unit_test(test_gemm),   cmocka_unit_test(test_cholesky),     cmocka_unit_test(test_rcond),
        cmocka_unit_test(test_eigen),  cmocka_unit_test(test_svd),          cmocka_unit_test(test_qr),
        cmocka_unit_test(test_invert), cmocka_unit_test(test_norm_and_dot), cmocka_unit_test(test_core_choice),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
