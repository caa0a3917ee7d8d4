/* Why a unit is planned as it is: its evidence as numbers and one sentence. Private to src/advise. */
#ifndef QK_ADVISE_REASON_H
#define QK_ADVISE_REASON_H

#include "advise/recommendation.h"

/* A unit with what its heads say. */
struct qk_judged_unit {
    size_t layer, group;     /* group SIZE_MAX: the whole layer */
    size_t head;             /* the deciding head: the highest score */
    struct qk_head_score of; /* its numbers */
    double alignable;        /* mean over the heads above the floor; NaN: unknown */
    bool all_at_floor, has_loss;
    bool chosen, beyond_budget;
    enum qk_plan_action action;
};

/* Sets unit->evidence: metric names with the deciding head's values, those that exist. */
enum qk_code qk_reason_evidence(const struct qk_evidence *e, const struct qk_judged_unit *u, struct qk_arena *arena,
                                struct qk_plan_unit *unit, struct qk_err *err) QK_CHECKED;
/* One sentence; NULL when out of memory. */
const char *qk_reason_sentence(const struct qk_evidence *e, enum qk_score_basis basis, const struct qk_judged_unit *u,
                               struct qk_arena *arena);

#endif
