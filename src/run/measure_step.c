/* Steps of a search: what is tried next, and what is taken. See run/measure_search.h. */
#include <string.h>

#include "measure_search_state.h"

enum { TRIES = 6 };

struct move {
    size_t unit[2];
    uint8_t mode[2]; /* of unit[1]: only where n is 2 */
    size_t n;
    double worth; /* predicted change */
};

static struct qk_search_effect change(const struct qk_search_state *s, size_t unit, size_t mode)
{
    const struct qk_search_effect *to = &s->effects[qk_search_cell(s, unit, mode)],
                                  *from = &s->effects[qk_search_cell(s, unit, s->best.choice[unit])];
    return (struct qk_search_effect){to->recall - from->recall, to->loss - from->loss};
}

static void apply(const struct qk_search_state *s, const struct move *m, uint8_t *choice)
{
    memcpy(choice, s->best.choice, s->p->n_units);
    for (size_t i = 0; i < m->n; i++) {
        choice[m->unit[i]] = m->mode[i];
    }
}

/* Keeps the TRIES highest; equal ones in order of coming. A loss that is predicted a little too high may turn out well.
 */
static void consider(struct qk_search_state *s, struct move *moves, size_t *n, const struct move *m, double loss,
                     uint8_t *choice)
{
    if (m->worth < QK_SEARCH_LEAST_GAIN || s->best.cautious + loss > 1.2 * s->p->max_loss ||
        (*n == TRIES && m->worth <= moves[TRIES - 1].worth)) {
        return;
    }
    apply(s, m, choice);
    if (qk_search_find(s, choice) != NULL) {
        return;
    }
    size_t at = *n < TRIES ? (*n)++ : TRIES - 1;
    for (; at > 0 && moves[at - 1].worth < m->worth; at--) {
        moves[at] = moves[at - 1];
    }
    moves[at] = *m;
}

static bool is_open(const struct qk_search_state *s, size_t unit, size_t mode)
{
    return mode != s->best.choice[unit] &&
           (mode == 0 || (s->p->offered[qk_search_cell(s, unit, mode)] && !s->cannot[qk_search_cell(s, unit, mode)]));
}

static size_t find_moves(struct qk_search_state *s, struct move moves[TRIES], uint8_t *choice)
{
    size_t n = 0, n_units = s->p->n_units, n_modes = s->p->n_modes;
    for (size_t u = 0; u < n_units; u++) {
        for (size_t m = 0; m < n_modes; m++) {
            if (!is_open(s, u, m)) {
                continue;
            }
            struct qk_search_effect first = change(s, u, m);
            struct move one = {
                .unit = {u}, .mode = {(uint8_t)m}, .n = 1, .worth = qk_search_worth(s, first.recall, first.loss)};
            consider(s, moves, &n, &one, first.loss, choice);
            for (size_t v = u + 1; v < n_units; v++) {
                for (size_t k = 0; k < n_modes; k++) {
                    if (!is_open(s, v, k)) {
                        continue;
                    }
                    struct qk_search_effect second = change(s, v, k);
                    struct move two = {.unit = {u, v},
                                       .mode = {(uint8_t)m, (uint8_t)k},
                                       .n = 2,
                                       .worth =
                                           qk_search_worth(s, first.recall + second.recall, first.loss + second.loss)};
                    consider(s, moves, &n, &two, first.loss + second.loss, choice);
                }
            }
        }
    }
    return n;
}

/* What a move did is what its unit's mode does, as far as is known now; two units share the surprise. */
static void learn_move(struct qk_search_state *s, const struct move *m, const struct qk_search_record *r)
{
    double recall = r->recall - s->best.recall, loss = r->loss - s->best.loss;
    for (size_t i = 0; i < m->n; i++) {
        struct qk_search_effect c = change(s, m->unit[i], m->mode[i]);
        recall -= c.recall;
        loss -= c.loss;
    }
    for (size_t i = 0; i < m->n; i++) {
        struct qk_search_effect *e = &s->effects[qk_search_cell(s, m->unit[i], m->mode[i])];
        e->recall += recall / (double)m->n;
        e->loss += loss / (double)m->n;
        s->known[qk_search_cell(s, m->unit[i], m->mode[i])] = true;
    }
}

static size_t distance(const struct qk_search_state *s, const uint8_t *a, const uint8_t *b)
{
    size_t n = 0;
    for (size_t u = 0; u < s->p->n_units; u++) {
        n += a[u] != b[u];
    }
    return n;
}

/* The best of the neighbours that are measured already; outcome NULL: none is better. */
static struct qk_search_record known_step(const struct qk_search_state *s)
{
    struct qk_search_record best = {0};
    for (size_t i = 0; i < s->n_records; i++) {
        const struct qk_search_record *r = &s->records[i];
        if (distance(s, r->choice, s->best.choice) <= 2 && qk_search_is_better(s, r) &&
            (best.outcome == NULL ||
             qk_search_worth(s, r->recall, r->loss) > qk_search_worth(s, best.recall, best.loss))) {
            best = *r;
        }
    }
    return best;
}

enum qk_code qk_search_step(struct qk_search_state *s, uint8_t *choice, bool *ret_moved, struct qk_err *err)
{
    struct qk_search_record best = known_step(s), r;
    size_t failed = 0;
    *ret_moved = best.outcome != NULL;
    if (*ret_moved) {
        return qk_search_stand_at(s, QK_SEARCH_TAKES, &best, err);
    }
    while (failed < 2 * TRIES && !s->spent) {
        struct move moves[TRIES];
        size_t n = find_moves(s, moves, choice);
        if (n == 0) {
            return QK_OK;
        }
        for (size_t i = 0; i < n && !s->spent; i++) {
            apply(s, &moves[i], choice);
            QK_TRY(qk_search_take(s, choice, false, &r, err));
            if (r.outcome == NULL) {
                s->cannot[qk_search_cell(s, moves[i].unit[0], moves[i].mode[0])] |= moves[i].n == 1 && !s->spent;
                continue;
            }
            learn_move(s, &moves[i], &r);
            if (qk_search_is_better(s, &r) &&
                (best.outcome == NULL ||
                 qk_search_worth(s, r.recall, r.loss) > qk_search_worth(s, best.recall, best.loss))) {
                best = r;
            }
        }
        failed += n;
        if (best.outcome != NULL) {
            *ret_moved = true;
            return qk_search_stand_at(s, QK_SEARCH_TAKES, &best, err);
        }
    }
    return QK_OK;
}

/* Sets units back whose mode is worth nothing here. */
enum qk_code qk_search_go_back(struct qk_search_state *s, uint8_t *choice, struct qk_err *err)
{
    for (size_t u = 0; u < s->p->n_units && !s->spent; u++) {
        struct qk_search_record r;
        if (s->best.choice[u] == 0 || s->effects[qk_search_cell(s, u, s->best.choice[u])].recall > 0.05) {
            continue;
        }
        memcpy(choice, s->best.choice, s->p->n_units);
        choice[u] = 0;
        QK_TRY(qk_search_take(s, choice, false, &r, err));
        if (r.outcome == NULL || !qk_search_is_allowed(s, &r)) {
            continue;
        }
        struct qk_gain loss = qk_recall_gain(s->best.outcome, r.outcome);
        qk_search_learn(s, u, s->best.choice[u],
                        (struct qk_search_effect){s->best.recall - r.recall, s->best.loss - r.loss});
        if (!qk_gain_is_real(&loss) && r.loss <= s->best.loss && loss.probability.mean <= 0.5 * loss.probability.se) {
            QK_TRY(qk_search_stand_at(s, QK_SEARCH_DROPS, &r, err));
        }
    }
    return QK_OK;
}
