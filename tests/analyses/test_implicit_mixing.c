/* Implied mixing of linear layers: which queries are sampled, decay, and rows against the recurrence run forwards. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyses/implicit_mixing.h"
#include "base/rng.h"

enum { T = 40, H = 2, DK = 5 };

static void test_sample(void **state)
{
    (void)state;
    bool selected[T], sampled[T];
    for (size_t every = 1; every < 7; every++) {
        size_t n_selected = 0;
        for (size_t t = 0; t < T; t++) {
            selected[t] = (T - 1 - t) % every == 0;
            n_selected += selected[t] ? 1 : 0;
        }
        for (size_t n = 0; n <= T + 1; n++) {
            size_t count = 0, last = T, widest = 0;
            qk_implicit_sample(T, selected, n, sampled);
            for (size_t t = T; t-- > 0;) {
                assert_true(!sampled[t] || selected[t]);
                if (sampled[t]) {
                    widest = count > 0 && last - t > widest ? last - t : widest;
                    last = t;
                    count++;
                }
            }
            size_t expected = n < n_selected ? n : n_selected;
            assert_int_equal(count, expected);
            assert_int_equal(sampled[T - 1], n > 0);
            /* evenly: no gap is more than one selected query wider than the mean */
            assert_true(expected == 0 || widest <= (n_selected + expected - 1) / expected * every);
        }
    }
}

struct layer {
    float q[T * H * DK], k[T * H * DK], v[T * H], beta[T * H], g[T * H], g_key[T * H * DK], scale[T * H];
    double slope[H];
    struct qk_linear_mixer mixer;
};

static void make_layer(struct layer *l)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, 8);
    for (size_t i = 0; i < T * H * DK; i++) {
        l->q[i] = (float)qk_rng_normal(&rng);
        l->k[i] = (float)(qk_rng_normal(&rng) / sqrt(DK));
        l->g_key[i] = (float)(-0.2 * qk_rng_uniform(&rng));
    }
    for (size_t i = 0; i < T * H; i++) {
        l->beta[i] = (float)qk_rng_uniform(&rng);
        l->g[i] = (float)(-0.3 * qk_rng_uniform(&rng));
        l->scale[i] = (float)(0.5 + qk_rng_uniform(&rng));
    }
    l->slope[0] = 0.5;
    l->slope[1] = 0.03;
    l->mixer = (struct qk_linear_mixer){
        .n_tokens = T, .n_heads = H, .d_k = DK, .d_v = 1, .n_qk_heads = H, .scale = 0.7, .q = l->q, .k = l->k};
}

/* Weight of key s in the output of query t: the recurrence in float64 with v one at s and zero elsewhere. */
static double forward_weight(const struct layer *l, size_t head, size_t t, size_t s)
{
    const struct qk_linear_mixer *m = &l->mixer;
    double state[DK] = {0};
    for (size_t i = 0; i <= t; i++) {
        const float *k = m->k + (i * H + head) * DK;
        double seen = 0.0, v = i == s ? 1.0 : 0.0;
        for (size_t d = 0; d < DK; d++) {
            double g = m->g == NULL ? -m->slope[head]
                                    : (double)(m->g_per_key ? m->g[(i * H + head) * DK + d] : m->g[i * H + head]);
            state[d] *= exp(g);
            seen += state[d] * (double)k[d];
        }
        double u = m->beta == NULL ? v : (double)m->beta[i * H + head] * (v - seen);
        for (size_t d = 0; d < DK; d++) {
            state[d] += u * (double)k[d];
        }
    }
    double out = 0.0;
    for (size_t d = 0; d < DK; d++) {
        out += m->scale * state[d] * (double)m->q[(t * H + head) * DK + d];
    }
    return out;
}

struct plan_memory {
    struct qk_arena *arena;
    struct qk_distance_plan plan;
    bool selected[T];
    double scalar[2][QK_N_DISTANCE_SUMS], bins[2][16], tail[2][4], profile[2][T];
};

static void make_plan(struct plan_memory *p)
{
    struct qk_err err;
    memset(p, 0, sizeof(*p));
    p->arena = qk_arena_new();
    assert_non_null(p->arena);
    for (size_t t = 0; t < T; t++) {
        p->selected[t] = t % 3 == 0;
    }
    p->plan = (struct qk_distance_plan){.n_tokens = T,
                                        .n_bins = qk_distance_bin_count(T),
                                        .n_windows = qk_tail_window_count(T),
                                        .n_sink = 2,
                                        .selected = p->selected};
    assert_int_equal(qk_distance_plan_ramp(&p->plan, p->arena, &err), QK_OK);
}

static void check_rows(const struct layer *l, const float *value_scale)
{
    static struct plan_memory p;
    for (size_t head = 0; head < H; head++) {
        make_plan(&p);
        struct qk_distance_sums found = {p.scalar[0], p.bins[0], p.tail[0], p.profile[0]};
        struct qk_distance_sums expected = {p.scalar[1], p.bins[1], p.tail[1], p.profile[1]};
        void *scratch = malloc(qk_implicit_scratch(T, DK));
        assert_non_null(scratch);
        qk_implicit_add_head(&l->mixer, value_scale, head, &p.plan, scratch, &found);
        free(scratch);
        for (size_t t = 0; t < T; t++) {
            double weights[T], total = 0.0;
            float row[T];
            for (size_t s = 0; s <= t; s++) {
                double scale = value_scale == NULL ? 1.0 : (double)value_scale[s * H + head];
                weights[s] = fabs(forward_weight(l, head, t, s) * scale);
                total += weights[s];
            }
            for (size_t s = 0; s <= t; s++) {
                row[s] = (float)(weights[s] / total);
            }
            qk_distance_add_row(&p.plan, t, 0, t + 1, row, &expected);
        }
        for (size_t d = 0; d < T; d++) {
            assert_true(fabs(p.profile[0][d] - p.profile[1][d]) <= 1e-5);
        }
        for (size_t k = 0; k < QK_SUM_DECAY_TOKENS; k++) {
            assert_true(fabs(p.scalar[0][k] - p.scalar[1][k]) <= 1e-5 * (1.0 + fabs(p.scalar[1][k])));
        }
        assert_true(p.scalar[1][QK_SUM_QUERIES] == 14.0);
        qk_arena_free(p.arena);
    }
}

static void test_rows(void **state)
{
    (void)state;
    static struct layer l;
    make_layer(&l);
    l.mixer.slope = l.slope;
    check_rows(&l, NULL);
    l.mixer.slope = NULL;
    l.mixer.g = l.g;
    check_rows(&l, l.scale);
    l.mixer.beta = l.beta;
    check_rows(&l, NULL);
    l.mixer.g = l.g_key;
    l.mixer.g_per_key = 1;
    check_rows(&l, NULL);
}

static double decay_of(const struct layer *l, size_t head)
{
    static struct plan_memory p;
    make_plan(&p);
    memset(p.selected, 0, sizeof(p.selected));
    struct qk_distance_sums sums = {p.scalar[0], p.bins[0], p.tail[0], NULL};
    static double none[2 * T + DK];
    qk_implicit_add_head(&l->mixer, NULL, head, &p.plan, none, &sums);
    qk_arena_free(p.arena);
    assert_true(p.scalar[0][QK_SUM_QUERIES] == 0.0);
    return p.scalar[0][QK_SUM_DECAY_TOKENS] == 0.0 ? NAN : p.scalar[0][QK_SUM_DECAY] / p.scalar[0][QK_SUM_DECAY_TOKENS];
}

static void test_decay(void **state)
{
    (void)state;
    static struct layer l;
    make_layer(&l);
    assert_true(isnan(decay_of(&l, 0)));
    l.mixer.slope = l.slope;
    assert_true(fabs(decay_of(&l, 0) - 0.5) <= 1e-14 && fabs(decay_of(&l, 1) - 0.03) <= 1e-14);
    double mean = 0.0, mean_key = 0.0;
    for (size_t t = 0; t < T; t++) {
        mean -= (double)l.g[t * H + 1] / T;
        for (size_t d = 0; d < DK; d++) {
            mean_key -= (double)l.g_key[(t * H + 1) * DK + d] / (T * DK);
        }
    }
    l.mixer.g = l.g;
    assert_true(fabs(decay_of(&l, 1) - mean) <= 1e-14);
    l.mixer.g = l.g_key;
    l.mixer.g_per_key = 1;
    assert_true(fabs(decay_of(&l, 1) - mean_key) <= 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
