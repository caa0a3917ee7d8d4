/* A search at work: what was measured, where it stands, what it expects. See run/measure_search.h. Private to src/run.
 */
#ifndef QK_RUN_MEASURE_SEARCH_STATE_H
#define QK_RUN_MEASURE_SEARCH_STATE_H

#include "run/measure_search.h"

/* A step wins at least a point of recall; less is not worth another unit. */
#define QK_SEARCH_LEAST_GAIN 0.01

struct qk_search_record {
    const uint8_t *choice;
    const struct qk_outcome *outcome; /* NULL: cannot be made */
    double recall;                    /* mean probability of the answers */
    double loss, cautious;            /* of reasoning, expected and at the cautious end */
    bool is_start;
};

struct qk_search_effect {
    double recall, loss;
};

struct qk_search_state {
    const struct qk_search_problem *p;
    struct qk_arena *arena;
    size_t n_records, cap_records, n_measured;
    struct qk_search_record *records;
    struct qk_search_record tuned, best; /* best: where the search stands */
    struct qk_search_effect *effects;    /* (n_units, n_modes) */
    bool *known;                         /* (n_units, n_modes) measured */
    bool *cannot;                        /* (n_units, n_modes) there is no such variant */
    double price;                        /* recall that a step must win for all of max_loss */
    bool spent, late;                    /* late: of the two ways to be spent, time */
    bool cut;                            /* units or modes were left out to save the budget */
};

bool qk_search_is_allowed(const struct qk_search_state *s, const struct qk_search_record *r);
/* NULL: not measured. */
const struct qk_search_record *qk_search_find(const struct qk_search_state *s, const uint8_t *choice);
/* Measured before, or measured now. ret->outcome NULL: the choice cannot be made, or the budget is spent. */
enum qk_code qk_search_take(struct qk_search_state *s, const uint8_t *choice, bool is_start,
                            struct qk_search_record *ret, struct qk_err *err) QK_CHECKED;
/* What a step is chosen by. */
double qk_search_worth(const struct qk_search_state *s, double recall, double loss);
/* Allowed, and better than where the search stands. */
bool qk_search_is_better(const struct qk_search_state *s, const struct qk_search_record *r);
enum qk_code qk_search_stand_at(struct qk_search_state *s, enum qk_search_why why, const struct qk_search_record *r,
                                struct qk_err *err) QK_CHECKED;

size_t qk_search_cell(const struct qk_search_state *s, size_t unit, size_t mode);
/* What a mode does; of restoring, also the first guess of what others do. */
void qk_search_learn(struct qk_search_state *s, size_t unit, size_t mode, struct qk_search_effect effect);

/* One step to a better choice, or none; choice: (n_units) of scratch. (measure_step.c) */
enum qk_code qk_search_step(struct qk_search_state *s, uint8_t *choice, bool *ret_moved, struct qk_err *err) QK_CHECKED;
/* Sets units back whose mode is worth nothing where the search stands. */
enum qk_code qk_search_go_back(struct qk_search_state *s, uint8_t *choice, struct qk_err *err) QK_CHECKED;

#endif
