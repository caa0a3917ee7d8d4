/* Delta Grams against extended precision, whatever the tiles; what counts as identical and as finite. */
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
#include "num/gram.h"

enum { MOST_D = 700 };

static double *doubles(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

static void draw(size_t n, uint64_t seed, double *w)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        w[i] = qk_rng_normal(&rng);
    }
}

/* w0 and delta are (k, d) row-major. */
static void form(size_t k, size_t d, size_t tile, const double *w0, const double *delta, struct qk_gram *g,
                 double *memory)
{
    double *x = doubles(2 * k * tile), *c = doubles(4 * k * k);
    /* whatever was there before the first tile must not matter */
    for (size_t i = 0; i < 4 * k * k; i++) {
        c[i] = NAN;
    }
    qk_gram_init(g, k, memory);
    for (size_t start = 0; start < d; start += tile) {
        size_t n = d - start < tile ? d - start : tile;
        for (size_t i = 0; i < k; i++) {
            memcpy(x + i * n, w0 + i * d + start, n * sizeof *x);
            memcpy(x + (k + i) * n, delta + i * d + start, n * sizeof *x);
        }
        qk_gram_add_tile(k, n, x, start == 0, c);
    }
    qk_gram_finish(g, c);
    qk_free(x);
    qk_free(c);
}

/* |got − Σ_l a(i, l) b(j, l)| ≤ d ε Σ |a b| for all i, j. */
static void check_block(size_t k, size_t d, const double *a, const double *b, const double *got)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            long double sum = 0, size = 0;
            for (size_t l = 0; l < d; l++) {
                long double term = (long double)a[i * d + l] * b[j * d + l];
                sum += term;
                size += fabsl(term);
            }
            assert_true(fabsl(got[i + j * k] - sum) <= (long double)(d + 1) * DBL_EPSILON * size);
        }
    }
}

static void check_shape(size_t k, size_t d, size_t tile, double drift)
{
    double *w0 = doubles(k * d), *delta = doubles(k * d), *w1 = doubles(k * d), *memory = doubles(qk_gram_size(k));
    double *b = doubles(k * k), *x = doubles(k * k);
    draw(k * d, 1, w0);
    draw(k * d, 2, delta);
    for (size_t i = 0; i < k * d; i++) {
        delta[i] *= drift;
        w1[i] = w0[i] + delta[i];
    }
    struct qk_gram g;
    form(k, d, tile, w0, delta, &g, memory);
    assert_true(g.finite);
    assert_false(g.identical);
    assert_int_equal(g.k, k);
    check_block(k, d, w0, w0, g.a);
    check_block(k, d, delta, w0, g.f);
    check_block(k, d, delta, delta, g.e);
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            assert_true(g.a[i + j * k] == g.a[j + i * k] && g.e[i + j * k] == g.e[j + i * k]);
        }
    }
    qk_gram_tuned(&g, b);
    qk_gram_cross(&g, x);
    double size = (double)(d + 8) * 8 * DBL_EPSILON * (double)d * (1 + drift) * (1 + drift);
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            long double tuned = 0, cross = 0;
            for (size_t l = 0; l < d; l++) {
                tuned += (long double)w1[i * d + l] * w1[j * d + l];
                cross += (long double)w1[i * d + l] * w0[j * d + l];
            }
            assert_true(fabsl(b[i + j * k] - tuned) <= size && fabsl(x[i + j * k] - cross) <= size);
            assert_true(b[i + j * k] == b[j + i * k]);
        }
    }
    double *all[] = {w0, delta, w1, memory, b, x};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    check_shape(1, 1, 1, 1);
    check_shape(1, 10, 3, 0.1);
    check_shape(2, 1, 1, 1);
    check_shape(7, 3, 3, 1e-6);
    check_shape(5, 64, 64, 1e-3);
    check_shape(33, 100, 7, 1e-12);
    check_shape(32, MOST_D, 256, 10);
}

static void test_identical(void **state)
{
    (void)state;
    enum { K = 4, D = 50 };
    double w0[K * D], delta[K * D] = {0}, memory[3 * K * K];
    struct qk_gram g;
    assert_true(qk_gram_size(K) == 3 * K * K);
    draw(K * D, 3, w0);
    form(K, D, 16, w0, delta, &g, memory);
    assert_true(g.identical && g.finite);
    for (size_t i = 0; i < K * K; i++) {
        assert_true(g.e[i] == 0 && g.f[i] == 0);
    }
    delta[77] = 1e-150; /* one element, by the least that a square can show */
    form(K, D, 16, w0, delta, &g, memory);
    assert_true(!g.identical && g.finite);
}

static void test_not_finite(void **state)
{
    (void)state;
    enum { K = 3, D = 40 };
    static const double wrong[] = {NAN, INFINITY, -INFINITY};
    for (size_t v = 0; v < 3; v++) {
        for (size_t at = 0; at < K * D; at += 13) {
            for (int side = 0; side < 2; side++) {
                double w[2][K * D] = {{0}}, memory[3 * K * K];
                struct qk_gram g;
                draw(K * D, 4, w[0]);
                w[side][at] = wrong[v];
                form(K, D, 16, w[0], w[1], &g, memory);
                assert_false(g.finite);
                assert_false(g.identical);
            }
        }
    }
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
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_identical),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
