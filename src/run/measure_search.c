/* Search by measuring: see run/measure_search.h. */
#include <math.h>
#include <string.h>

#include "measure_search_state.h"

/* ---- starts ----------------------------------------------------------------------------------------------------- */

static enum qk_code run_starts(struct qk_search_state *s, struct qk_err *err)
{
    struct qk_search_record r;
    for (size_t i = 0; i < s->p->n_starts; i++) {
        QK_TRY(qk_search_take(s, s->p->starts + i * s->p->n_units, true, &r, err));
    }
    return QK_OK;
}

/* ---- singles ---------------------------------------------------------------------------------------------------- */

static enum qk_code run_single(struct qk_search_state *s, size_t unit, size_t mode, struct qk_search_record *ret,
                               struct qk_err *err)
{
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (choice == NULL) {
        return qk_fail_nomem(err, "search");
    }
    choice[unit] = (uint8_t)mode;
    QK_TRY(qk_search_take(s, choice, false, ret, err));
    if (ret->outcome == NULL && !s->spent) {
        s->cannot[qk_search_cell(s, unit, mode)] = true;
    } else if (ret->outcome != NULL) {
        qk_search_learn(s, unit, mode,
                        (struct qk_search_effect){ret->recall - s->tuned.recall, ret->loss - s->tuned.loss});
    }
    return QK_OK;
}

/* The unit with the place-th highest score. */
static size_t unit_at(const struct qk_search_state *s, size_t place)
{
    for (size_t u = 0; s->p->score != NULL && u < s->p->n_units; u++) {
        size_t before = 0;
        for (size_t o = 0; o < s->p->n_units; o++) {
            double a = isnan(s->p->score[o]) ? -1 : s->p->score[o], b = isnan(s->p->score[u]) ? -1 : s->p->score[u];
            before += a > b || (a == b && o < u);
        }
        if (before == place) {
            return u;
        }
    }
    return place;
}

static enum qk_code run_singles(struct qk_search_state *s, struct qk_err *err)
{
    size_t most = s->p->n_units;
    /* a third of the budget at most, so that there is some left for putting units together */
    most = most > s->p->budget / 3 + 1 ? s->p->budget / 3 + 1 : most;
    s->cut = most < s->p->n_units;
    struct qk_search_record r;
    for (size_t place = 0; place < most; place++) {
        QK_TRY(run_single(s, unit_at(s, place), 1, &r, err));
    }
    for (size_t place = 0; place < most; place++) {
        size_t u = unit_at(s, place);
        const struct qk_search_effect *whole = &s->effects[qk_search_cell(s, u, 1)];
        bool gains = s->known[qk_search_cell(s, u, 1)] && whole->recall > 0.01,
             costly = whole->loss > 2 * s->p->max_loss;
        for (size_t m = 2; gains && m < s->p->n_modes; m++) {
            bool worth = (costly ? s->p->cheap[m] : s->p->single[m]) && s->p->offered[qk_search_cell(s, u, m)];
            if (worth && s->n_measured < 2 * s->p->budget / 3) {
                QK_TRY(run_single(s, u, m, &r, err));
            }
        }
    }
    return QK_OK;
}

/* Half of the recall that is to be had. */
static double price_of(const struct qk_search_state *s)
{
    double most = s->tuned.recall;
    for (size_t i = 0; i < s->n_records; i++) {
        most = fmax(most, s->records[i].recall);
    }
    return (most - s->tuned.recall) / 2;
}

/* Steps from a measured choice on, with what the singles taught: first those that win much for what they cost, then
 * whatever wins. */
static enum qk_code walk(struct qk_search_state *s, const struct qk_search_record *from, struct qk_err *err)
{
    size_t n = s->p->n_units * s->p->n_modes;
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    struct qk_search_effect *effects = qk_arena_alloc(s->arena, n + 1, sizeof *effects);
    if (choice == NULL || effects == NULL) {
        return qk_fail_nomem(err, "search");
    }
    memcpy(effects, s->effects, n * sizeof *effects);
    QK_TRY(qk_search_stand_at(s, QK_SEARCH_BEGINS, from, err));
    bool dear = s->p->max_loss > 0 && isfinite(s->p->max_loss);
    for (size_t phase = dear ? 0 : 1; phase < 2; phase++) {
        s->price = phase == 0 ? price_of(s) : 0;
        for (bool moved = true; moved && !s->spent;) {
            QK_TRY(qk_search_step(s, choice, &moved, err));
            if (moved) {
                QK_TRY(qk_search_go_back(s, choice, err));
            }
        }
    }
    s->effects = effects;
    return QK_OK;
}

static bool is_gain(const struct qk_search_record *a, const struct qk_search_record *b)
{
    struct qk_gain gain = qk_recall_gain(a->outcome, b->outcome);
    return gain.probability.mean >= QK_SEARCH_LEAST_GAIN && qk_gain_is_real(&gain);
}

/* The allowed start with the most recall; the tuned one where there is none. */
static struct qk_search_record best_start(const struct qk_search_state *s)
{
    struct qk_search_record best = s->tuned;
    for (size_t i = 0; i < s->n_records; i++) {
        const struct qk_search_record *r = &s->records[i];
        if (r->is_start && r->outcome != NULL && qk_search_is_allowed(s, r) && r->recall > best.recall) {
            best = *r;
        }
    }
    return best;
}

/* The first start, the simple rule, gives way to what is better beyond the noise, or no worse in either way. */
static enum qk_code conclude(struct qk_search_state *s, const struct qk_search_record *best, struct qk_err *err)
{
    const struct qk_search_record *rule = s->p->n_starts > 0 ? qk_search_find(s, s->p->starts) : NULL;
    bool holds = rule != NULL && rule->outcome != NULL && qk_search_is_allowed(s, rule) && is_gain(rule, &s->tuned);
    if (holds && !is_gain(best, rule) && !(best->recall >= rule->recall && best->loss <= rule->loss)) {
        return qk_search_stand_at(s, QK_SEARCH_RULES, rule, err);
    }
    return qk_search_stand_at(s, QK_SEARCH_ENDS, best, err);
}

/* From nothing, then from the best start. */
static enum qk_code walk_all(struct qk_search_state *s, struct qk_err *err)
{
    struct qk_search_record start = best_start(s);
    QK_TRY(walk(s, &s->tuned, err));
    struct qk_search_record best = s->best;
    if (start.choice != s->tuned.choice && !s->spent) {
        QK_TRY(walk(s, &start, err));
        best = is_gain(&s->best, &best) ? s->best : best;
    } else if (is_gain(&start, &best)) {
        best = start;
    }
    return conclude(s, &best, err);
}

/* ---- every set -------------------------------------------------------------------------------------------------- */

static enum qk_code run_all(struct qk_search_state *s, struct qk_err *err)
{
    struct qk_search_record r, best = s->tuned;
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (choice == NULL) {
        return qk_fail_nomem(err, "search");
    }
    if (s->p->n_starts > 0) {
        QK_TRY(qk_search_take(s, s->p->starts, true, &r, err));
    }
    for (size_t set = 1; set < (size_t)1 << s->p->n_units; set++) {
        for (size_t u = 0; u < s->p->n_units; u++) {
            choice[u] = set >> u & 1;
        }
        QK_TRY(qk_search_take(s, choice, false, &r, err));
        if (r.outcome != NULL && qk_search_is_allowed(s, &r) && r.recall > best.recall && is_gain(&r, &s->tuned)) {
            best = r;
        }
    }
    return conclude(s, &best, err);
}

/* ---- the search ------------------------------------------------------------------------------------------------- */

static enum qk_code begin(struct qk_search_state *s, struct qk_err *err)
{
    uint8_t *none = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    s->effects = qk_arena_alloc(s->arena, s->p->n_units * s->p->n_modes + 1, sizeof *s->effects);
    s->known = qk_arena_alloc(s->arena, s->p->n_units * s->p->n_modes + 1, sizeof *s->known);
    s->cannot = qk_arena_alloc(s->arena, s->p->n_units * s->p->n_modes + 1, sizeof *s->cannot);
    if (none == NULL || s->effects == NULL || s->known == NULL || s->cannot == NULL) {
        return qk_fail_nomem(err, "search");
    }
    struct qk_search_record tuned;
    QK_TRY(qk_search_take(s, none, true, &tuned, err));
    if (tuned.outcome == NULL) {
        return qk_fail(err, QK_EUSAGE, "a search needs a budget of at least one measurement");
    }
    s->tuned = s->best = tuned;
    return QK_OK;
}

/* NULL: out of memory. */
static const bool *tried_units(const struct qk_search_state *s)
{
    bool *tried = qk_arena_alloc(s->arena, s->p->n_units + 1, sizeof *tried);
    for (size_t i = 0; tried != NULL && i < s->n_records; i++) {
        for (size_t u = 0; u < s->p->n_units; u++) {
            tried[u] |= s->records[i].choice[u] != 0 && s->records[i].outcome != NULL;
        }
    }
    return tried;
}

enum qk_code qk_measure_search(const struct qk_search_problem *problem, struct qk_arena *arena,
                               struct qk_search_result *ret, struct qk_err *err)
{
    struct qk_search_state s = {.p = problem, .arena = arena};
    QK_TRY(begin(&s, err));
    if (problem->exhaustive) {
        QK_TRY(run_all(&s, err));
    } else {
        QK_TRY(run_starts(&s, err));
        QK_TRY(run_singles(&s, err));
        QK_TRY(walk_all(&s, err));
    }
    *ret = (struct qk_search_result){.choice = s.best.choice,
                                     .outcome = s.best.outcome,
                                     .n_measured = s.n_measured,
                                     .tried = tried_units(&s),
                                     .end = s.late                ? QK_SEARCH_TIME
                                            : s.spent || s.cut    ? QK_SEARCH_BUDGET
                                            : problem->exhaustive ? QK_SEARCH_ALL
                                                                  : QK_SEARCH_CONVERGED};
    return ret->tried == NULL ? qk_fail_nomem(err, "search") : QK_OK;
}

const char *qk_search_end_text(enum qk_search_end end)
{
    static const char *const texts[QK_N_SEARCH_ENDS] = {
        [QK_SEARCH_CONVERGED] = "nothing that was left to try is better beyond the noise",
        [QK_SEARCH_BUDGET] = "the budget was spent",
        [QK_SEARCH_TIME] = "the time was up",
        [QK_SEARCH_ALL] = "every set of units was measured",
        [QK_SEARCH_SKIPPED] = "not needed, since nothing was lost",
    };
    return texts[end];
}
