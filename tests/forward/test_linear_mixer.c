/* Linear mixers in chunks against the recurrence token by token in double: chunk borders, shared heads, decay per head
 * and per key channel, extreme decays, the state carried over every split, implied mixing rows, and the same bits for
 * every number of threads.
 *
 * Bound: keys have norm 1 and β ≤ 2, so a step of the delta rule, I − βkkᵀ, and a decay ≤ 1 enlarge no error; each
 * token adds a few roundings of the state and of u, and a chunk sums d_k and 64 products. So an output is off by at
 * most (T + d_k + 64) u · scale · ‖q‖ · max ‖S‖_F with u = 2^-24, and the state by the same without scale · ‖q‖. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "forward/kernels.h"
#include "forward/linear_mixer.h"
#include "num/blas.h"
#include "samples.h"

enum decay { DECAY_TYPICAL, DECAY_NONE, DECAY_HUGE, DECAY_TINY, DECAY_MIXED, DECAY_INFINITE, DECAY_SLOPE, N_DECAYS };

struct shape {
    size_t n_tokens, n_heads, n_qk_heads, d_k, d_v;
    int delta, per_key;
    enum decay decay;
};

struct operands {
    struct qk_linear_mixer m;
    float *q, *k, *v, *g, *beta, *state, *out;
    double *slope;
    double *want_out, *want_state, *sizes; /* sizes: per head the largest ‖S‖_F */
};

static void fill_decays(float *g, size_t n, size_t stride, enum decay decay)
{
    static const float constant[N_DECAYS] = {[DECAY_HUGE] = -1e4f, [DECAY_TINY] = -1e-7f};
    float *typical = uniform_floats(n, 8, -2, 0);
    for (size_t i = 0; i < n; i++) {
        size_t token = i / stride;
        g[i] = constant[decay];
        if (decay == DECAY_TYPICAL) {
            g[i] = typical[i] * typical[i] * typical[i] * typical[i] * -0.1f;
        } else if (decay == DECAY_MIXED) {
            g[i] = token % 7 == 3 ? -1e4f : token % 5 == 1 ? -40.0f * fabsf(typical[i]) : -1e-7f;
        } else if (decay == DECAY_INFINITE && token % 9 == 4) {
            g[i] = -INFINITY;
        }
    }
    qk_free(typical);
}

static double gate(const struct qk_linear_mixer *m, size_t t, size_t head, size_t d)
{
    if (m->g == NULL) {
        return exp(-m->slope[head]);
    }
    return exp((double)(m->g_per_key ? m->g[(t * m->n_heads + head) * m->d_k + d] : m->g[t * m->n_heads + head]));
}

static void reference_token(const struct qk_linear_mixer *m, size_t head, size_t t, double *state, double *out)
{
    size_t shared = head / (m->n_heads / m->n_qk_heads);
    const float *q = m->q + (t * m->n_qk_heads + shared) * m->d_k, *k = m->k + (t * m->n_qk_heads + shared) * m->d_k;
    for (size_t d = 0; d < m->d_k; d++) {
        for (size_t e = 0; e < m->d_v; e++) {
            state[d * m->d_v + e] *= gate(m, t, head, d);
        }
    }
    for (size_t e = 0; e < m->d_v; e++) {
        double u = (double)m->v[(t * m->n_heads + head) * m->d_v + e], o = 0;
        for (size_t d = 0; m->beta != NULL && d < m->d_k; d++) {
            u -= state[d * m->d_v + e] * (double)k[d];
        }
        u *= m->beta != NULL ? (double)m->beta[t * m->n_heads + head] : 1;
        for (size_t d = 0; d < m->d_k; d++) {
            state[d * m->d_v + e] += (double)k[d] * u;
            o += state[d * m->d_v + e] * (double)q[d];
        }
        out[e] = m->scale * o;
    }
}

static double norm(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum);
}

static void reference(struct operands *o)
{
    const struct qk_linear_mixer *m = &o->m;
    for (size_t head = 0; head < m->n_heads; head++) {
        double *state = o->want_state + head * m->d_k * m->d_v;
        for (size_t t = 0; t < m->n_tokens; t++) {
            reference_token(m, head, t, state, o->want_out + (t * m->n_heads + head) * m->d_v);
            o->sizes[head] = fmax(o->sizes[head], norm(m->d_k * m->d_v, state));
        }
    }
}

static struct operands operands_of(const struct shape *s)
{
    struct operands o = {0};
    size_t n_qk = s->n_tokens * s->n_qk_heads * s->d_k, n_v = s->n_tokens * s->n_heads * s->d_v;
    size_t n_g = s->n_tokens * s->n_heads * (s->per_key ? s->d_k : 1), n_s = s->n_heads * s->d_k * s->d_v;
    o.q = normal_floats(n_qk, 1, 1);
    o.k = normal_floats(n_qk, 2, 1);
    qk_l2_norm(n_qk / s->d_k, s->d_k, s->d_k, o.q, 1e-6);
    qk_l2_norm(n_qk / s->d_k, s->d_k, s->d_k, o.k, 1e-6);
    o.v = normal_floats(n_v, 3, 1);
    o.beta = uniform_floats(s->n_tokens * s->n_heads, 4, 0, 2);
    o.g = zero_floats(n_g);
    fill_decays(o.g, n_g, n_g / (s->n_tokens > 0 ? s->n_tokens : 1), s->decay);
    o.slope = zero_doubles(s->n_heads);
    for (size_t h = 0; h < s->n_heads; h++) {
        o.slope[h] = exp2(-8.0 * (double)(h + 1) / (double)s->n_heads);
    }
    o.state = zero_floats(n_s);
    o.out = normal_floats(n_v, 5, 1e30); /* must not be read */
    o.want_out = zero_doubles(n_v);
    o.want_state = zero_doubles(n_s);
    o.sizes = zero_doubles(s->n_heads);
    o.m = (struct qk_linear_mixer){
        .n_tokens = s->n_tokens,
        .n_heads = s->n_heads,
        .d_k = s->d_k,
        .d_v = s->d_v,
        .n_qk_heads = s->n_qk_heads,
        .scale = 1 / sqrt((double)s->d_k),
        .q = o.q,
        .k = o.k,
        .v = o.v,
        .g = s->decay == DECAY_SLOPE ? NULL : o.g,
        .g_per_key = s->per_key,
        .slope = s->decay == DECAY_SLOPE ? o.slope : NULL,
        .beta = s->delta ? o.beta : NULL,
        .state = o.state,
        .out = o.out,
    };
    reference(&o);
    return o;
}

static void release(struct operands *o)
{
    float *floats[] = {o->q, o->k, o->v, o->g, o->beta, o->state, o->out};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        qk_free(floats[i]);
    }
    qk_free(o->slope);
    qk_free(o->want_out);
    qk_free(o->want_state);
    qk_free(o->sizes);
}

/* Tokens [from, to). */
static void run_part(const struct operands *o, size_t from, size_t to, struct qk_pool *pool)
{
    struct qk_linear_mixer part = o->m;
    struct qk_err err = {0};
    part.n_tokens = to - from;
    part.q += from * part.n_qk_heads * part.d_k;
    part.k += from * part.n_qk_heads * part.d_k;
    part.v += from * part.n_heads * part.d_v;
    part.g = part.g == NULL ? NULL : part.g + from * part.n_heads * (part.g_per_key ? part.d_k : 1);
    part.beta = part.beta == NULL ? NULL : part.beta + from * part.n_heads;
    part.out += from * part.n_heads * part.d_v;
    enum qk_code code =
        part.beta != NULL ? qk_gated_delta_run(&part, pool, &err) : qk_gated_linear_run(&part, pool, &err);
    assert_int_equal(code, QK_OK);
}

static void check(const struct operands *o)
{
    const struct qk_linear_mixer *m = &o->m;
    for (size_t head = 0; head < m->n_heads; head++) {
        double bound = UNIT * ((double)(m->n_tokens + m->d_k) + 64) * o->sizes[head];
        size_t n = m->d_k * m->d_v;
        expect_close("state", n, m->state + head * n, o->want_state + head * n, bound);
        for (size_t t = 0; t < m->n_tokens; t++) {
            size_t at = (t * m->n_heads + head) * m->d_v;
            expect_close("output", m->d_v, m->out + at, o->want_out + at, bound * m->scale);
        }
    }
}

static void check_shape(const struct shape *s)
{
    struct operands o = operands_of(s);
    struct qk_pool *pool = pool_of(1);
    run_part(&o, 0, s->n_tokens, pool);
    check(&o);
    qk_pool_free(pool);
    release(&o);
}

static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int kind = 0; kind < 4; kind++) {
            check_shape(&(struct shape){lengths[i], 2, 2, 24, 17, kind & 1, kind >> 1, DECAY_TYPICAL});
        }
        check_shape(&(struct shape){lengths[i], 4, 4, 16, 16, 0, 0, DECAY_SLOPE});
        check_shape(&(struct shape){lengths[i], 4, 4, 16, 16, 1, 0, DECAY_SLOPE});
    }
}

static void test_head_sharing(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        check_shape(&(struct shape){130, 6, 1, 8, 12, kind & 1, kind >> 1, DECAY_TYPICAL});
        check_shape(&(struct shape){130, 6, 2, 8, 12, kind & 1, kind >> 1, DECAY_TYPICAL});
        check_shape(&(struct shape){130, 3, 3, 1, 1, kind & 1, kind >> 1, DECAY_TYPICAL});
    }
}

static void test_decays(void **state)
{
    (void)state;
    for (enum decay decay = DECAY_TYPICAL; decay <= DECAY_INFINITE; decay++) {
        for (int kind = 0; kind < 4; kind++) {
            check_shape(&(struct shape){333, 2, 1, 20, 8, kind & 1, kind >> 1, decay});
        }
    }
}

static void test_long_memory(void **state)
{
    (void)state;
    check_shape(&(struct shape){8192, 1, 1, 8, 4, 0, 0, DECAY_TINY});
    check_shape(&(struct shape){8192, 1, 1, 8, 4, 0, 1, DECAY_TINY});
    check_shape(&(struct shape){8192, 1, 1, 8, 4, 1, 0, DECAY_TINY});
}

/* What a head that hardly forgets keeps of its first token. Rounding the state once a chunk errs to both sides: over
 * 512 chunks and 256 elements the mean error is about u √512 / √256. A decay that was rounded to a float before it is
 * used errs to one side, up to u / 2 a chunk; e^{−64·10⁻⁷} by 0.37 u, which would make 190 u. */
static void test_unbiased_decay(void **state)
{
    (void)state;
    for (int per_key = 0; per_key < 2; per_key++) {
        struct shape s = {64 * 512, 1, 1, 16, 16, 0, per_key, DECAY_TINY};
        struct operands o = operands_of(&s);
        struct qk_pool *pool = pool_of(1);
        memset(o.v + s.d_v, 0, (s.n_tokens - 1) * s.d_v * sizeof *o.v);
        run_part(&o, 0, s.n_tokens, pool);
        double decay = exp(-(double)(s.n_tokens - 1) * (double)1e-7f), mean = 0;
        for (size_t i = 0; i < s.d_k * s.d_v; i++) {
            double want = decay * (double)o.k[i / s.d_v] * (double)o.v[i % s.d_v];
            mean += ((double)o.state[i] / want - 1) / (double)(s.d_k * s.d_v);
        }
        assert_true(fabs(mean) <= 16 * UNIT);
        qk_pool_free(pool);
        release(&o);
    }
}

/* Two parts split anywhere, and token by token. */
static void test_splits(void **state)
{
    (void)state;
    struct qk_pool *pool = pool_of(1);
    for (int kind = 0; kind < 4; kind++) {
        struct shape s = {70, 2, 1, 12, 8, kind & 1, kind >> 1, DECAY_TYPICAL};
        struct operands o = operands_of(&s);
        size_t n_state = s.n_heads * s.d_k * s.d_v;
        for (size_t split = 0; split <= s.n_tokens; split++) {
            memset(o.state, 0, n_state * sizeof *o.state);
            memset(o.out, 0xff, s.n_tokens * s.n_heads * s.d_v * sizeof *o.out);
            run_part(&o, 0, split, pool);
            run_part(&o, split, s.n_tokens, pool);
            check(&o);
        }
        memset(o.state, 0, n_state * sizeof *o.state);
        memset(o.out, 0xff, s.n_tokens * s.n_heads * s.d_v * sizeof *o.out);
        for (size_t t = 0; t < s.n_tokens; t++) {
            run_part(&o, t, t + 1, pool);
        }
        check(&o);
        release(&o);
    }
    qk_pool_free(pool);
}

/* Keys that repeat are the hardest for the triangular solve. */
static void test_repeated_keys(void **state)
{
    (void)state;
    struct shape s = {200, 1, 1, 8, 4, 1, 0, DECAY_NONE};
    struct operands o = operands_of(&s);
    struct qk_pool *pool = pool_of(1);
    for (size_t t = 0; t < s.n_tokens; t++) {
        memcpy(o.k + t * s.d_k, o.k, s.d_k * sizeof *o.k);
        o.beta[t] = t % 3 == 0 ? 2 : 1;
    }
    memset(o.want_state, 0, s.d_k * s.d_v * sizeof *o.want_state);
    reference(&o);
    run_part(&o, 0, s.n_tokens, pool);
    check(&o);
    qk_pool_free(pool);
    release(&o);
}

static void check_implicit(const struct shape *s)
{
    struct operands o = operands_of(s);
    double *a = zero_doubles(s->n_tokens), *work = zero_doubles(s->d_k), *sum = zero_doubles(s->d_v);
    struct qk_pool *pool = pool_of(1);
    run_part(&o, 0, s->n_tokens, pool);
    for (size_t head = 0; head < s->n_heads; head++) {
        for (size_t t = 0; t < s->n_tokens; t += t < 3 ? 1 : 29) {
            qk_implicit_row(&o.m, head, t, a, work);
            size_t at = (t * s->n_heads + head) * s->d_v;
            memset(sum, 0, s->d_v * sizeof *sum);
            for (size_t r = 0; r <= t; r++) {
                for (size_t e = 0; e < s->d_v; e++) {
                    sum[e] += a[r] * (double)o.v[(r * s->n_heads + head) * s->d_v + e];
                }
            }
            for (size_t e = 0; e < s->d_v; e++) {
                /* both in double: the same count of roundings as the bound above, of a smaller unit */
                double bound = ((double)(s->n_tokens + s->d_k) + 64) * 0x1p-53 * o.sizes[head];
                assert_true(fabs(sum[e] - o.want_out[at + e]) <= bound);
            }
            double float_bound = UNIT * ((double)(s->n_tokens + s->d_k) + 64) * o.sizes[head] * o.m.scale;
            expect_close("Σ a v", s->d_v, o.out + at, sum, float_bound);
        }
    }
    qk_pool_free(pool);
    qk_free(a);
    qk_free(work);
    qk_free(sum);
    release(&o);
}

static void test_implicit_rows(void **state)
{
    (void)state;
    for (enum decay decay = DECAY_TYPICAL; decay <= DECAY_INFINITE; decay++) {
        for (int kind = 0; kind < 4; kind++) {
            check_implicit(&(struct shape){300, 4, 2, 19, 6, kind & 1, kind >> 1, decay});
        }
    }
    check_implicit(&(struct shape){300, 4, 2, 16, 6, 0, 0, DECAY_SLOPE});
}

static void test_threads(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct shape s = {200, 10, 5, 24, 20, kind & 1, kind >> 1, DECAY_TYPICAL};
        struct operands o = operands_of(&s);
        size_t n = s.n_tokens * s.n_heads * s.d_v, n_state = s.n_heads * s.d_k * s.d_v;
        float *out = NULL, *end = NULL;
        for (size_t n_threads = 1; n_threads <= 8; n_threads = n_threads * n_threads * 2) {
            struct qk_pool *pool = pool_of(n_threads);
            memset(o.state, 0, n_state * sizeof *o.state);
            run_part(&o, 0, s.n_tokens, pool);
            qk_pool_free(pool);
            if (n_threads == 1) {
                out = copy_floats(n, o.out);
                end = copy_floats(n_state, o.state);
            }
            assert_memory_equal(out, o.out, n * sizeof *out);
            assert_memory_equal(end, o.state, n_state * sizeof *end);
        }
        qk_free(out);
        qk_free(end);
        release(&o);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct shape s = {70, 2, 1, 12, 8, 1, 0, DECAY_TYPICAL};
    struct operands o = operands_of(&s);
    struct qk_pool *pool = pool_of(1);
    struct qk_err err = {0};
    for (size_t k = 1; k <= 2; k++) {
        qk_alloc_fail_after(k);
        enum qk_code code = qk_gated_delta_run(&o.m, pool, &err);
        qk_alloc_fail_after(0);
        assert_int_equal(code, QK_ENOMEM);
    }
    qk_pool_free(pool);
    release(&o);
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_head_sharing),
        cmocka_unit_test(test_decays),         cmocka_unit_test(test_long_memory),
        cmocka_unit_test(test_unbiased_decay), cmocka_unit_test(test_splits),
        cmocka_unit_test(test_repeated_keys),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_implicit_rows),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
