/* Drift sums: against extended precision, exact zeros, NaN and Inf, and the same bits whatever the alignment and
 * instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "num/delta_norm.h"
#include "simd.h"

enum { MOST = 5000 };

static const enum qk_dtype dtypes[] = {QK_DTYPE_F64,  QK_DTYPE_F32,     QK_DTYPE_F16,
                                       QK_DTYPE_BF16, QK_DTYPE_F8_E4M3, QK_DTYPE_F8_E5M2};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* Stores n normal numbers of the given size and gives back what the storage holds. */
static void draw(enum qk_dtype dtype, uint64_t seed, double size, size_t n, unsigned char *stored, double *x)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = size * qk_rng_normal(&rng);
    }
    qk_dtype_info(dtype)->from_f64(x, n, stored);
    qk_dtype_info(dtype)->to_f64(stored, n, x);
}

static void check_pair(enum qk_dtype dtype0, enum qk_dtype dtype1, size_t n, double size)
{
    static unsigned char stored0[8 * MOST + 8], stored1[8 * MOST + 8];
    static double w0[MOST], w1[MOST];
    size_t bytes0 = qk_dtype_info(dtype0)->bits / 8, bytes1 = qk_dtype_info(dtype1)->bits / 8;
    draw(dtype0, 11, size, n, stored0, w0);
    draw(dtype1, 12, size, n, stored1, w1);
    long double base = 0, delta = 0;
    for (size_t i = 0; i < n; i++) {
        double d = w1[i] - w0[i];
        base += (long double)w0[i] * w0[i];
        delta += (long double)d * d;
    }
    double base2 = -1, delta2 = -1, again_base, again_delta;
    assert_true(qk_delta_sums(dtype0, stored0, dtype1, stored1, n, &base2, &delta2));
    /* positive terms: 64 per lane, 4 halvings, 3 levels of blocks, one rounding each and one for the square */
    assert_true(fabsl(base2 - base) <= 72 * DBL_EPSILON * base);
    assert_true(fabsl(delta2 - delta) <= 72 * DBL_EPSILON * delta);

    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        size_t shift = 1 + (size_t)level;
        memmove(stored0 + shift, stored0, n * bytes0);
        memmove(stored1 + shift, stored1, n * bytes1);
        assert_true(qk_delta_sums(dtype0, stored0 + shift, dtype1, stored1 + shift, n, &again_base, &again_delta));
        assert_true(again_base == base2 && again_delta == delta2);
        memmove(stored0, stored0 + shift, n * bytes0);
        memmove(stored1, stored1 + shift, n * bytes1);
    }
    qk_simd_limit(QK_SIMD_V4);
}

static void test_against_extended(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 31, 1023, 1024, 1025, 2049, MOST};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        for (size_t i = 0; i < N_DTYPES; i++) {
            for (size_t j = 0; j < N_DTYPES; j++) {
                check_pair(dtypes[i], dtypes[j], lengths[l], 1);
            }
        }
    }
    /* squares of the smallest and of nearly the largest bf16 and f32 values are far inside double's range */
    check_pair(QK_DTYPE_BF16, QK_DTYPE_BF16, MOST, 1e-39);
    check_pair(QK_DTYPE_BF16, QK_DTYPE_F32, MOST, 1e37);
}

static void test_equal_values(void **state)
{
    (void)state;
    static unsigned char stored[8 * MOST], other[8 * MOST];
    static double x[MOST];
    for (size_t i = 0; i < N_DTYPES; i++) {
        double base2, delta2;
        draw(dtypes[i], 3, 1, MOST, stored, x);
        assert_true(qk_delta_sums(dtypes[i], stored, dtypes[i], stored, MOST, &base2, &delta2));
        assert_true(base2 > 0 && delta2 == 0);
        /* the same values in a wider type are no drift */
        qk_dtype_info(QK_DTYPE_F64)->from_f64(x, MOST, other);
        assert_true(qk_delta_sums(dtypes[i], stored, QK_DTYPE_F64, other, MOST, &base2, &delta2));
        assert_true(delta2 == 0);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    static const size_t places[] = {0, 7, 1023, 1024, 2000, 2040};
    static const double wrong[] = {NAN, INFINITY, -INFINITY};
    enum { N = 2041 };
    static unsigned char clean[8 * N], broken[8 * N];
    static double x[N];
    for (size_t i = 0; i < N_DTYPES; i++) {
        for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
            for (size_t v = 0; v < sizeof wrong / sizeof wrong[0]; v++) {
                double base2, delta2;
                draw(dtypes[i], 5, 1, N, clean, x);
                x[places[p]] = wrong[v];
                qk_dtype_info(dtypes[i])->from_f64(x, N, broken);
                assert_false(qk_delta_sums(dtypes[i], clean, dtypes[i], broken, N, &base2, &delta2));
                assert_false(qk_delta_sums(dtypes[i], broken, dtypes[i], clean, N, &base2, &delta2));
                assert_false(qk_delta_sums(dtypes[i], broken, dtypes[i], broken, N, &base2, &delta2));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_extended),
        cmocka_unit_test(test_equal_values),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
