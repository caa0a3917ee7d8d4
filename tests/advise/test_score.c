/* Properties of the score: range, monotone in every part, zero where nothing was lost or nothing moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "advise/score.h"
#include "base/rng.h"
#include "made_run.h"

enum { DRAWS = 20000 };

/* A draw from all that metrics may give: their ranges, missing values, and the ends. */
static double draw(struct qk_rng *rng, double lo, double hi)
{
    static const double odd[] = {NAN, 0.0, 1.0, -1.0, 1e-300, INFINITY, -INFINITY};
    uint64_t which = qk_rng_below(rng, 20);
    return which < sizeof odd / sizeof odd[0] ? odd[which] : lo + (hi - lo) * qk_rng_uniform(rng);
}

static bool in_unit(double x)
{
    return x >= 0.0 && x <= 1.0;
}

static void every_part_is_in_range(void **state)
{
    (void)state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 1);
    for (size_t i = 0; i < DRAWS; i++) {
        double needle = draw(&rng, -1, 1), lo = draw(&rng, -3, 1), hi = draw(&rng, -3, 1), shift = draw(&rng, -20, 20);
        double rel = fabs(draw(&rng, 0, 100)), alignable = draw(&rng, 0, 1);
        enum qk_loss_kind kind;
        double p = qk_score_routing_loss(needle, lo, hi, shift, &kind);
        double d = qk_score_drift(rel, alignable);
        assert_true(isnan(p) ? isnan(needle) && isnan(lo) && isnan(shift) : in_unit(p));
        assert_true((p > 0.0) == (kind != QK_LOST_NOTHING));
        assert_true(isnan(rel) ? isnan(d) : in_unit(d));
        for (int basis = 0; basis < QK_N_SCORE_BASES; basis++) {
            double s = qk_score_combine((enum qk_score_basis)basis, p, d);
            bool lacks = (basis != QK_BASIS_DRIFT && isnan(p)) || (basis != QK_BASIS_PROBE && isnan(d));
            assert_true(lacks ? isnan(s) : in_unit(s));
        }
    }
}

static void more_loss_and_more_drift_never_lower_it(void **state)
{
    (void)state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 2);
    for (size_t i = 0; i < DRAWS; i++) {
        double needle = qk_rng_uniform(&rng) - 0.5, lo = qk_rng_uniform(&rng) - 0.5, shift = 4 * qk_rng_normal(&rng);
        double hi = lo + 0.2 * qk_rng_uniform(&rng), rel = qk_rng_uniform(&rng), a = qk_rng_uniform(&rng);
        double more = 0.3 * qk_rng_uniform(&rng);
        double p = qk_score_routing_loss(needle, lo, hi, shift, NULL), d = qk_score_drift(rel, a);
        assert_true(qk_score_routing_loss(needle + more, lo, hi, shift, NULL) >= p);
        assert_true(qk_score_routing_loss(needle, lo + more, hi + more, shift, NULL) >= p);
        assert_true(qk_score_routing_loss(needle, lo, hi, shift - more, NULL) >= p);
        assert_true(qk_score_drift(rel + more, a) >= d);
        assert_true(qk_score_drift(rel, fmin(a + more, 1.0)) <= d);
        for (int b = 0; b < QK_N_SCORE_BASES; b++) {
            double s = qk_score_combine((enum qk_score_basis)b, p, d);
            assert_true(qk_score_combine((enum qk_score_basis)b, fmin(p + more, 1.0), d) >= s);
            assert_true(qk_score_combine((enum qk_score_basis)b, p, fmin(d + more, 1.0)) >= s);
        }
    }
}

static void known_values(void **state)
{
    (void)state;
    enum qk_loss_kind kind;
    assert_true(fabs(qk_score_routing_loss(0.3, 0.1, 0.2, -1.0, &kind) - 0.5) < 1e-15); /* half the distance */
    assert_int_equal(kind, QK_LOST_RANGE);
    assert_true(fabs(qk_score_routing_loss(0.3, 0.1, -0.1, -1.0, &kind) - 0.3) < 1e-15); /* far attention grew */
    assert_int_equal(kind, QK_LOST_NEEDLE);
    assert_true(fabs(qk_score_routing_loss(NAN, 0.25, 0.3, 1.0, &kind) - 0.25) < 1e-15);
    assert_int_equal(kind, QK_LOST_FAR);
    assert_true(fabs(qk_score_drift(1.0, 0.0) - 0.5) < 1e-15);
    assert_true(fabs(qk_score_drift(2.0, 0.75) - 0.5) < 1e-15);
    assert_true(fabs(qk_score_drift(1.0, NAN) - 0.5) < 1e-15);
    assert_true(qk_score_drift(5.0, 1.0) <= 0.0); /* a mere rotation */
    assert_true(fabs(qk_score_combine(QK_BASIS_BOTH, 0.16, 0.25) - 0.2) < 1e-15);
    assert_true(qk_score_combine(QK_BASIS_BOTH, 0.0, 0.9) <= 0.0);
    assert_true(qk_score_combine(QK_BASIS_BOTH, 0.9, 0.0) <= 0.0);
}

static void heads_are_scored_from_the_run(void **state)
{
    (void)state;
    struct qk_table *table = made_run(MADE_DRIFT | MADE_PROBE);
    struct qk_arena *arena = qk_arena_new();
    made_set(table, "/probe/tuned/retrieval_mass", 3, 3, 0.1);
    made_set(table, "/drift/tuned/qk_eff_rel_drift", 3, 3, 1.0);
    made_set(table, "/drift/tuned/q_alignable", 3, 3, 0.2);
    made_set(table, "/drift/tuned/k_alignable", 3, 1, 0.8); /* head 3 reads key head 1 */
    made_set(table, "/drift/tuned/q_norm_delta", 3, 3, 1.0);
    made_set(table, "/drift/tuned/k_norm_delta", 3, 1, 3.0);
    struct qk_evidence e = made_evidence(table, arena);
    struct qk_head_score s = qk_score_head(&e, QK_BASIS_BOTH, 3, 3);
    double alignable = (1.0 * 0.2 + 9.0 * 0.8) / 10.0, x = sqrt(1.0 - alignable);
    assert_true(fabs(s.alignable - alignable) < 1e-15);
    assert_true(fabs(s.routing_loss - 0.4) < 1e-15);
    assert_true(fabs(s.score - sqrt(0.4 * x / (1.0 + x))) < 1e-15);
    made_set(table, "/drift/tuned/q_at_noise_floor", 3, 3, 1);
    assert_true(qk_score_head(&e, QK_BASIS_BOTH, 3, 3).score > 0.0);
    made_set(table, "/drift/tuned/k_at_noise_floor", 3, 1, 2);
    assert_true(qk_score_head(&e, QK_BASIS_BOTH, 3, 3).score <= 0.0);
    qk_arena_free(arena);
    qk_table_free(table);
}

/* Sums per probe whose quotients for one head of layer 3 are base − tuned = falls. */
static void add_sums(struct qk_table *table, const double *falls, size_t n)
{
    static const char *const names[] = {"base", "tuned"};
    static const char *const dims[] = {"/model/probe", "/model/layer", "/model/head", "/model/probe_sum"};
    struct qk_node *sum = NULL, *node = NULL;
    struct qk_err err = {0};
    assert_int_equal(qk_table_scale(table, dims[0], QK_TYPE_I64, n, &node, &err), QK_OK);
    assert_int_equal(qk_table_scale(table, dims[3], QK_TYPE_STR, 2, &sum, &err), QK_OK);
    sum->v.str[0] = "answer_needle";
    sum->v.str[1] = "answer_queries";
    for (size_t c = 0; c < 2; c++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/probe/%s/sums/scalar", names[c]);
        assert_int_equal(qk_table_array(table, path, QK_TYPE_F64, 4, dims, &node, &err), QK_OK);
        for (size_t s = 0; s < n; s++) {
            double *at = node->v.f64 + ((s * MADE_LAYERS + 3) * MADE_HEADS + 2) * 2;
            at[0] = c == 0 ? 4.0 * 0.9 : 4.0 * (0.9 - falls[s]); /* four answer positions */
            at[1] = isnan(falls[s]) ? 0.0 : 4.0;
        }
    }
    made_set(table, "/probe/base/retrieval_mass", 3, 2, 0.9);
    made_set(table, "/probe/tuned/retrieval_mass", 3, 2, 0.6);
}

static void the_needle_counts_at_the_lower_end_of_its_interval(void **state)
{
    (void)state;
    /* mean 0.3, s = 0.1, t(2) = 4.303 */
    static const double falls[] = {0.2, 0.3, NAN, 0.4}, one[] = {0.3}, same[] = {0.3, 0.3};
    const struct {
        const double *falls;
        size_t n;
        double expected;
    } cases[] = {{falls, 4, 0.3 - 4.303 * 0.1 / sqrt(3.0)}, {one, 1, 0.3}, {same, 2, 0.3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qk_table *table = made_run(MADE_PROBE);
        struct qk_arena *arena = qk_arena_new();
        add_sums(table, cases[i].falls, cases[i].n);
        struct qk_evidence e = made_evidence(table, arena);
        assert_true(fabs(qk_evidence_needle_fall(&e, 3, 2) - 0.3) < 1e-15);
        assert_true(fabs(qk_evidence_needle_loss(&e, 3, 2) - cases[i].expected) < 1e-12);
        assert_true(fabs(qk_evidence_needle_loss(&e, 3, 1)) < 1e-15); /* no sums: the fall itself */
        qk_arena_free(arena);
        qk_table_free(table);
    }
}

static void what_there_is_decides_the_basis(void **state)
{
    (void)state;
    static const enum qk_score_basis expected[] = {
        [MADE_DRIFT] = QK_BASIS_DRIFT, [MADE_PROBE] = QK_BASIS_PROBE, [MADE_DRIFT | MADE_PROBE] = QK_BASIS_BOTH};
    for (unsigned parts = 1; parts <= 3; parts++) {
        struct qk_table *table = made_run(parts);
        struct qk_arena *arena = qk_arena_new();
        struct qk_evidence e = made_evidence(table, arena);
        assert_int_equal(qk_score_basis_of(&e), expected[parts]);
        qk_arena_free(arena);
        qk_table_free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_in_range),
        cmocka_unit_test(more_loss_and_more_drift_never_lower_it),
        cmocka_unit_test(known_values),
        cmocka_unit_test(heads_are_scored_from_the_run),
        cmocka_unit_test(what_there_is_decides_the_basis),
        cmocka_unit_test(the_needle_counts_at_the_lower_end_of_its_interval),
    };
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
