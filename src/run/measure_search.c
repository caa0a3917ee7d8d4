/* Search by measuring: see run/measure_search.h. */
#include "run/measure_search.h"

#include <math.h>
#include <string.h>

#include "base/interrupt.h"

enum { TRIES = 6, MOST_RECORDS = 1 << 16 };

struct record {
    const uint8_t *choice;
    const struct qk_outcome *outcome; /* NULL: cannot be made */
    double recall;                    /* mean probability of the answers */
    double loss;                      /* cautious */
};

struct effect {
    double recall, loss;
};

struct search {
    const struct qk_search_problem *p;
    struct qk_arena *arena;
    size_t n_records, cap_records, n_measured;
    struct record *records;
    struct record tuned, best; /* best: where the search stands */
    struct effect *effects;    /* (n_units, n_modes) */
    bool *known;               /* (n_units, n_modes) measured */
    bool spent;
};

static bool is_allowed(const struct search *s, const struct record *r)
{
    return r->loss <= s->p->max_loss || memcmp(r->choice, s->tuned.choice, s->p->n_units) == 0;
}

static const struct record *find(const struct search *s, const uint8_t *choice)
{
    for (size_t i = 0; i < s->n_records; i++) {
        if (memcmp(s->records[i].choice, choice, s->p->n_units) == 0) {
            return &s->records[i];
        }
    }
    return NULL;
}

static enum qk_code push(struct search *s, const struct record *r, struct qk_err *err)
{
    if (s->n_records == s->cap_records) {
        size_t cap = s->cap_records > 0 ? 2 * s->cap_records : 64;
        struct record *more = cap <= MOST_RECORDS ? qk_arena_alloc(s->arena, cap, sizeof *more) : NULL;
        if (more == NULL) {
            return qk_fail_nomem(err, "search");
        }
        if (s->n_records > 0) {
            memcpy(more, s->records, s->n_records * sizeof *more);
        }
        s->records = more;
        s->cap_records = cap;
    }
    s->records[s->n_records++] = *r;
    return QK_OK;
}

static double mean_probability(const struct qk_outcome *o)
{
    double sum = 0;
    for (size_t i = 0; i < o->n_recall; i++) {
        sum += exp(o->logprob[i]);
    }
    return o->n_recall > 0 ? sum / (double)o->n_recall : 0;
}

/* ret->outcome NULL: the choice cannot be made, or the budget is spent. */
static enum qk_code measure(struct search *s, const uint8_t *choice, struct record *ret, struct qk_err *err)
{
    const struct record *known = find(s, choice);
    struct record r = {0};
    if (known != NULL) {
        *ret = *known;
        return QK_OK;
    }
    if (s->n_measured >= s->p->budget || (s->n_measured > 0 && s->p->is_late != NULL && s->p->is_late(s->p->ctx))) {
        s->spent = true;
        *ret = r;
        return QK_OK;
    }
    QK_TRY(qk_interrupt_check(err));
    uint8_t *copy = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (copy == NULL) {
        return qk_fail_nomem(err, "search");
    }
    memcpy(copy, choice, s->p->n_units);
    r.choice = copy;
    struct qk_err why;
    enum qk_code code = s->p->measure(s->p->ctx, choice, &r.outcome, &why);
    if (code == QK_EUNSUPPORTED) {
        r.outcome = NULL;
    } else if (code != QK_OK) {
        if (err != NULL) {
            *err = why;
        }
        return code;
    } else {
        s->n_measured++;
        r.recall = mean_probability(r.outcome);
        r.loss = s->tuned.outcome != NULL ? qk_reasoning_loss(r.outcome, s->tuned.outcome).cautious : 0;
    }
    *ret = r;
    return push(s, &r, err);
}

static bool is_better(const struct search *s, const struct record *r)
{
    if (r->outcome == NULL || !is_allowed(s, r)) {
        return false;
    }
    struct qk_gain gain = qk_recall_gain(r->outcome, s->best.outcome);
    return qk_gain_is_real(&gain);
}

static enum qk_code stand_at(struct search *s, const struct record *r, struct qk_err *err)
{
    s->best = *r;
    return s->p->settle == NULL ? QK_OK : s->p->settle(s->p->ctx, r->choice, err);
}

/* ---- starts ----------------------------------------------------------------------------------------------------- */

static enum qk_code run_starts(struct search *s, struct qk_err *err)
{
    struct record best = s->tuned, r;
    for (size_t i = 0; i < s->p->n_starts; i++) {
        QK_TRY(measure(s, s->p->starts + i * s->p->n_units, &r, err));
        if (r.outcome != NULL && is_allowed(s, &r) && r.recall > best.recall) {
            best = r;
        }
    }
    return stand_at(s, &best, err);
}

/* ---- singles ---------------------------------------------------------------------------------------------------- */

static size_t cell(const struct search *s, size_t unit, size_t mode)
{
    return unit * s->p->n_modes + mode;
}

static void learn(struct search *s, size_t unit, size_t mode, struct effect effect)
{
    s->effects[cell(s, unit, mode)] = effect;
    s->known[cell(s, unit, mode)] = true;
    for (size_t m = 1; mode == 1 && m < s->p->n_modes; m++) {
        if (!s->known[cell(s, unit, m)]) {
            s->effects[cell(s, unit, m)] =
                (struct effect){s->p->share[m] * effect.recall, s->p->share[m] * effect.loss};
        }
    }
}

static enum qk_code run_single(struct search *s, size_t unit, size_t mode, struct record *ret, struct qk_err *err)
{
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (choice == NULL) {
        return qk_fail_nomem(err, "search");
    }
    choice[unit] = (uint8_t)mode;
    QK_TRY(measure(s, choice, ret, err));
    if (ret->outcome != NULL) {
        learn(s, unit, mode, (struct effect){ret->recall - s->tuned.recall, ret->loss - s->tuned.loss});
    }
    return QK_OK;
}

/* The unit with the place-th highest score. */
static size_t unit_at(const struct search *s, size_t place)
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

static enum qk_code run_singles(struct search *s, struct qk_err *err)
{
    size_t most = s->p->n_units;
    /* a third of the budget at most, so that there is some left for putting units together */
    most = most > s->p->budget / 3 + 1 ? s->p->budget / 3 + 1 : most;
    struct record r;
    for (size_t place = 0; place < most; place++) {
        QK_TRY(run_single(s, unit_at(s, place), 1, &r, err));
    }
    for (size_t place = 0; place < most; place++) {
        size_t u = unit_at(s, place);
        const struct effect *whole = &s->effects[cell(s, u, 1)];
        bool gains = s->known[cell(s, u, 1)] && whole->recall > 0.01;
        for (size_t m = 2; gains && s->n_measured < 2 * s->p->budget / 3 && m < s->p->n_modes; m++) {
            if (s->p->single[m] && s->p->offered[cell(s, u, m)]) {
                QK_TRY(run_single(s, u, m, &r, err));
            }
        }
    }
    return QK_OK;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

struct move {
    size_t unit[2];
    uint8_t mode[2]; /* of unit[1]: only where n is 2 */
    size_t n;
    double recall; /* predicted change */
};

static struct effect change(const struct search *s, size_t unit, size_t mode)
{
    const struct effect *to = &s->effects[cell(s, unit, mode)],
                        *from = &s->effects[cell(s, unit, s->best.choice[unit])];
    return (struct effect){to->recall - from->recall, to->loss - from->loss};
}

static void apply(const struct search *s, const struct move *m, uint8_t *choice)
{
    memcpy(choice, s->best.choice, s->p->n_units);
    for (size_t i = 0; i < m->n; i++) {
        choice[m->unit[i]] = m->mode[i];
    }
}

/* Keeps the TRIES highest; equal ones in order of coming. */
static void consider(struct search *s, struct move *moves, size_t *n, const struct move *m, double loss,
                     uint8_t *choice)
{
    if (m->recall <= 0 || s->best.loss + loss > s->p->max_loss ||
        (*n == TRIES && m->recall <= moves[TRIES - 1].recall)) {
        return;
    }
    apply(s, m, choice);
    if (find(s, choice) != NULL) {
        return;
    }
    size_t at = *n < TRIES ? (*n)++ : TRIES - 1;
    for (; at > 0 && moves[at - 1].recall < m->recall; at--) {
        moves[at] = moves[at - 1];
    }
    moves[at] = *m;
}

static bool is_open(const struct search *s, size_t unit, size_t mode)
{
    return mode != s->best.choice[unit] && (mode == 0 || s->p->offered[cell(s, unit, mode)]);
}

static size_t find_moves(struct search *s, struct move moves[TRIES], uint8_t *choice)
{
    size_t n = 0, n_units = s->p->n_units, n_modes = s->p->n_modes;
    for (size_t u = 0; u < n_units; u++) {
        for (size_t m = 0; m < n_modes; m++) {
            if (!is_open(s, u, m)) {
                continue;
            }
            struct effect first = change(s, u, m);
            struct move one = {.unit = {u}, .mode = {(uint8_t)m}, .n = 1, .recall = first.recall};
            consider(s, moves, &n, &one, first.loss, choice);
            for (size_t v = u + 1; v < n_units; v++) {
                for (size_t k = 0; k < n_modes; k++) {
                    if (!is_open(s, v, k)) {
                        continue;
                    }
                    struct effect second = change(s, v, k);
                    struct move two = {.unit = {u, v},
                                       .mode = {(uint8_t)m, (uint8_t)k},
                                       .n = 2,
                                       .recall = first.recall + second.recall};
                    consider(s, moves, &n, &two, first.loss + second.loss, choice);
                }
            }
        }
    }
    return n;
}

/* What a move did is what its unit's mode does, as far as is known now; two units share the surprise. */
static void learn_move(struct search *s, const struct move *m, const struct record *r)
{
    double recall = r->recall - s->best.recall, loss = r->loss - s->best.loss;
    for (size_t i = 0; i < m->n; i++) {
        struct effect c = change(s, m->unit[i], m->mode[i]);
        recall -= c.recall;
        loss -= c.loss;
    }
    for (size_t i = 0; i < m->n; i++) {
        struct effect *e = &s->effects[cell(s, m->unit[i], m->mode[i])];
        e->recall += recall / (double)m->n;
        e->loss += loss / (double)m->n;
        s->known[cell(s, m->unit[i], m->mode[i])] = true;
    }
}

static enum qk_code step(struct search *s, uint8_t *choice, bool *ret_moved, struct qk_err *err)
{
    struct record best = {0}, r;
    size_t failed = 0;
    *ret_moved = false;
    while (failed < 2 * TRIES && !s->spent) {
        struct move moves[TRIES];
        size_t n = find_moves(s, moves, choice);
        if (n == 0) {
            return QK_OK;
        }
        for (size_t i = 0; i < n && !s->spent; i++) {
            apply(s, &moves[i], choice);
            QK_TRY(measure(s, choice, &r, err));
            if (r.outcome == NULL) {
                continue;
            }
            learn_move(s, &moves[i], &r);
            if (is_better(s, &r) && (best.outcome == NULL || r.recall > best.recall)) {
                best = r;
            }
        }
        failed += n;
        if (best.outcome != NULL) {
            *ret_moved = true;
            return stand_at(s, &best, err);
        }
    }
    return QK_OK;
}

/* Sets units back whose mode is worth nothing here. */
static enum qk_code go_back(struct search *s, uint8_t *choice, struct qk_err *err)
{
    for (size_t u = 0; u < s->p->n_units && !s->spent; u++) {
        struct record r;
        if (s->best.choice[u] == 0 || s->effects[cell(s, u, s->best.choice[u])].recall > 0.05) {
            continue;
        }
        memcpy(choice, s->best.choice, s->p->n_units);
        choice[u] = 0;
        QK_TRY(measure(s, choice, &r, err));
        if (r.outcome == NULL || !is_allowed(s, &r)) {
            continue;
        }
        struct qk_gain loss = qk_recall_gain(s->best.outcome, r.outcome);
        learn(s, u, s->best.choice[u], (struct effect){s->best.recall - r.recall, s->best.loss - r.loss});
        if (!qk_gain_is_real(&loss) && r.loss <= s->best.loss && loss.probability.mean <= 0.5 * loss.probability.se) {
            QK_TRY(stand_at(s, &r, err));
        }
    }
    return QK_OK;
}

static enum qk_code walk(struct search *s, struct qk_err *err)
{
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (choice == NULL) {
        return qk_fail_nomem(err, "search");
    }
    for (bool moved = true; moved && !s->spent;) {
        QK_TRY(step(s, choice, &moved, err));
        if (moved) {
            QK_TRY(go_back(s, choice, err));
        }
    }
    return QK_OK;
}

/* ---- every set -------------------------------------------------------------------------------------------------- */

static enum qk_code run_all(struct search *s, struct qk_err *err)
{
    struct record r;
    uint8_t *choice = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    if (choice == NULL) {
        return qk_fail_nomem(err, "search");
    }
    for (size_t set = 1; set < (size_t)1 << s->p->n_units; set++) {
        for (size_t u = 0; u < s->p->n_units; u++) {
            choice[u] = set >> u & 1;
        }
        QK_TRY(measure(s, choice, &r, err));
        if (is_better(s, &r) || (r.outcome != NULL && is_allowed(s, &r) && r.recall > s->best.recall)) {
            s->best = r;
        }
    }
    return QK_OK;
}

/* ---- the search ------------------------------------------------------------------------------------------------- */

static enum qk_code begin(struct search *s, struct qk_err *err)
{
    uint8_t *none = qk_arena_alloc(s->arena, s->p->n_units + 1, 1);
    s->effects = qk_arena_alloc(s->arena, s->p->n_units * s->p->n_modes + 1, sizeof *s->effects);
    s->known = qk_arena_alloc(s->arena, s->p->n_units * s->p->n_modes + 1, sizeof *s->known);
    if (none == NULL || s->effects == NULL || s->known == NULL) {
        return qk_fail_nomem(err, "search");
    }
    struct record tuned;
    QK_TRY(measure(s, none, &tuned, err));
    if (tuned.outcome == NULL) {
        return qk_fail(err, QK_EUSAGE, "a search needs a budget of at least one measurement");
    }
    tuned.loss = qk_reasoning_loss(tuned.outcome, tuned.outcome).cautious;
    s->records[0].loss = tuned.loss;
    s->tuned = s->best = tuned;
    return QK_OK;
}

enum qk_code qk_measure_search(const struct qk_search_problem *problem, struct qk_arena *arena,
                               struct qk_search_result *ret, struct qk_err *err)
{
    struct search s = {.p = problem, .arena = arena};
    QK_TRY(begin(&s, err));
    if (problem->exhaustive) {
        QK_TRY(run_all(&s, err));
    } else {
        QK_TRY(run_starts(&s, err));
        QK_TRY(run_singles(&s, err));
        QK_TRY(walk(&s, err));
    }
    *ret = (struct qk_search_result){.choice = s.best.choice,
                                     .outcome = s.best.outcome,
                                     .n_measured = s.n_measured,
                                     .end = s.spent               ? QK_SEARCH_BUDGET
                                            : problem->exhaustive ? QK_SEARCH_ALL
                                                                  : QK_SEARCH_CONVERGED};
    return QK_OK;
}

const char *qk_search_end_text(enum qk_search_end end)
{
    static const char *const texts[] = {
        [QK_SEARCH_CONVERGED] = "nothing that was left to try is better beyond the noise",
        [QK_SEARCH_BUDGET] = "the budget was spent",
        [QK_SEARCH_ALL] = "every set of units was measured",
    };
    return texts[end];
}
