/* The search of recommend --measure on made-up outcomes: what it finds is held against every choice there is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "run/measure_search.h"

enum { UNITS = 4, MODES = 4, CHOICES = MODES * MODES * MODES * MODES, RECALL = 200, REASONING = 400 };
enum { MOST_DECIDED = 64 };
enum { RESTORE = 1, HALF = 2, BROKEN = 3 };

/* Every case has a difficulty; a choice says the answer of those easier than its strength. */
struct world {
    double gain[UNITS], cost[UNITS];                  /* of restoring; half of a gain and a fifth of a cost for HALF */
    double synergy;                                   /* gained once units 0 and 1 are both changed */
    size_t n_calls, n_settled, n_decided, late_after; /* late_after: calls until the time is up; 0: never */
    uint8_t last_settled[UNITS];
    struct qk_search_decision decided[MOST_DECIDED];
    struct qk_arena *arena;
};

static double strength(const struct world *w, const uint8_t *choice, const double *of, double half)
{
    double sum = 0;
    for (size_t u = 0; u < UNITS; u++) {
        sum += choice[u] == RESTORE ? of[u] : choice[u] == HALF ? half * of[u] : 0;
    }
    return sum + (of == w->gain && choice[0] != 0 && choice[1] != 0 ? w->synergy : 0);
}

static void say(struct qk_outcome *o, size_t first, size_t n, double share)
{
    for (size_t i = 0; i < n; i++) {
        double margin = share - ((double)i + 0.5) / (double)n;
        o->hit[first + i] = margin > 0;
        o->logprob[first + i] = -log1p(exp(-40 * margin));
    }
}

static enum qk_code measure(void *ctx, const uint8_t *choice, const struct qk_outcome **ret, struct qk_err *err)
{
    struct world *w = ctx;
    for (size_t u = 0; u < UNITS; u++) {
        if (choice[u] == BROKEN) {
            return qk_fail(err, QK_EUNSUPPORTED, "unit %zu cannot", u);
        }
    }
    struct qk_outcome *o = qk_arena_alloc(w->arena, 1, sizeof *o);
    assert_non_null(o);
    o->n_recall = RECALL;
    o->n_reasoning = REASONING;
    o->hit = qk_arena_alloc(w->arena, RECALL + REASONING, 1);
    o->logprob = qk_arena_alloc(w->arena, RECALL + REASONING, sizeof *o->logprob);
    assert_non_null(o->logprob);
    say(o, 0, RECALL, 0.2 + strength(w, choice, w->gain, 0.5));
    say(o, RECALL, REASONING, 0.95 - strength(w, choice, w->cost, 0.2));
    w->n_calls++;
    *ret = o;
    return QK_OK;
}

static enum qk_code settle(void *ctx, const uint8_t *choice, struct qk_err *err)
{
    struct world *w = ctx;
    (void)err;
    w->n_settled++;
    memcpy(w->last_settled, choice, UNITS);
    return QK_OK;
}

static enum qk_code decided(void *ctx, const struct qk_search_decision *decision, struct qk_err *err)
{
    struct world *w = ctx;
    (void)err;
    assert_true(w->n_decided < MOST_DECIDED);
    w->decided[w->n_decided++] = *decision;
    return QK_OK;
}

static bool is_late(void *ctx)
{
    const struct world *w = ctx;
    return w->late_after > 0 && w->n_calls >= w->late_after;
}

static const bool all_offered[UNITS * MODES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const bool singles[MODES] = {0, 0, 1, 1};
static const double shares[MODES] = {0, 1, 0.5, 0.5}, loss_shares[MODES] = {0, 1, 0.2, 0.2};
static const uint8_t rule[UNITS] = {0, 0, 1, 1};

static struct qk_search_problem problem(struct world *w)
{
    return (struct qk_search_problem){.n_units = UNITS,
                                      .n_modes = MODES,
                                      .offered = all_offered,
                                      .share = shares,
                                      .loss_share = loss_shares,
                                      .single = singles,
                                      .cheap = singles,
                                      .max_loss = 0.03,
                                      .budget = 100,
                                      .n_starts = 1,
                                      .starts = rule,
                                      .ctx = w,
                                      .measure = measure,
                                      .settle = settle,
                                      .decided = decided,
                                      .is_late = is_late};
}

static double recall_of(const struct world *w, const uint8_t *choice)
{
    return 0.2 + strength(w, choice, w->gain, 0.5);
}

/* The best of all choices that cost at most max_loss less a margin. */
static double best_of_all(const struct world *w, double max_loss)
{
    double best = 0.2;
    for (size_t i = 0; i < CHOICES; i++) {
        uint8_t choice[UNITS];
        bool ok = true;
        for (size_t u = 0, rest = i; u < UNITS; u++, rest /= MODES) {
            choice[u] = (uint8_t)(rest % MODES);
            ok = ok && choice[u] != BROKEN;
        }
        if (ok && strength(w, choice, w->cost, 0.2) <= max_loss) {
            best = fmax(best, recall_of(w, choice));
        }
    }
    return best;
}

static struct qk_search_result search(const struct qk_search_problem *p, struct world *w)
{
    struct qk_search_result result;
    struct qk_err err = {0};
    w->n_calls = w->n_settled = w->n_decided = 0;
    enum qk_code code = qk_measure_search(p, w->arena, &result, &err);
    if (code != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(result.n_measured, w->n_calls);
    assert_true(result.n_measured <= p->budget);
    return result;
}

static struct world open_world(void)
{
    struct world w = {.arena = qk_arena_new()};
    assert_non_null(w.arena);
    return w;
}

static void is_allowed(const struct world *w, const struct qk_search_problem *p, const struct qk_search_result *r)
{
    assert_true(strength(w, r->choice, w->cost, 0.2) <= p->max_loss);
}

static void finds_the_best(void **state)
{
    struct qk_rng rng;
    size_t n_short = 0;
    (void)state;
    qk_rng_seed(&rng, 5);
    for (size_t round = 0; round < 60; round++) {
        struct world w = open_world();
        for (size_t u = 0; u < UNITS; u++) {
            w.gain[u] = 0.25 * qk_rng_uniform(&rng) - 0.05;
            w.cost[u] = 0.05 * qk_rng_uniform(&rng);
        }
        w.synergy = round % 3 == 0 ? 0.1 : 0;
        struct qk_search_problem p = problem(&w);
        struct qk_search_result r = search(&p, &w);
        is_allowed(&w, &p, &r);
        /* the cautious end keeps it a little below what the true costs allow; steps below the noise are not taken */
        n_short += recall_of(&w, r.choice) < best_of_all(&w, 0.02) - 0.04;
        assert_int_equal(r.end, QK_SEARCH_CONVERGED);
        assert_true(w.n_settled > 0);
        assert_memory_equal(w.last_settled, r.choice, UNITS);
        qk_arena_free(w.arena);
    }
    /* steps of one or two units get stuck now and then, where three have to change at once */
    assert_true(n_short <= 2);
}

static void keeps_when_nothing_helps(void **state)
{
    static const uint8_t none[UNITS];
    struct world w = open_world();
    (void)state;
    for (size_t u = 0; u < UNITS; u++) {
        w.gain[u] = -0.02;
        w.cost[u] = 0.01;
    }
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    assert_memory_equal(r.choice, none, UNITS);
    qk_arena_free(w.arena);
}

/* Less than a point is no plan, however sure it is. */
static void keeps_when_too_little_is_won(void **state)
{
    static const uint8_t none[UNITS];
    struct world w = open_world();
    (void)state;
    w.gain[2] = w.gain[3] = 0.004;
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    assert_memory_equal(r.choice, none, UNITS);
    qk_arena_free(w.arena);
}

static void keeps_when_all_cost_too_much(void **state)
{
    static const uint8_t none[UNITS];
    struct world w = open_world();
    (void)state;
    for (size_t u = 0; u < UNITS; u++) {
        w.gain[u] = 0.2;
        w.cost[u] = 0.4;
    }
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    assert_memory_equal(r.choice, none, UNITS);
    qk_arena_free(w.arena);
}

/* A start that is fixed beforehand is held by what is expected, what the search comes upon by the cautious end. */
static void starts_are_held_by_what_is_expected(void **state)
{
    struct world w = open_world();
    (void)state;
    w.gain[2] = w.gain[3] = 0.2;
    w.cost[2] = w.cost[3] = 0.0140;
    w.gain[0] = 0.001;
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    assert_memory_equal(r.choice, rule, UNITS);
    p.n_starts = 0;
    r = search(&p, &w);
    assert_true(recall_of(&w, r.choice) < recall_of(&w, rule));
    qk_arena_free(w.arena);
}

/* A unit of the start that is worth nothing is set back. */
static void drops_what_is_worth_nothing(void **state)
{
    struct world w = open_world();
    (void)state;
    w.gain[0] = 0.3;
    w.gain[2] = 0.2;
    w.cost[3] = 0.004;
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    assert_int_equal(r.choice[0], RESTORE);
    assert_int_equal(r.choice[2], RESTORE);
    assert_int_equal(r.choice[3], 0);
    qk_arena_free(w.arena);
}

static void ends_with_its_budget(void **state)
{
    struct world w = open_world();
    (void)state;
    for (size_t u = 0; u < UNITS; u++) {
        w.gain[u] = 0.1;
    }
    for (size_t budget = 1; budget < 8; budget++) {
        struct qk_search_problem p = problem(&w);
        p.budget = budget;
        struct qk_search_result r = search(&p, &w);
        is_allowed(&w, &p, &r);
        assert_int_equal(r.end, QK_SEARCH_BUDGET);
    }
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r;
    struct qk_err err = {0};
    p.budget = 0;
    assert_int_equal(qk_measure_search(&p, w.arena, &r, &err), QK_EUSAGE);
    qk_arena_free(w.arena);
}

static void every_set(void **state)
{
    static const uint8_t best[UNITS] = {1, 0, 1, 0};
    struct world w = open_world();
    (void)state;
    w.gain[0] = 0.2;
    w.gain[1] = 0.3;
    w.gain[2] = 0.15;
    w.gain[3] = -0.1;
    w.cost[1] = 0.2;
    struct qk_search_problem p = problem(&w);
    p.exhaustive = true;
    struct qk_search_result r = search(&p, &w);
    assert_int_equal(r.n_measured, 1 << UNITS);
    assert_int_equal(r.end, QK_SEARCH_ALL);
    assert_memory_equal(r.choice, best, UNITS);
    qk_arena_free(w.arena);
}

/* Of every set, too, a plan is what is better than nothing, and the rule is kept unless something is better. */
static void every_set_and_the_noise(void **state)
{
    static const uint8_t none[UNITS];
    struct world w = open_world();
    (void)state;
    w.gain[2] = w.gain[3] = 0.003;
    struct qk_search_problem p = problem(&w);
    p.exhaustive = true;
    struct qk_search_result r = search(&p, &w);
    assert_memory_equal(r.choice, none, UNITS);
    w.gain[2] = w.gain[3] = 0.2;
    w.gain[1] = 0.004;
    w.cost[1] = 0.001;
    r = search(&p, &w);
    assert_memory_equal(r.choice, rule, UNITS);
    assert_int_equal(w.decided[w.n_decided - 1].why, QK_SEARCH_RULES);
    assert_int_equal(r.n_measured, 1 << UNITS);
    qk_arena_free(w.arena);
}

/* Every decision tells where the search stands, and the last is the result; steps are worth what they are said to be.
 */
static void decisions_lead_to_the_result(void **state)
{
    static const uint8_t none[UNITS];
    struct world w = open_world();
    size_t n_taken = 0;
    (void)state;
    w.gain[0] = 0.3;
    w.gain[1] = 0.1;
    w.gain[2] = 0.2;
    w.cost[3] = 0.004;
    struct qk_search_problem p = problem(&w);
    struct qk_search_result r = search(&p, &w);
    const struct qk_search_decision *last = &w.decided[w.n_decided - 1];
    assert_int_equal(w.decided[0].why, QK_SEARCH_BEGINS);
    assert_memory_equal(w.decided[0].choice, none, UNITS);
    assert_true(w.decided[0].gain.probability.mean == 0 && w.decided[0].loss.expected == 0);
    for (size_t i = 1; i < w.n_decided; i++) {
        const struct qk_search_decision *d = &w.decided[i], *from = &w.decided[i - 1];
        bool step = d->why == QK_SEARCH_TAKES || d->why == QK_SEARCH_DROPS;
        double over = d->recall - (step ? from->recall : w.decided[0].recall);
        assert_true(fabs(d->gain.probability.mean - over) < 1e-12);
        assert_true(d->why != QK_SEARCH_TAKES || (over >= 0.01 && d->loss.cautious <= p.max_loss));
        n_taken += d->why == QK_SEARCH_TAKES;
    }
    assert_true(n_taken >= 2);
    assert_true(last->why == QK_SEARCH_ENDS || last->why == QK_SEARCH_RULES);
    assert_memory_equal(last->choice, r.choice, UNITS);
    for (size_t u = 0; u < UNITS; u++) {
        assert_true(r.tried[u]);
    }
    qk_arena_free(w.arena);
}

/* What an end that came early left out is known, and what ended it. */
static void tells_what_was_not_tried(void **state)
{
    struct world w = open_world();
    (void)state;
    for (size_t u = 0; u < UNITS; u++) {
        w.gain[u] = 0.1;
    }
    struct qk_search_problem p = problem(&w);
    p.budget = 3; /* tuned, the rule (2 and 3), one unit alone */
    struct qk_search_result r = search(&p, &w);
    assert_true(r.tried[0] && !r.tried[1] && r.tried[2] && r.tried[3]);
    assert_int_equal(r.end, QK_SEARCH_BUDGET);
    /* units that were left out to save the budget are no search that is done */
    static const uint8_t none[UNITS];
    p.budget = 8;
    p.n_starts = 0;
    for (size_t u = 0; u < UNITS; u++) {
        w.gain[u] = -0.1;
    }
    r = search(&p, &w);
    assert_memory_equal(r.choice, none, UNITS);
    assert_true(r.n_measured < p.budget && r.tried[2] && !r.tried[3]);
    assert_int_equal(r.end, QK_SEARCH_BUDGET);
    p.n_starts = 1;
    p.budget = 100;
    w.late_after = 2;
    r = search(&p, &w);
    assert_true(!r.tried[0] && !r.tried[1] && r.tried[2] && r.tried[3]);
    assert_int_equal(r.end, QK_SEARCH_TIME);
    qk_arena_free(w.arena);
}

/* By hand, half a case in each cell: 0 of 16 differ: ±1.96 √(1 / 18 / 18); 10 won and 4 lost of 100: 6 / 102 ± 1.96
 * √((15 / 102 − (6 / 102)²) / 102). */
static void paired_interval_by_hand(void **state)
{
    double lo, hi;
    (void)state;
    qk_paired_interval(16, 0, 0, &lo, &hi);
    assert_true(fabs(hi - 0.1088869) < 1e-6 && lo == -hi);
    qk_paired_interval(100, 10, 4, &lo, &hi);
    assert_true(fabs(lo - -0.0147164) < 1e-6 && fabs(hi - 0.1323634) < 1e-6);
    qk_paired_interval(1, 1, 0, &lo, &hi);
    assert_true(lo >= -1 && hi == 1);
}

static void without_reasoning(void **state)
{
    struct qk_outcome a = {.n_recall = 0}, b = {.n_recall = 0};
    (void)state;
    struct qk_reasoning_loss loss = qk_reasoning_loss(&a, &b);
    assert_true(loss.loss == 0 && loss.cautious == 0);
    struct qk_gain gain = qk_recall_gain(&a, &b);
    assert_false(qk_gain_is_real(&gain));
}

/* By hand: p = 0.5, 0.25 against 0.25, 0.25: mean 0.125, deviations ±0.125, s = 0.1768, s / √2 = 0.125. */
static void paired_by_hand(void **state)
{
    double a[] = {log(0.5), log(0.25)}, b[] = {log(0.25), log(0.25)};
    (void)state;
    struct qk_paired p = qk_paired_probability(2, a, b);
    assert_true(fabs(p.mean - 0.125) < 1e-15 && fabs(p.se - 0.125) < 1e-15);
    uint8_t ours[] = {1, 0, 0, 1}, theirs[] = {1, 1, 1, 1};
    double sure[] = {0, 0, 0, 0};
    struct qk_outcome tuned = {.n_reasoning = 4, .hit = theirs, .logprob = sure};
    struct qk_outcome o = {.n_reasoning = 4, .hit = ours, .logprob = sure};
    struct qk_reasoning_loss loss = qk_reasoning_loss(&o, &tuned);
    assert_true(loss.loss == 0.5 && loss.probability == 0 && loss.expected == 0.25);
    /* answers that are never likely say nothing by their probability */
    double unlikely[] = {-9, -9, -9, -9};
    tuned.logprob = o.logprob = unlikely;
    loss = qk_reasoning_loss(&o, &tuned);
    assert_true(loss.expected == 0.5 && fabs(loss.cautious - (0.5 + sqrt(3.0) / 4)) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_best),
        cmocka_unit_test(keeps_when_nothing_helps),
        cmocka_unit_test(keeps_when_too_little_is_won),
        cmocka_unit_test(keeps_when_all_cost_too_much),
        cmocka_unit_test(starts_are_held_by_what_is_expected),
        cmocka_unit_test(drops_what_is_worth_nothing),
        cmocka_unit_test(ends_with_its_budget),
        cmocka_unit_test(every_set),
        cmocka_unit_test(every_set_and_the_noise),
        cmocka_unit_test(decisions_lead_to_the_result),
        cmocka_unit_test(tells_what_was_not_tried),
        cmocka_unit_test(paired_interval_by_hand),
        cmocka_unit_test(without_reasoning),
        cmocka_unit_test(paired_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
