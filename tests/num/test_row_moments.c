/* Row moments and quantiles against plain loops: the logarithm's bound, every instruction set, odd lengths. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "num/row_moments.h"
#include "num/stats.h"
#include "simd.h"

enum { MAX_N = 300 };

static void test_log_bound(void **state)
{
    (void)state;
    float w = 1.0f;
    double worst = 0.0;
    uint32_t first, last;
    float lo = 1.17549435e-38f, hi = 1.0f;
    memcpy(&first, &lo, sizeof(first));
    memcpy(&last, &hi, sizeof(last));
    for (uint32_t bits = first; bits <= last; bits += 997) {
        float a;
        memcpy(&a, &bits, sizeof(a));
        struct qk_row_moments m;
        qk_row_moments(1, &a, &w, 0, &m);
        double expected = log((double)a), size = fmax(fabs(expected), 1e-3);
        worst = fmax(worst, fabs(m.a_log_a / (double)a - expected) / size);
    }
    if (!(worst <= qk_row_log_bound)) {
        fail_msg("worst relative error of the logarithm: %g", worst);
    }
    float zero = 0.0f, one = 1.0f;
    struct qk_row_moments m;
    qk_row_moments(1, &zero, &w, 0, &m);
    assert_true(m.a_log_a == 0.0 && m.sum == 0.0);
    qk_row_moments(1, &one, &w, 0, &m);
    assert_true(m.a_log_a == 0.0 && m.sum == 1.0);
}

static void test_sums(void **state)
{
    (void)state;
    float a[MAX_N], w[MAX_N];
    struct qk_rng rng;
    qk_rng_seed(&rng, 1);
    for (size_t i = 0; i < MAX_N; i++) {
        a[i] = (float)qk_rng_uniform(&rng);
        w[i] = (float)qk_rng_uniform(&rng);
    }
    for (size_t n = 0; n <= MAX_N; n++) {
        struct qk_row_moments expected = {0}, found;
        for (size_t i = 0; i < n; i++) {
            expected.sum += a[i];
            expected.distance += (double)a[i] * (double)(n + 3 - i);
            expected.weighted += (double)a[i] * (double)w[i];
            expected.a_log_a += a[i] > 0.0f ? (double)a[i] * log((double)a[i]) : 0.0;
        }
        double sum;
        qk_row_moments(n, a, w, n + 3, &found);
        qk_row_sum(n, a, &sum);
        /* sums in double over n terms; products and eight terms a lane in float32 */
        const double part = 8 * 0x1p-24, term = 0x1p-24;
        assert_true(fabs(sum - expected.sum) <= 1e-13 * expected.sum);
        assert_true(fabs(found.sum - expected.sum) <= part * expected.sum);
        assert_true(fabs(found.distance - expected.distance) <= (part + term) * expected.distance);
        assert_true(fabs(found.weighted - expected.weighted) <= (part + term) * expected.weighted);
        assert_true(fabs(found.a_log_a - expected.a_log_a) <=
                    (part + term + qk_row_log_bound) * fabs(expected.a_log_a));
        for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
            struct qk_row_moments same;
            double same_sum;
            qk_simd_limit((enum qk_simd)level);
            qk_row_moments(n, a, w, n + 3, &same);
            qk_row_sum(n, a, &same_sum);
            assert_memory_equal(&same, &found, sizeof(same));
            assert_memory_equal(&same_sum, &sum, sizeof(sum));
        }
        qk_simd_limit(QK_SIMD_V4);
    }
}

static void test_quantiles(void **state)
{
    (void)state;
    double x[] = {4.0, NAN, 1.0, 3.0, 2.0};
    qk_sort(5, x);
    assert_true(x[0] == 1.0 && x[1] == 2.0 && x[2] == 3.0 && x[3] == 4.0 && isnan(x[4]));
    assert_true(qk_quantile(4, x, 0.0) == 1.0 && qk_quantile(4, x, 1.0) == 4.0);
    assert_true(qk_quantile(4, x, 0.5) == 2.5);
    assert_true(fabs(qk_quantile(4, x, 0.025) - 1.075) <= 1e-15);
    assert_true(qk_quantile(1, x, 0.3) == 1.0);
}

static void test_bootstrap(void **state)
{
    (void)state;
    enum { DRAWS = 400, ITEMS = 7 };
    uint32_t counts[DRAWS * ITEMS], again[DRAWS * ITEMS], other[DRAWS * ITEMS], per_item[ITEMS] = {0};
    qk_bootstrap_counts(3, DRAWS, ITEMS, counts);
    qk_bootstrap_counts(3, DRAWS, ITEMS, again);
    qk_bootstrap_counts(4, DRAWS, ITEMS, other);
    assert_memory_equal(counts, again, sizeof(counts));
    assert_memory_not_equal(counts, other, sizeof(counts));
    for (size_t r = 0; r < DRAWS; r++) {
        uint32_t sum = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            sum += counts[r * ITEMS + i];
            per_item[i] += counts[r * ITEMS + i];
        }
        assert_int_equal(sum, ITEMS);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        /* 400 expected, standard deviation 18.5 */
        assert_true(per_item[i] > 300 && per_item[i] < 500);
    }
}

static void test_spread(void **state)
{
    (void)state;
    const float factor = 0.3f;
    const double part = 8 * 0x1p-24, term = 0x1p-24;
    float a[MAX_N], before[MAX_N], found[MAX_N + 1], same[MAX_N + 1];
    struct qk_rng rng;
    qk_rng_seed(&rng, 2);
    for (size_t i = 0; i < MAX_N; i++) {
        a[i] = (float)qk_rng_uniform(&rng);
        before[i] = (float)qk_rng_uniform(&rng);
    }
    for (size_t n = 0; n <= MAX_N; n++) {
        double sum = 0, distance = 0, found_sum, found_distance, same_sum, same_distance;
        memcpy(found, before, n * sizeof(*found));
        found[n] = -1.0f;
        qk_row_spread(n, a, factor, n + 3, found, &found_sum, &found_distance);
        for (size_t i = 0; i < n; i++) {
            double want = (double)before[i] + (double)factor * (double)a[i];
            assert_true(fabs((double)found[i] - want) <= 2 * term * want);
            sum += (double)a[i];
            distance += (double)a[i] * (double)(n + 3 - i);
        }
        assert_true(found[n] == -1.0f);
        assert_true(fabs(found_sum - sum) <= part * sum);
        assert_true(fabs(found_distance - distance) <= (part + term) * distance);
        for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
            memcpy(same, before, n * sizeof(*same));
            same[n] = -1.0f;
            qk_simd_limit((enum qk_simd)level);
            qk_row_spread(n, a, factor, n + 3, same, &same_sum, &same_distance);
            assert_memory_equal(same, found, (n + 1) * sizeof(*same));
            assert_true(same_sum == found_sum && same_distance == found_distance);
        }
        qk_simd_limit(QK_SIMD_V4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_bound), cmocka_unit_test(test_sums),      cmocka_unit_test(test_spread),
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_bootstrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
