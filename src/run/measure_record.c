/* What a search has measured, and what it makes of it: see measure_search_state.h. */
#include <math.h>
#include <string.h>

#include "base/interrupt.h"
#include "measure_search_state.h"

enum { MOST_RECORDS = 1 << 16 };

bool qk_search_is_allowed(const struct qk_search_state *s, const struct qk_search_record *r)
{
    return (r->is_start ? r->loss : r->cautious) <= s->p->max_loss ||
           memcmp(r->choice, s->tuned.choice, s->p->n_units) == 0;
}

const struct qk_search_record *qk_search_find(const struct qk_search_state *s, const uint8_t *choice)
{
    for (size_t i = 0; i < s->n_records; i++) {
        if (memcmp(s->records[i].choice, choice, s->p->n_units) == 0) {
            return &s->records[i];
        }
    }
    return NULL;
}

static enum qk_code push(struct qk_search_state *s, const struct qk_search_record *r, struct qk_err *err)
{
    if (s->n_records == s->cap_records) {
        size_t cap = s->cap_records > 0 ? 2 * s->cap_records : 64;
        struct qk_search_record *more = cap <= MOST_RECORDS ? qk_arena_alloc(s->arena, cap, sizeof *more) : NULL;
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
enum qk_code qk_search_take(struct qk_search_state *s, const uint8_t *choice, bool is_start,
                            struct qk_search_record *ret, struct qk_err *err)
{
    const struct qk_search_record *known = qk_search_find(s, choice);
    struct qk_search_record r = {0};
    if (known != NULL) {
        *ret = *known;
        return QK_OK;
    }
    if (s->n_measured >= s->p->budget || (s->n_measured > 0 && s->p->is_late != NULL && s->p->is_late(s->p->ctx))) {
        s->spent = true;
        s->late = s->n_measured < s->p->budget;
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
    r.is_start = is_start;
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
        if (s->tuned.outcome != NULL) {
            struct qk_reasoning_loss loss = qk_reasoning_loss(r.outcome, s->tuned.outcome);
            r.loss = loss.expected;
            r.cautious = loss.cautious;
        }
    }
    *ret = r;
    return push(s, &r, err);
}

/* What a step is chosen by. */
double qk_search_worth(const struct qk_search_state *s, double recall, double loss)
{
    return s->price > 0 ? recall - s->price * loss / s->p->max_loss : recall;
}

bool qk_search_is_better(const struct qk_search_state *s, const struct qk_search_record *r)
{
    if (r->outcome == NULL || !qk_search_is_allowed(s, r)) {
        return false;
    }
    struct qk_gain gain = qk_recall_gain(r->outcome, s->best.outcome);
    return gain.probability.mean >= QK_SEARCH_LEAST_GAIN && qk_gain_is_real(&gain);
}

enum qk_code qk_search_stand_at(struct qk_search_state *s, enum qk_search_why why, const struct qk_search_record *r,
                                struct qk_err *err)
{
    bool from_here = why == QK_SEARCH_TAKES || why == QK_SEARCH_DROPS;
    struct qk_search_decision decision = {
        .why = why,
        .choice = r->choice,
        .recall = r->recall,
        .gain = qk_recall_gain(r->outcome, from_here ? s->best.outcome : s->tuned.outcome),
        .loss = qk_reasoning_loss(r->outcome, s->tuned.outcome)};
    s->best = *r;
    if (s->p->decided != NULL) {
        QK_TRY(s->p->decided(s->p->ctx, &decision, err));
    }
    return s->p->settle == NULL ? QK_OK : s->p->settle(s->p->ctx, r->choice, err);
}

size_t qk_search_cell(const struct qk_search_state *s, size_t unit, size_t mode)
{
    return unit * s->p->n_modes + mode;
}

void qk_search_learn(struct qk_search_state *s, size_t unit, size_t mode, struct qk_search_effect effect)
{
    s->effects[qk_search_cell(s, unit, mode)] = effect;
    s->known[qk_search_cell(s, unit, mode)] = true;
    for (size_t m = 1; mode == 1 && m < s->p->n_modes; m++) {
        if (!s->known[qk_search_cell(s, unit, m)]) {
            s->effects[qk_search_cell(s, unit, m)] =
                (struct qk_search_effect){s->p->share[m] * effect.recall, s->p->loss_share[m] * effect.loss};
        }
    }
}
