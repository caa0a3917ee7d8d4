/* Softmax attention in blocks against a plain softmax in double: block and tile borders, shared heads, windows, soft
 * caps, sinks, late queries, what the observer is given, and the same bits for every number of threads.
 *
 * Bound: a score of K products is off by at most (K + 4) u · scale·Σ|q k| (u = 2^-24), which the exponential turns into
 * a relative error of the weight; the exponential adds 4u, and normalising doubles both. The output adds the rounding
 * of a sum of n weights times values, at most (512 + n/512) u · max|v| by tiles of 512. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "forward/attention.h"
#include "num/blas.h"
#include "samples.h"

struct shape {
    size_t n_queries, n_keys, n_heads, n_kv_heads, head_dim, v_head_dim, window;
    double softcap, size; /* size of q and k */
    int sinks;
};

struct operands {
    float *q, *k, *v, *sinks, *out;
    struct qk_attention attention;
};

static struct operands operands_of(const struct shape *s, uint64_t seed)
{
    struct operands o;
    o.q = normal_floats(s->n_queries * s->n_heads * s->head_dim, seed, s->size);
    o.k = normal_floats(s->n_keys * s->n_kv_heads * s->head_dim, seed + 1, s->size);
    o.v = normal_floats(s->n_keys * s->n_kv_heads * s->v_head_dim, seed + 2, 1);
    o.sinks = normal_floats(s->n_heads, seed + 3, 2);
    o.out = normal_floats(s->n_queries * s->n_heads * s->v_head_dim, seed + 4, 1e30); /* must not be read */
    o.attention = (struct qk_attention){
        .n_queries = s->n_queries,
        .n_keys = s->n_keys,
        .first_query = s->n_keys - s->n_queries,
        .n_heads = s->n_heads,
        .n_kv_heads = s->n_kv_heads,
        .head_dim = s->head_dim,
        .v_head_dim = s->v_head_dim,
        .window = s->window,
        .scale = 1 / sqrt((double)s->head_dim),
        .softcap = s->softcap,
        .sinks = s->sinks ? o.sinks : NULL,
        .q = o.q,
        .k = o.k,
        .v = o.v,
        .out = o.out,
    };
    return o;
}

static void release(struct operands *o)
{
    qk_free(o->q);
    qk_free(o->k);
    qk_free(o->v);
    qk_free(o->sinks);
    qk_free(o->out);
}

/* One softmax row in double: n_keys weights; gives the largest scale·Σ|q k| of the row. */
static double reference_row(const struct qk_attention *a, size_t head, size_t query, double *weights)
{
    size_t position = a->first_query + query, group = head / (a->n_heads / a->n_kv_heads);
    const float *q = a->q + (query * a->n_heads + head) * a->head_dim;
    double most = a->sinks == NULL ? -INFINITY : (double)a->sinks[head], sum = 0, size = 0;
    for (size_t s = 0; s < a->n_keys; s++) {
        const float *k = a->k + (s * a->n_kv_heads + group) * a->head_dim;
        double dot = 0, absolute = 0;
        for (size_t d = 0; d < a->head_dim; d++) {
            dot += (double)q[d] * (double)k[d];
            absolute += fabs((double)q[d] * (double)k[d]);
        }
        dot *= a->scale;
        weights[s] = a->softcap > 0 ? a->softcap * tanh(dot / a->softcap) : dot;
        if (s > position || (a->window > 0 && position - s >= a->window)) {
            weights[s] = -INFINITY;
        } else {
            most = weights[s] > most ? weights[s] : most;
            size = absolute * a->scale > size ? absolute * a->scale : size;
        }
    }
    for (size_t s = 0; s < a->n_keys; s++) {
        weights[s] = exp(weights[s] - most);
        sum += weights[s];
    }
    sum += a->sinks == NULL ? 0 : exp((double)a->sinks[head] - most);
    for (size_t s = 0; s < a->n_keys; s++) {
        weights[s] /= sum;
    }
    return size;
}

static double weight_bound(const struct qk_attention *a, double size)
{
    return 2 * UNIT * (((double)a->head_dim + 4) * size + 8);
}

static void check_output(const struct qk_attention *a)
{
    double *weights = zero_doubles(a->n_keys), *want = zero_doubles(a->v_head_dim);
    double sum_bound = UNIT * (512 + (double)a->n_keys / 512);
    double most = most_of(a->n_keys * a->n_kv_heads * a->v_head_dim, a->v);
    for (size_t head = 0; head < a->n_heads; head++) {
        for (size_t i = 0; i < a->n_queries; i++) {
            double bound = (weight_bound(a, reference_row(a, head, i, weights)) + sum_bound) * most;
            memset(want, 0, a->v_head_dim * sizeof *want);
            for (size_t s = 0; s < a->n_keys; s++) {
                const float *v = a->v + (s * a->n_kv_heads + head / (a->n_heads / a->n_kv_heads)) * a->v_head_dim;
                for (size_t e = 0; e < a->v_head_dim; e++) {
                    want[e] += weights[s] * (double)v[e];
                }
            }
            expect_close("output", a->v_head_dim, a->out + (i * a->n_heads + head) * a->v_head_dim, want, bound);
        }
    }
    qk_free(weights);
    qk_free(want);
}

static void run(const struct qk_attention *a, const struct qk_attention_observer *observer, size_t n_threads)
{
    struct qk_pool *pool = pool_of(n_threads);
    struct qk_err err = {0};
    assert_int_equal(qk_attention_run(a, observer, pool, &err), QK_OK);
    qk_pool_free(pool);
}

static void check_shape(const struct shape *s)
{
    struct operands o = operands_of(s, 11 * s->n_keys + s->window);
    run(&o.attention, NULL, 1);
    check_output(&o.attention);
    release(&o);
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 63, 64, 65, 127, 128, 511, 512, 513, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_shape(&(struct shape){lengths[i], lengths[i], 2, 1, 24, 17, 0, 0, 1, 0});
    }
}

static void test_head_sharing(void **state)
{
    (void)state;
    check_shape(&(struct shape){70, 70, 6, 6, 16, 16, 0, 0, 1, 0});
    check_shape(&(struct shape){70, 70, 6, 3, 16, 8, 0, 0, 1, 0});
    check_shape(&(struct shape){70, 70, 6, 2, 16, 32, 0, 0, 1, 0});
    check_shape(&(struct shape){70, 70, 6, 1, 1, 1, 0, 0, 1, 0});
}

static void test_windows(void **state)
{
    (void)state;
    static const size_t windows[] = {1, 2, 63, 64, 65, 300, 599, 600, 601, 100000};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        check_shape(&(struct shape){600, 600, 2, 2, 8, 8, windows[i], 0, 2, 0});
        check_shape(&(struct shape){7, 600, 2, 2, 8, 8, windows[i], 0, 2, 0});
    }
    check_shape(&(struct shape){1300, 1300, 1, 1, 8, 8, 513, 0, 2, 0});
}

static void test_late_queries(void **state)
{
    (void)state;
    check_shape(&(struct shape){1, 600, 4, 2, 32, 32, 0, 0, 1, 0});
    check_shape(&(struct shape){2, 513, 4, 2, 32, 32, 0, 0, 1, 0});
    check_shape(&(struct shape){65, 700, 4, 2, 32, 32, 0, 0, 1, 1});
    check_shape(&(struct shape){1, 1, 4, 2, 32, 32, 0, 0, 1, 1});
    check_shape(&(struct shape){0, 5, 4, 2, 32, 32, 0, 0, 1, 0});
}

static void test_soft_caps_and_sinks(void **state)
{
    (void)state;
    check_shape(&(struct shape){130, 130, 2, 1, 16, 16, 0, 50, 3, 0});
    check_shape(&(struct shape){130, 130, 2, 1, 16, 16, 0, 0.5, 3, 0});
    check_shape(&(struct shape){130, 130, 2, 1, 16, 16, 0, 30, 1e-3, 0});
    check_shape(&(struct shape){130, 130, 2, 1, 16, 16, 40, 20, 3, 1});
    check_shape(&(struct shape){1100, 1100, 2, 1, 16, 16, 0, 0, 1, 1});
}

/* Scores of several hundred: the largest weight is 1 and most others underflow. */
static void test_sharp_rows(void **state)
{
    (void)state;
    check_shape(&(struct shape){1100, 1100, 1, 1, 16, 4, 0, 0, 12, 0});
    check_shape(&(struct shape){200, 200, 1, 1, 16, 4, 0, 0, 1e-20, 0});
}

/* Scores that rise over the tiles by more than float's range of exponents: every tile is brought down to the last. */
static void test_rising_scores(void **state)
{
    (void)state;
    struct shape s = {1500, 1500, 1, 1, 1, 4, 0, 0, 1, 0};
    for (int sign = -1; sign <= 1; sign += 2) {
        struct operands o = operands_of(&s, 5);
        for (size_t i = 0; i < s.n_keys; i++) {
            o.q[i] = 1;
            o.k[i] = (float)sign * 0.25f * (float)i;
        }
        run(&o.attention, NULL, 1);
        check_output(&o.attention);
        release(&o);
    }
}

struct seen {
    const struct qk_attention *attention;
    size_t next_row[8];
    double *weights;
    size_t n_rows;
};

static enum qk_code look(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    (void)err;
    struct seen *seen = ctx;
    const struct qk_attention *a = seen->attention;
    assert_true(worker < 2);
    assert_int_equal(rows->first_row, seen->next_row[rows->head]);
    assert_int_equal(rows->first_position, a->first_query + rows->first_row);
    assert_true(rows->first_key + rows->n_keys <= a->n_keys);
    assert_true(rows->ld >= rows->n_keys);
    seen->next_row[rows->head] += rows->n_rows;
    for (size_t r = 0; r < rows->n_rows; r++) {
        double size = reference_row(a, rows->head, rows->first_row + r, seen->weights), sum = 0, want = 0;
        const float *row = rows->a + r * rows->ld;
        double bound = weight_bound(a, size), entropy = 0, terms = 0;
        double scale = rows->scale == NULL ? 1 : rows->scale[r];
        for (size_t s = 0; s < a->n_keys; s++) {
            want += seen->weights[s];
            if (s < rows->first_key || s >= rows->first_key + rows->n_keys) {
                assert_true(seen->weights[s] == 0);
                continue;
            }
            double x = scale * (double)row[s - rows->first_key];
            sum += x;
            if (seen->weights[s] > 0) {
                entropy -= seen->weights[s] * log(seen->weights[s]);
                terms += seen->weights[s] * (1 + fabs(log(seen->weights[s])));
            }
            assert_true(seen->weights[s] != 0 || x == 0);
            /* relative, down to where a float exponential ends */
            assert_true(fabs(x - seen->weights[s]) <= bound * seen->weights[s] + 1e-37);
        }
        /* each of the weights is rounded once after the sum, whose parts are sums of eight floats */
        assert_true(fabs(sum - want) <= 4 * UNIT);
        assert_true((rows->scale == NULL) == (rows->entropy == NULL));
        if (rows->entropy != NULL) {
            /* a weight that is off by bound moves its term by bound (1 + |ln|); the sum adds eight roundings */
            assert_true(fabs(rows->entropy[r] - entropy) <= (bound + 8 * UNIT) * terms);
        }
    }
    return QK_OK;
}

static void observe_as(const struct shape *s, bool unscaled)
{
    struct operands o = operands_of(s, 77);
    struct seen seen = {.attention = &o.attention, .weights = zero_doubles(s->n_keys)};
    struct qk_attention_observer observer = {&seen, look, unscaled};
    run(&o.attention, &observer, 1);
    for (size_t h = 0; h < s->n_heads; h++) {
        assert_int_equal(seen.next_row[h], s->n_queries);
    }
    check_output(&o.attention);
    qk_free(seen.weights);
    release(&o);
}

static void observe(const struct shape *s)
{
    observe_as(s, false);
    observe_as(s, true);
}

static void test_observer(void **state)
{
    (void)state;
    observe(&(struct shape){1000, 1000, 2, 1, 16, 4, 0, 0, 1, 0});
    observe(&(struct shape){129, 700, 2, 1, 16, 4, 100, 0, 1, 0});
    observe(&(struct shape){65, 65, 3, 3, 16, 4, 0, 5, 2, 1});
    observe(&(struct shape){1, 300, 8, 1, 16, 4, 0, 0, 1, 0});
}

static enum qk_code refuse(void *ctx, const struct qk_attention_rows *rows, size_t worker, struct qk_err *err)
{
    (void)ctx, (void)worker;
    return rows->first_row >= 64 ? qk_fail(err, QK_EINTERNAL, "enough") : QK_OK;
}

static void test_observer_fails(void **state)
{
    (void)state;
    struct shape s = {200, 200, 1, 1, 4, 4, 0, 0, 1, 0};
    struct operands o = operands_of(&s, 3);
    struct qk_attention_observer observer = {.rows = refuse};
    struct qk_pool *pool = pool_of(1);
    struct qk_err err = {0};
    assert_int_equal(qk_attention_run(&o.attention, &observer, pool, &err), QK_EINTERNAL);
    assert_string_equal(err.text, "enough");
    qk_pool_free(pool);
    release(&o);
}

static void test_threads(void **state)
{
    (void)state;
    struct shape s = {600, 600, 12, 4, 24, 20, 0, 0, 1, 0};
    struct operands o = operands_of(&s, 9);
    size_t n = s.n_queries * s.n_heads * s.v_head_dim;
    run(&o.attention, NULL, 1);
    float *one = copy_floats(n, o.out);
    for (size_t n_threads = 2; n_threads <= 8; n_threads += 6) {
        memset(o.out, 0, n * sizeof *o.out);
        run(&o.attention, NULL, n_threads);
        assert_memory_equal(o.out, one, n * sizeof *one);
    }
    qk_free(one);
    release(&o);
}

/* A NaN or an infinite score shows in its row and in no other. */
static void test_not_finite(void **state)
{
    (void)state;
    struct shape s = {70, 70, 1, 1, 4, 4, 0, 0, 1, 0};
    static const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct operands o = operands_of(&s, 21);
        o.q[66 * 4] = bad[i];
        run(&o.attention, NULL, 1);
        for (size_t t = 0; t < s.n_queries; t++) {
            assert_int_equal(isfinite(o.out[t * 4]) != 0, t != 66);
        }
        release(&o);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct shape s = {70, 70, 1, 1, 4, 4, 0, 0, 1, 0};
    struct operands o = operands_of(&s, 21);
    struct qk_pool *pool = pool_of(1);
    struct qk_err err = {0};
    qk_alloc_fail_after(1);
    enum qk_code code = qk_attention_run(&o.attention, NULL, pool, &err);
    qk_alloc_fail_after(0);
    assert_int_equal(code, QK_ENOMEM);
    struct qk_attention huge = {.n_queries = SIZE_MAX / 2, .n_keys = SIZE_MAX / 2, .n_heads = 1, .n_kv_heads = 1};
    assert_int_equal(qk_attention_run(&huge, NULL, pool, &err), QK_ENOMEM);
    assert_true(qk_attention_scratch(&huge, 2) == SIZE_MAX);
    /* 32k tokens: a block of 64 rows per worker and little more */
    struct qk_attention long_context = {.n_queries = 32768, .n_keys = 32768, .n_heads = 8, .n_kv_heads = 2};
    assert_true(qk_attention_scratch(&long_context, 2) < 2 * 65 * 32768 * sizeof(float));
    long_context.window = 1024;
    assert_true(qk_attention_scratch(&long_context, 2) < 2 * 65 * 1136 * sizeof(float));
    qk_pool_free(pool);
    release(&o);
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_head_sharing),
        cmocka_unit_test(test_windows),        cmocka_unit_test(test_late_queries),
        cmocka_unit_test(test_sharp_rows),     cmocka_unit_test(test_soft_caps_and_sinks),
        cmocka_unit_test(test_rising_scores),  cmocka_unit_test(test_observer),
        cmocka_unit_test(test_observer_fails), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_not_finite),     cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
