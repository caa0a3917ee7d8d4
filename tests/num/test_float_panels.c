/* Products with packed panels against double precision, on every instruction set: sizes around the widths of registers,
 * panels and blocks, panels that go on behind the product, sums that are added to.
 *
 * Bound: a sum of k products in floats, in any order, is off by at most (k + 3) u Σ|a b| with u = 2^-24. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "num/float_panels.h"
#include "simd.h"

#define UNIT (1.0 / 16777216.0)

static float *random_floats(size_t n, uint64_t seed)
{
    struct qk_rng rng;
    float *x = qk_alloc_aligned(n + 1, sizeof *x);
    assert_non_null(x);
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(int32_t)qk_rng_u64(&rng) * 0x1p-31f;
    }
    return x;
}

struct operands {
    size_t m, n, k, more, lda, ldb, ldc; /* more: rows of the panels behind the product */
    float *a, *b, *panels, *start;       /* b (k + more, n) */
};

static struct operands operands_of(size_t m, size_t n, size_t k, size_t more, bool transposed)
{
    struct operands o = {m, n, k, more, k + 3, n + 1, n + 2, NULL, NULL, NULL, NULL};
    size_t rows = k + more, stride = (rows + 1) * QK_PANEL_COLUMNS;
    o.a = random_floats(m * o.lda, 1);
    o.b = random_floats(rows * o.ldb, 2);
    o.panels = random_floats(qk_float_panels_count(n) * stride, 3);
    o.start = random_floats(m * o.ldc, 4);
    if (transposed) {
        size_t ldw = rows + 1;
        float *w = random_floats(n * ldw, 5);
        for (size_t j = 0; j < n; j++) {
            for (size_t l = 0; l < rows; l++) {
                w[j * ldw + l] = o.b[l * o.ldb + j];
            }
        }
        qk_float_panels_pack_transposed(rows, n, w, ldw, stride, o.panels);
        qk_free(w);
    } else {
        qk_float_panels_pack(rows, n, o.b, o.ldb, stride, o.panels);
    }
    return o;
}

static void check(const struct operands *o, float alpha, bool add)
{
    size_t size = o->m * o->ldc;
    float *c = random_floats(size, 6);
    memcpy(c, o->start, size * sizeof *c);
    qk_float_panels_product(o->m, o->n, o->k, alpha, o->a, o->lda, o->panels, (o->k + o->more + 1) * QK_PANEL_COLUMNS,
                            add, c, o->ldc);
    for (size_t i = 0; i < o->m; i++) {
        for (size_t j = 0; j < o->ldc; j++) {
            double before = (double)o->start[i * o->ldc + j], found = (double)c[i * o->ldc + j];
            double want = add ? before : 0, sum = fabs(want);
            if (j >= o->n) {
                assert_true(found == before);
                continue;
            }
            for (size_t l = 0; l < o->k; l++) {
                double term = (double)alpha * (double)o->a[i * o->lda + l] * (double)o->b[l * o->ldb + j];
                want += term;
                sum += fabs(term);
            }
            if (!(fabs(found - want) <= ((double)o->k + 3) * UNIT * sum)) {
                fail_msg("(%zu, %zu, %zu) at %zu, %zu: %.9g (expected %.9g)", o->m, o->n, o->k, i, j, found, want);
            }
        }
    }
    qk_free(c);
}

static void release(struct operands *o)
{
    qk_free(o->a);
    qk_free(o->b);
    qk_free(o->panels);
    qk_free(o->start);
}

static void check_all(size_t m, size_t n, size_t k)
{
    for (int transposed = 0; transposed < 2; transposed++) {
        struct operands o = operands_of(m, n, k, (size_t)transposed * 5, transposed);
        for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
            qk_simd_limit((enum qk_simd)level);
            check(&o, 1, false);
            check(&o, -0.375f, true);
        }
        qk_simd_limit(QK_SIMD_V4);
        release(&o);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t rows[] = {0, 1, 2, 3, 5, 8, 15, 17}, columns[] = {1, 15, 16, 17, 31, 32, 33, 48, 50, 100};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < sizeof columns / sizeof *columns; j++) {
            check_all(rows[i], columns[j], 1 + 7 * i);
        }
    }
    check_all(9, 40, 16);
    check_all(9, 40, 255);
    check_all(9, 40, 256);
    check_all(9, 40, 257);
    check_all(3, 20, 1000);
    check_all(70, 40, 1030); /* rows far apart are copied together */
    check_all(3, 20, 0);
}

/* A row's result does not depend on the rows that it is computed with: what makes cuts for threads harmless. */
static void test_cuts(void **state)
{
    (void)state;
    struct operands o = operands_of(23, 70, 300, 0, true);
    size_t stride = 301 * QK_PANEL_COLUMNS;
    float *whole = random_floats(23 * 72, 7), *part = random_floats(23 * 72, 7);
    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        qk_float_panels_product(23, 70, 300, 1, o.a, o.lda, o.panels, stride, false, whole, 72);
        for (size_t from = 0; from < 23; from += 5) {
            size_t n = 23 - from < 5 ? 23 - from : 5;
            qk_float_panels_product(n, 70, 300, 1, o.a + from * o.lda, o.lda, o.panels, stride, false, part + from * 72,
                                    72);
        }
        assert_memory_equal(part, whole, 23 * 72 * sizeof *part);
    }
    qk_simd_limit(QK_SIMD_V4);
    qk_free(whole);
    qk_free(part);
    release(&o);
}

static void test_sizes_of_panels(void **state)
{
    (void)state;
    assert_int_equal(qk_float_panels_count(0), 0);
    assert_int_equal(qk_float_panels_count(33), 2);
    assert_int_equal(qk_float_panels_size(5, 33), 2 * 32 * 5);
    assert_true(qk_float_panels_size(SIZE_MAX / 8, 33) == SIZE_MAX);
    assert_true(qk_float_panels_size(1000, SIZE_MAX) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_sizes_of_panels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
