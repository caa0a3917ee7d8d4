/* Products: the float BLAS wrappers, and products with weights on disk in every storage type, layout and cut, against
 * double precision.
 *
 * Bound: a sum of k products in floats, in any order, is off by at most (k + 2) u Σ|a b| with u = 2^-24. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model/fixture.h"
#include "base/alloc.h"
#include "forward/matmul.h"
#include "num/blas.h"
#include "num/sblas.h"
#include "panel_cache.h"
#include "samples.h"

static void check_sgemm(bool ta, bool tb, size_t m, size_t n, size_t k, double beta)
{
    size_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
    float *a = normal_floats((ta ? k : m) * lda, 1, 1), *b = normal_floats((tb ? n : k) * ldb, 2, 1);
    float *c = normal_floats(m * ldc, 3, 1), *before = copy_floats(m * ldc, c);
    for (size_t i = 0; beta == 0 && i < m * ldc; i++) {
        c[i] = before[i] = NAN;
    }
    qk_sgemm(ta, tb, m, n, k, 0.5f, a, lda, b, ldb, (float)beta, c, ldc);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double want = beta == 0 ? 0 : beta * (double)before[i * ldc + j], size = fabs(want);
            for (size_t l = 0; l < k; l++) {
                double product =
                    0.5 * (double)a[ta ? l * lda + i : i * lda + l] * (double)b[tb ? j * ldb + l : l * ldb + j];
                want += product;
                size += fabs(product);
            }
            assert_true(fabs((double)c[i * ldc + j] - want) <= ((double)k + 4) * UNIT * size);
        }
        assert_memory_equal(c + i * ldc + n, before + i * ldc + n, (ldc - n) * sizeof *c);
    }
    qk_free(a);
    qk_free(b);
    qk_free(c);
    qk_free(before);
}

static void test_sgemm(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 64, 65};
    enum { N = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < N * N * N * 4; i++) {
        bool ta = i & 1, tb = i >> 1 & 1;
        size_t m = sizes[i / 4 % N], n = sizes[i / 4 / N % N], k = sizes[i / 4 / N / N];
        check_sgemm(ta, tb, m, n, k, 0);
        check_sgemm(ta, tb, m, n, k, 0.75);
        check_sgemm(ta, tb, m, n, k, 1);
    }
}

/* The residual L X − B, and what lies on and above L's diagonal is not read. */
static void test_triangular_solve(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 17, 64};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t m = sizes[s], n = 9, ldl = m + 2;
        float *l = uniform_floats(m * ldl, 1, -1, 1), *b = normal_floats(m * n, 2, 1), *x = copy_floats(m * n, b);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = i; j < ldl; j++) {
                l[i * ldl + j] = NAN;
            }
        }
        qk_strsm_unit_lower(m, n, l, ldl, x, n);
        for (size_t i = 0; i < m; i++) {
            for (size_t e = 0; e < n; e++) {
                double left = (double)x[i * n + e], size = fabs(left) + fabs((double)b[i * n + e]);
                for (size_t j = 0; j < i; j++) {
                    double product = (double)l[i * ldl + j] * (double)x[j * n + e];
                    left += product;
                    size += fabs(product);
                }
                assert_true(fabs(left - (double)b[i * n + e]) <= ((double)m + 2) * UNIT * size);
            }
        }
        qk_free(l);
        qk_free(b);
        qk_free(x);
    }
}

/* A checkpoint whose "w" holds random values of a type, with the values as doubles. */
struct stored {
    struct fixture fixture;
    struct qk_ckpt *ckpt;
    struct qk_pool *pool;
    double *w, *bias; /* as decoded */
    void *raw, *raw_bias;
};

static double *store_values(const char *dtype, size_t n, uint64_t seed, void **ret_raw)
{
    const struct qk_dtype_info *info = qk_dtype_by_name(dtype);
    float *values = normal_floats(n, seed, 1);
    double *w = zero_doubles(n);
    void *raw = qk_calloc(n + 1, info->bits / 8);
    assert_non_null(raw);
    for (size_t i = 0; i < n; i++) {
        w[i] = (double)values[i];
    }
    info->from_f64(w, n, raw);
    info->to_f64(raw, n, w);
    qk_free(values);
    *ret_raw = raw;
    return w;
}

static void open_stored(struct stored *s, const char *dtype, const char *dims, size_t n, size_t n_bias,
                        const float *scale)
{
    static const char config[] = "{\"model_type\":\"llama\"}";
    struct qk_err err = {0};
    char bias_dims[32];
    snprintf(bias_dims, sizeof bias_dims, "%zu", n_bias);
    s->w = store_values(dtype, n, 17, &s->raw);
    s->bias = store_values("F32", n_bias, 18, &s->raw_bias);
    fixture_init(&s->fixture);
    fixture_add(&s->fixture, "w", dtype, dims, s->raw);
    fixture_add(&s->fixture, "bias", "F32", bias_dims, s->raw_bias);
    fixture_add(&s->fixture, "ids", "I32", dims, NULL);
    if (scale != NULL) {
        fixture_add(&s->fixture, "w_scale_inv", "F32", "-", scale);
    }
    fixture_write(&s->fixture, config, 1);
    assert_int_equal(qk_ckpt_open(s->fixture.dir, &s->ckpt, &err), QK_OK);
    s->pool = pool_of(1);
}

static void close_stored(struct stored *s)
{
    qk_pool_free(s->pool);
    qk_ckpt_close(s->ckpt);
    fixture_release(&s->fixture);
    qk_free(s->w);
    qk_free(s->bias);
    qk_free(s->raw);
    qk_free(s->raw_bias);
}

struct cut {
    size_t rows, d; /* of the logical matrix */
    bool transposed;
    size_t n_blocks;
    size_t first[3], count[3];
};

static void expect_product(const struct stored *s, const struct cut *cut, size_t n_tokens, double scale, bool with_bias,
                           const float *x, size_t ldx, const float *y, size_t ldy)
{
    for (size_t t = 0; t < n_tokens; t++) {
        size_t at = 0;
        for (size_t b = 0; b < cut->n_blocks; b++) {
            for (size_t r = cut->first[b]; r < cut->first[b] + cut->count[b]; r++, at++) {
                double want = with_bias ? s->bias[r] : 0, size = fabs(want);
                for (size_t i = 0; i < cut->d; i++) {
                    double w = scale * s->w[cut->transposed ? i * cut->rows + r : r * cut->d + i];
                    want += w * (double)x[t * ldx + i];
                    size += fabs(w * (double)x[t * ldx + i]);
                }
                double bound = ((double)cut->d + 4) * UNIT * size;
                if (!(fabs((double)y[t * ldy + at] - want) <= bound)) {
                    fail_msg("token %zu, row %zu: %.9g (expected %.9g within %.3g)", t, at, (double)y[t * ldy + at],
                             want, bound);
                }
            }
        }
        for (; at < ldy; at++) {
            assert_true(isnan(y[t * ldy + at]));
        }
    }
}

static void check_product(const struct stored *s, const struct cut *cut, size_t n_tokens, double scale, bool with_bias)
{
    struct qk_rows blocks[3] = {0}, bias[3] = {0};
    for (size_t i = 0; i < cut->n_blocks; i++) {
        blocks[i] = (struct qk_rows){qk_ckpt_find(s->ckpt, "w"), cut->first[i], cut->count[i], cut->transposed};
        bias[i] = (struct qk_rows){qk_ckpt_find(s->ckpt, "bias"), cut->first[i], cut->count[i], false};
    }
    struct qk_projection_weight weight = {cut->n_blocks, blocks, with_bias ? cut->n_blocks : 0, bias};
    size_t n = qk_projection_rows(&weight), ldx = cut->d + 5, ldy = n + 3;
    float *x = normal_floats(n_tokens * ldx, 7, 1), *y = zero_floats(n_tokens * ldy);
    /* from the file; with a cache, which is filled by the first and read by the second; with one that is too small */
    struct qk_panel_cache none = {0}, cache = {.limit = (size_t)1 << 26}, small = {.limit = 1};
    struct qk_panel_cache *const caches[] = {&none, &cache, &cache, &small};
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        struct qk_err err = {0};
        memset(y, 0xff, n_tokens * ldy * sizeof *y); /* NaN: must not be read, nor written between the rows */
        assert_int_equal(qk_matmul_kept(caches[i], s->ckpt, &weight, n_tokens, cut->d, x, ldx, y, ldy, s->pool, &err),
                         QK_OK);
        expect_product(s, cut, n_tokens, scale, with_bias, x, ldx, y, ldy);
    }
    qk_panel_cache_release(&cache);
    qk_panel_cache_release(&small);
    qk_free(x);
    qk_free(y);
}

static void test_storage_types(void **state)
{
    (void)state;
    static const char *const dtypes[] = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"};
    static const float scale = 0.125f;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        struct stored s;
        bool scaled = qk_dtype_by_name(dtypes[i])->bits == 8;
        open_stored(&s, dtypes[i], "40,24", 40 * 24, 40, scaled ? &scale : NULL);
        for (size_t n_tokens = 0; n_tokens <= 20; n_tokens += n_tokens < 2 ? 1 : 9) {
            check_product(&s, &(struct cut){40, 24, false, 1, {0}, {40}}, n_tokens, scaled ? (double)scale : 1, false);
            check_product(&s, &(struct cut){40, 24, false, 2, {30, 3}, {10, 17}}, n_tokens, scaled ? (double)scale : 1,
                          true);
        }
        close_stored(&s);
    }
}

static void test_layouts(void **state)
{
    (void)state;
    struct stored s;
    open_stored(&s, "BF16", "24,40", 40 * 24, 40, NULL);
    for (size_t n_tokens = 1; n_tokens <= 33; n_tokens += 16) {
        check_product(&s, &(struct cut){40, 24, true, 1, {0}, {40}}, n_tokens, 1, true);
        check_product(&s, &(struct cut){40, 24, true, 3, {35, 0, 7}, {5, 1, 20}}, n_tokens, 1, true);
        check_product(&s, &(struct cut){24, 40, false, 2, {1, 20}, {0, 4}}, n_tokens, 1, false);
    }
    close_stored(&s);
    open_stored(&s, "F16", "3,5,8", 120, 15, NULL); /* rank 3: 15 rows of 8 */
    check_product(&s, &(struct cut){15, 8, false, 2, {10, 0}, {5, 5}}, 3, 1, true);
    close_stored(&s);
}

/* More rows than a tile has, rows of more than a megabyte, and sizes of 1. */
static void test_tile_borders(void **state)
{
    (void)state;
    struct stored s;
    open_stored(&s, "BF16", "1100,33", 1100 * 33, 1100, NULL);
    check_product(&s, &(struct cut){1100, 33, false, 1, {0}, {1100}}, 1, 1, true);
    check_product(&s, &(struct cut){1100, 33, false, 2, {7, 500}, {401, 600}}, 17, 1, true);
    check_product(&s, &(struct cut){1100, 33, false, 1, {1099}, {1}}, 40, 1, true);
    close_stored(&s);
    open_stored(&s, "F64", "17,140000", 17 * 140000, 17, NULL);
    check_product(&s, &(struct cut){17, 140000, false, 1, {0}, {17}}, 1, 1, false);
    check_product(&s, &(struct cut){17, 140000, false, 1, {0}, {17}}, 20, 1, false);
    close_stored(&s);
    open_stored(&s, "F32", "5,1", 5, 5, NULL);
    check_product(&s, &(struct cut){5, 1, false, 1, {0}, {5}}, 2, 1, true);
    close_stored(&s);
}

static void test_threads(void **state)
{
    (void)state;
    struct stored s;
    open_stored(&s, "BF16", "700,50", 700 * 50, 700, NULL);
    struct qk_rows rows = {qk_ckpt_find(s.ckpt, "w"), 0, 700, false};
    struct qk_projection_weight weight = {1, &rows, 0, NULL};
    float *x = normal_floats(30 * 50, 5, 1), *one = zero_floats(30 * 700), *y = zero_floats(30 * 700);
    for (size_t n_tokens = 1; n_tokens <= 30; n_tokens += 29) {
        for (size_t n_threads = 1; n_threads <= 8; n_threads = n_threads * n_threads * 2) {
            struct qk_pool *pool = pool_of(n_threads);
            struct qk_err err = {0};
            float *to = n_threads == 1 ? one : y;
            assert_int_equal(qk_matmul(s.ckpt, &weight, n_tokens, 50, x, 50, to, 700, pool, &err), QK_OK);
            qk_pool_free(pool);
            assert_memory_equal(to, one, n_tokens * 700 * sizeof *one);
        }
    }
    qk_free(x);
    qk_free(y);
    qk_free(one);
    close_stored(&s);
}

static void test_errors(void **state)
{
    (void)state;
    struct stored s;
    open_stored(&s, "BF16", "40,24", 40 * 24, 40, NULL);
    float *x = zero_floats(24), *y = zero_floats(40);
    const struct qk_tensor *w = qk_ckpt_find(s.ckpt, "w"), *bias = qk_ckpt_find(s.ckpt, "bias");
    const struct {
        struct qk_rows rows, bias;
        size_t d;
        enum qk_code code;
        const char *text;
    } cases[] = {
        {{w, 0, 40, false}, {0}, 23, QK_EFORMAT, "w: does not fit the product (expected 23 columns, found 24)"},
        {{w, 0, 24, true}, {0}, 24, QK_EFORMAT, "w: does not fit the product (expected 24 columns, found 40)"},
        {{w, 39, 2, false}, {0}, 24, QK_EFORMAT, "w: too few rows (expected 2 from row 39 on, found 40 in all)"},
        {{w, UINT64_MAX, 1, false}, {0}, 24, QK_EFORMAT, "w: too few rows"},
        {{qk_ckpt_find(s.ckpt, "ids"), 0, 40, false}, {0}, 24, QK_EUNSUPPORTED, "ids: not a weight"},
        {{w, 0, 40, false},
         {bias, 0, 39, false},
         24,
         QK_EFORMAT,
         "bias: bias of another size than its rows (expected 40, "},
        {{w, 0, 40, false}, {w, 0, 40, false}, 24, QK_EFORMAT, "w: does not fit the product (expected 1 columns"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qk_projection_weight weight = {1, &cases[i].rows, cases[i].bias.tensor != NULL, &cases[i].bias};
        struct qk_err err = {0};
        assert_int_equal(qk_matmul(s.ckpt, &weight, 1, cases[i].d, x, 24, y, 40, s.pool, &err), cases[i].code);
        if (strstr(err.text, cases[i].text) == NULL || strstr(err.text, s.fixture.dir) == NULL) {
            fail_msg("%s (expected: %s)", err.text, cases[i].text);
        }
    }
    struct qk_rows rows = {w, 0, 40, false}, bias_rows = {bias, 0, 40, false};
    struct qk_projection_weight weight = {1, &rows, 1, &bias_rows};
    size_t k = 1;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK; k++) {
        struct qk_err err = {0};
        qk_alloc_fail_after(k);
        code = qk_matmul(s.ckpt, &weight, 1, 24, x, 24, y, 40, s.pool, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
    }
    assert_true(k > 4); /* the job, tiles, raw bytes, bias */
    qk_free(x);
    qk_free(y);
    close_stored(&s);
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgemm),   cmocka_unit_test(test_triangular_solve), cmocka_unit_test(test_storage_types),
        cmocka_unit_test(test_layouts), cmocka_unit_test(test_tile_borders),     cmocka_unit_test(test_threads),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
