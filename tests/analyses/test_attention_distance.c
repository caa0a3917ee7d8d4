/* Sums over attention rows against a loop over (t, s) as the definitions read, and the metrics made of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyses/attention_distance.h"
#include "analyses/drift.h"
#include "analyses/metric.h"
#include "base/alloc.h"
#include "base/rng.h"

enum { MAX_TOKENS = 1100, BLOCK_ROWS = 40 };

/* One head on one sequence. */
struct head_case {
    size_t n_tokens, n_sink, window, every;
    double sharpness; /* of the random logits: 0 gives uniform rows */
    bool spans;
};

struct memory {
    struct qk_arena *arena;
    float *row;
    bool *selected, *answer, *needle;
    uint32_t *number, strongest[3];
    double *bins, *tail, *profile;
    double scalar[QK_N_DISTANCE_SUMS];
};

/* What the definitions say, one weight at a time. */
struct naive {
    double scalar[QK_N_DISTANCE_SUMS], bins[64], tail[64], profile[MAX_TOKENS];
    size_t strongest[3];
};

static void draw_row(struct qk_rng *rng, const struct head_case *c, size_t t, size_t first, float *row)
{
    double sum = 0.0, logit[MAX_TOKENS];
    for (size_t s = first; s <= t; s++) {
        logit[s] = exp(c->sharpness * qk_rng_normal(rng));
        sum += logit[s];
    }
    for (size_t s = first; s <= t; s++) {
        row[s - first] = (float)(logit[s] / sum);
    }
    if (c->sharpness > 20.0) {
        row[0] = 0.0f;
    }
}

static size_t naive_bin(size_t d)
{
    size_t bin = 0;
    while (!(qk_distance_bin_low(bin) <= d && d <= qk_distance_bin_high(bin))) {
        bin++;
    }
    return bin;
}

static void naive_selected(const struct head_case *c, size_t t, size_t first, const float *row, struct naive *n)
{
    double mass = 0.0, far = 0.0, distance = 0.0, entropy = 0.0;
    for (size_t s = first; s <= t; s++) {
        double a = row[s - first], d = (double)(t - s);
        distance += a * d;
        n->scalar[QK_SUM_LOG_DISTANCE] += a * log2(1.0 + d);
        entropy -= a > 0.0 ? a * log(a) : 0.0;
        n->bins[naive_bin(t - s)] += a;
        n->profile[t - s] += a;
        if (s < c->n_sink) {
            n->scalar[QK_SUM_SINK] += a;
            continue;
        }
        mass += a;
        far += a * d;
        for (size_t w = 0; w < qk_tail_window_count(c->n_tokens); w++) {
            n->tail[w] += d > (double)qk_tail_window(w) ? a : 0.0;
        }
    }
    n->scalar[QK_SUM_QUERIES] += 1.0;
    n->scalar[QK_SUM_DISTANCE] += distance;
    n->scalar[QK_SUM_ENTROPY] += entropy;
    n->scalar[QK_SUM_NOSINK_QUERIES] += mass > 0.0 ? 1.0 : 0.0;
    n->scalar[QK_SUM_NOSINK_DISTANCE] += mass > 0.0 ? far / mass : 0.0;
    if (t > 0) {
        n->scalar[QK_SUM_LATER_QUERIES] += 1.0;
        n->scalar[QK_SUM_RELATIVE] += distance / (double)t;
        n->scalar[QK_SUM_ENTROPY_NORMALISED] += entropy / log((double)t + 1.0);
    }
}

static void naive_row(const struct head_case *c, const struct memory *m, size_t t, size_t first, const float *row,
                      struct naive *n)
{
    if (m->selected[t]) {
        naive_selected(c, t, first, row, n);
    }
    if (c->spans && m->answer[t]) {
        n->scalar[QK_SUM_ANSWER_QUERIES] += 1.0;
        float most = -1.0f;
        for (size_t s = t + 1; s-- > first;) {
            if (row[s - first] >= most) {
                most = row[s - first];
                n->strongest[m->number[t]] = s;
            }
        }
        for (size_t s = first; s <= t; s++) {
            n->scalar[QK_SUM_ANSWER_NEEDLE] += m->needle[s] ? (double)row[s - first] : 0.0;
        }
    }
}

static void make_memory(const struct head_case *c, struct memory *m)
{
    size_t n = c->n_tokens;
    *m = (struct memory){.arena = qk_arena_new()};
    assert_non_null(m->arena);
    m->row = qk_arena_alloc(m->arena, n + 8, sizeof(*m->row));
    m->selected = qk_arena_alloc(m->arena, n, sizeof(bool));
    m->answer = qk_arena_alloc(m->arena, n, sizeof(bool));
    m->needle = qk_arena_alloc(m->arena, n, sizeof(bool));
    m->number = qk_arena_alloc(m->arena, n, sizeof(*m->number));
    m->bins = qk_arena_alloc(m->arena, 64, sizeof(double));
    m->tail = qk_arena_alloc(m->arena, 64, sizeof(double));
    m->profile = qk_arena_alloc(m->arena, n, sizeof(double));
    assert_true(m->row && m->selected && m->answer && m->needle && m->number && m->bins && m->tail && m->profile);
    for (size_t t = 0; t < n; t++) {
        m->selected[t] = (n - 1 - t) % c->every == 0;
        m->answer[t] = t + 3 >= n;
        m->number[t] = m->answer[t] ? (uint32_t)(t + 3 - n) : 0;
        m->needle[t] = t >= n / 3 && t < n / 3 + 5;
    }
}

static void close_to(const char *what, double expected, double found, double scale)
{
    /* rows are float32, their logarithm a polynomial of relative error 4e-7, sums double, those by distance float32
     * over a block's rows: of terms of one sign, they wander off by about sqrt(BLOCK_ROWS) / 2 roundings */
    if (!(fabs(expected - found) <= 5e-7 * (fabs(expected) + scale))) {
        fail_msg("%s: expected %.17g, found %.17g", what, expected, found);
    }
}

/* Rows of a block as attention leaves them, a power of two away from the weights. */
struct gathered {
    struct qk_distance_block block;
    float *a, *work;
    double scale[BLOCK_ROWS], entropy[BLOCK_ROWS];
};

static void gather_row(struct gathered *g, const struct head_case *c, size_t t, size_t first, const float *row,
                       const struct qk_distance_plan *plan, struct qk_distance_sums *sums)
{
    struct qk_distance_block *b = &g->block;
    size_t r = b->n_rows++;
    if (r == 0) {
        size_t ld = c->n_tokens + 3;
        *b = (struct qk_distance_block){t, 1, first, 0, ld, g->a, g->scale, g->entropy};
        memset(g->a, 0, BLOCK_ROWS * ld * sizeof(*g->a));
    }
    g->scale[r] = ldexp(1.0, (int)(t % 9) - 4);
    g->entropy[r] = 0.0;
    for (size_t s = first; s <= t; s++) {
        double a = (double)row[s - first];
        g->a[r * b->ld + s - b->first_key] = (float)(a / g->scale[r]);
        g->entropy[r] -= a > 0.0 ? a * log(a) : 0.0;
    }
    if (b->n_rows == BLOCK_ROWS || t + 1 == c->n_tokens) {
        b->n_keys = t + 1 - b->first_key;
        qk_distance_add_block(plan, b, g->work, sums);
        b->n_rows = 0;
    }
}

static void run_case_as(const struct head_case *c, bool blocks)
{
    struct memory m;
    struct naive *n = calloc(1, sizeof(*n));
    assert_non_null(n);
    make_memory(c, &m);
    struct qk_distance_plan plan = {.n_tokens = c->n_tokens,
                                    .n_bins = qk_distance_bin_count(c->n_tokens),
                                    .n_windows = qk_tail_window_count(c->n_tokens),
                                    .n_sink = c->n_sink,
                                    .selected = m.selected,
                                    .answer = c->spans ? m.answer : NULL,
                                    .needle = c->spans ? m.needle : NULL,
                                    .answer_number = c->spans ? m.number : NULL};
    struct qk_err err;
    assert_int_equal(qk_distance_plan_ramp(&plan, m.arena, &err), QK_OK);
    struct qk_distance_sums sums = {m.scalar, m.bins, m.tail, m.profile, c->spans ? m.strongest : NULL};
    struct gathered gathered = {.a = calloc(BLOCK_ROWS * (c->n_tokens + 3), sizeof(float)),
                                .work = calloc(qk_distance_block_work(c->n_tokens), sizeof(float))};
    assert_true(gathered.a != NULL && gathered.work != NULL);
    struct qk_rng rng;
    qk_rng_seed(&rng, c->n_tokens * 31 + c->n_sink);
    double queries = 0.0;
    for (size_t t = 0; t < c->n_tokens; t++) {
        size_t first = c->window == 0 || t + 1 < c->window ? 0 : t + 1 - c->window;
        memset(m.row, 0, (c->n_tokens + 8) * sizeof(*m.row));
        draw_row(&rng, c, t, first, m.row);
        naive_row(c, &m, t, first, m.row, n);
        if (blocks) {
            gather_row(&gathered, c, t, first, m.row, &plan, &sums);
        } else { /* a block's rows may reach beyond the query */
            qk_distance_add_row(&plan, t, first, t + 1 - first + t % 4, m.row, &sums);
        }
        queries += m.selected[t] ? 1.0 : 0.0;
    }
    for (size_t k = 0; k < QK_N_DISTANCE_SUMS; k++) {
        close_to(qk_distance_sum_name(k), n->scalar[k], m.scalar[k], k == QK_SUM_ENTROPY ? queries : 1e-3);
    }
    for (size_t t = 0; c->spans && t < c->n_tokens; t++) {
        if (m.answer[t]) {
            assert_int_equal(m.strongest[m.number[t]], n->strongest[m.number[t]]);
        }
    }
    double total = 0.0;
    for (size_t b = 0; b < plan.n_bins; b++) {
        close_to("bin", n->bins[b], m.bins[b], 1e-6);
        total += m.bins[b];
    }
    close_to("histogram mass", c->sharpness > 20.0 ? total : queries, total, 1e-6);
    for (size_t w = 0; w < plan.n_windows; w++) {
        close_to("tail", n->tail[w], m.tail[w], 1e-6);
    }
    for (size_t d = 0; d < c->n_tokens; d++) {
        close_to("profile", n->profile[d], m.profile[d], 1e-6);
    }
    qk_arena_free(m.arena);
    free(gathered.a);
    free(gathered.work);
    free(n);
}

static void run_case(const struct head_case *c)
{
    run_case_as(c, false);
    run_case_as(c, true);
}

static void test_rows_against_definition(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 3, 4, 5, 31, 32, 33, 34, 63, 64, 65, 66, 127, 128, 129, 130, 257, 1000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (size_t sink = 0; sink <= 4; sink += 2) {
            run_case(&(struct head_case){.n_tokens = lengths[i], .n_sink = sink, .every = 1, .sharpness = 1.0});
            run_case(&(struct head_case){
                .n_tokens = lengths[i], .n_sink = sink, .every = 3, .sharpness = 5.0, .spans = true});
            run_case(&(struct head_case){
                .n_tokens = lengths[i], .n_sink = sink, .window = 20, .every = 1, .sharpness = 0.0});
            run_case(&(struct head_case){
                .n_tokens = lengths[i], .n_sink = sink, .window = 100, .every = 2, .sharpness = 30.0, .spans = true});
        }
    }
}

static void test_axes(void **state)
{
    (void)state;
    assert_int_equal(qk_distance_bin_count(0), 1);
    assert_int_equal(qk_distance_bin_count(1), 1);
    assert_int_equal(qk_distance_bin_count(2), 2);
    assert_int_equal(qk_distance_bin_count(3), 3);
    assert_int_equal(qk_distance_bin_count(5), 4);
    for (size_t n = 1; n < 5000; n++) {
        size_t last = qk_distance_bin_count(n) - 1;
        assert_true(qk_distance_bin_low(last) <= n - 1 && n - 1 <= qk_distance_bin_high(last));
    }
    for (size_t b = 0; b < 40; b++) {
        assert_true(qk_distance_bin_low(b + 1) == qk_distance_bin_high(b) + 1);
    }
    assert_int_equal(qk_tail_window_count(1), 1);
    assert_int_equal(qk_tail_window_count(65), 1);
    assert_int_equal(qk_tail_window_count(128), 1);
    assert_int_equal(qk_tail_window_count(129), 2);
}

/* Known rows, through the metric table: uniform attention has relative distance ½ and normalised entropy 1. */
static void test_uniform_metrics(void **state)
{
    (void)state;
    struct head_case c = {.n_tokens = 300, .n_sink = 0, .every = 1, .sharpness = 0.0};
    struct memory m;
    make_memory(&c, &m);
    struct qk_distance_plan plan = {.n_tokens = c.n_tokens,
                                    .n_bins = qk_distance_bin_count(c.n_tokens),
                                    .n_windows = qk_tail_window_count(c.n_tokens),
                                    .selected = m.selected};
    struct qk_err err;
    assert_int_equal(qk_distance_plan_ramp(&plan, m.arena, &err), QK_OK);
    struct qk_distance_sums sums = {m.scalar, m.bins, m.tail, NULL};
    for (size_t t = 0; t < c.n_tokens; t++) {
        for (size_t s = 0; s <= t; s++) {
            m.row[s] = (float)(1.0 / (double)(t + 1));
        }
        qk_distance_add_row(&plan, t, 0, t + 1, m.row, &sums);
    }
    struct qk_probe_unit probe = {
        .n_bins = plan.n_bins, .n_windows = plan.n_windows, .scalar = m.scalar, .bins = m.bins, .tail = m.tail};
    struct qk_drift_unit unit = {.probe = &probe};
    static const struct {
        const char *name;
        double value;
    } expected[] = {{"relative_distance", 0.5},
                    {"entropy_normalised", 1.0},
                    {"mean_distance", 74.75}, /* the mean over t of t / 2 */
                    {"mean_distance_nosink", 74.75},
                    {"sink_mass", 0.0}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct qk_metric *metric = qk_metric_find("probe", expected[i].name);
        double value = NAN;
        assert_non_null(metric);
        assert_int_equal(metric->value(&unit, &value), QK_STATE_DEFINED);
        close_to(expected[i].name, expected[i].value, value, 0.0);
    }
    double ignored;
    assert_int_equal(qk_metric_find("probe", "retrieval_mass")->value(&unit, &ignored), QK_STATE_NOT_APPLICABLE);
    assert_int_equal(qk_metric_find("probe", "decay_half_life")->value(&unit, &ignored), QK_STATE_NOT_APPLICABLE);
    assert_int_equal(qk_metric_find("probe", "distance_profile")->value(&unit, &ignored), QK_STATE_NOT_COMPUTED);
    qk_arena_free(m.arena);
}

/* Without a selected query nothing is defined, and NaN in a row makes its metrics undefined instead of wrong. */
static void test_undefined(void **state)
{
    (void)state;
    double scalar[QK_N_DISTANCE_SUMS] = {0}, bins[4] = {0}, tail[1] = {0}, value[4];
    struct qk_probe_unit probe = {.n_bins = 4, .n_windows = 1, .scalar = scalar, .bins = bins, .tail = tail};
    struct qk_drift_unit unit = {.probe = &probe};
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *metric = qk_metric_at(i);
        if (metric->scope == QK_SCOPE_PROBE) {
            assert_int_not_equal(metric->value(&unit, value), QK_STATE_DEFINED);
        }
    }
    scalar[QK_SUM_QUERIES] = 1.0;
    bins[2] = NAN;
    scalar[QK_SUM_DISTANCE] = NAN;
    assert_int_equal(qk_metric_find("probe", "distance_histogram")->value(&unit, value), QK_STATE_UNDEFINED);
    assert_int_equal(qk_metric_find("probe", "mean_distance")->value(&unit, value), QK_STATE_UNDEFINED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_against_definition),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_uniform_metrics),
        cmocka_unit_test(test_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
