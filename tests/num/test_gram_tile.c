/* Packed tiles against extended precision, at every instruction set, for shapes that fill panels and that do not. */
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
#include "num/gram_tile.h"
#include "simd.h"

struct head {
    size_t k, d;
    double *w0, *w1, *g0, *g1;
};

static double *doubles(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

static struct head draw(size_t k, size_t d, double drift)
{
    struct head head = {k, d, doubles(k * d), doubles(k * d), doubles(d), doubles(d)};
    struct qk_rng rng;
    qk_rng_seed(&rng, 7 * k + d);
    for (size_t i = 0; i < k * d; i++) {
        head.w0[i] = qk_rng_normal(&rng);
        head.w1[i] = head.w0[i] + drift * qk_rng_normal(&rng);
    }
    for (size_t j = 0; j < d; j++) {
        head.g0[j] = 1 + 0.3 * qk_rng_normal(&rng);
        head.g1[j] = head.g0[j] + drift * qk_rng_normal(&rng);
    }
    return head;
}

static void release(struct head *head)
{
    double *all[] = {head->w0, head->w1, head->g0, head->g1};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

/* Grams of the head in tiles; memory is the caller's. What the buffers held before must not matter. */
static struct qk_gram form(const struct head *head, size_t tile, bool unchanged, bool scaled, double *memory)
{
    size_t k = head->k, d = head->d;
    double *x = doubles(qk_gram_tile_size(k, tile)), *sums = doubles(qk_gram_sums_size(k));
    for (size_t i = 0; i < qk_gram_tile_size(k, tile); i++) {
        x[i] = NAN;
    }
    for (size_t i = 0; i < qk_gram_sums_size(k); i++) {
        sums[i] = NAN;
    }
    struct qk_gram g;
    qk_gram_init(&g, k, memory);
    for (size_t col = 0; col < d; col += tile) {
        size_t n = d - col < tile ? d - col : tile;
        qk_gram_tile_pack(k, n, head->w0 + col, unchanged ? NULL : head->w1 + col, d, x);
        if (scaled) {
            qk_gram_tile_scale(k, n, head->g0 + col, head->g1 + col, x);
        }
        qk_gram_tile_add(k, n, x, unchanged && !scaled, col == 0, sums);
    }
    qk_gram_tile_finish(&g, sums);
    qk_free(x);
    qk_free(sums);
    return g;
}

/* Rows of W0 and of Δ as the metrics define them, in extended precision from what was given. */
static void reference(const struct head *head, bool unchanged, bool scaled, long double *base, long double *delta)
{
    for (size_t i = 0; i < head->k * head->d; i++) {
        size_t j = i % head->d;
        long double g0 = scaled ? head->g0[j] : 1, g1 = scaled ? head->g1[j] : 1;
        base[i] = head->w0[i] * g0;
        /* differences first: they are exact, that of the products would not be */
        long double moved = unchanged ? 0 : (long double)head->w1[i] - head->w0[i];
        delta[i] = moved * g1 + head->w0[i] * (g1 - g0);
    }
}

static void check_block(const struct head *head, const long double *a, const long double *b, long double slack,
                        const double *got)
{
    size_t k = head->k, d = head->d;
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            long double sum = 0, size = 0;
            for (size_t l = 0; l < d; l++) {
                sum += a[i * d + l] * b[j * d + l];
                size += fabsl(a[i * d + l] * b[j * d + l]);
            }
            assert_true(fabsl(got[i + j * k] - sum) <= (long double)(d + 8) * DBL_EPSILON * size + slack);
        }
    }
}

static void check(size_t k, size_t d, size_t tile, double drift, bool unchanged, bool scaled)
{
    struct head head = draw(k, d, drift);
    double *memory = doubles(qk_gram_size(k));
    long double *base = qk_alloc_aligned(k * d, sizeof *base), *delta = qk_alloc_aligned(k * d, sizeof *delta);
    assert_true(base != NULL && delta != NULL);
    struct qk_gram g = form(&head, tile, unchanged, scaled, memory);
    assert_true(g.finite);
    assert_true(g.identical == (unchanged && !scaled));
    reference(&head, unchanged, scaled, base, delta);
    /* Δ itself is rounded once or twice: at ε of |W| where the norm's change is small against it */
    long double rounding = scaled ? 8 * DBL_EPSILON * (long double)d * (drift + drift * drift) * 16 : 0;
    check_block(&head, base, base, 0, g.a);
    check_block(&head, delta, base, rounding, g.f);
    check_block(&head, delta, delta, rounding * drift, g.e);
    for (size_t i = 0; i < k * k; i++) {
        size_t mirrored = i / k + i % k * k;
        assert_true(g.a[i] == g.a[mirrored] && g.e[i] == g.e[mirrored]);
    }
    qk_free(base);
    qk_free(delta);
    qk_free(memory);
    release(&head);
}

static void test_shapes(void **state)
{
    static const size_t shapes[][3] = {{1, 1, 1},   {1, 10, 3},    {7, 3, 3},     {8, 8, 8},    {9, 17, 16},
                                       {16, 64, 7}, {24, 100, 32}, {33, 100, 64}, {64, 70, 70}, {128, 40, 16}};
    (void)state;
    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            for (int how = 0; how < 4; how++) {
                check(shapes[s][0], shapes[s][1], shapes[s][2], s % 2 == 0 ? 0.1 : 1e-6, how & 1, how & 2);
            }
        }
    }
    qk_simd_limit(QK_SIMD_V4);
}

/* One element alone decides, wherever it lies. */
static void test_flags(void **state)
{
    enum { K = 11, D = 21 };
    static const double wrong[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        for (size_t at = 0; at < K * D; at++) {
            double memory[3 * K * K];
            struct head head = draw(K, D, 0);
            assert_true(form(&head, 8, false, false, memory).identical);
            double kept = head.w0[at];
            head.w0[at] = head.w1[at] = 0;
            head.w1[at] = 1e-150; /* by the least that a square can show */
            struct qk_gram g = form(&head, 8, false, false, memory);
            assert_true(g.finite && !g.identical);
            for (size_t side = 0; side < 2; side++) {
                head.w0[at] = side == 0 ? wrong[at % 3] : kept;
                head.w1[at] = side == 1 ? wrong[at % 3] : kept;
                g = form(&head, 8, false, false, memory);
                assert_true(!g.finite && !g.identical);
            }
            release(&head);
        }
    }
    qk_simd_limit(QK_SIMD_V4);
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
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_flags),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
