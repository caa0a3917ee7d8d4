/* What to restore: the plan (repair/plan.h) that follows from a run, with score, evidence and reason of every unit.
 *
 * Units are the layers, or the KV groups of the layers, that the options ask for. A unit's action follows from its
 * heads (advise/score.h), in this order:
 *   keep     all heads at the rounding floor, or unchanged: restoring changes nothing
 *   restore  some head has a routing loss P ≥ 0.1 on drift above the floor
 *   align    (rotate) no such loss, and rotations explain at least half of the drift
 *   keep     no such loss
 * With a list of heads in place of probe data, P is the head's score on it: retrieval heads that moved are restored.
 * Without either the loss is not known: units of softmax layers over all keys that are not kept or aligned are
 * restored, as the paper does with all of them; other layers are kept. A unit that lacks data which others have is
 * kept, without a score. Of the units that are not kept, a budget leaves the best by score (the lower layer and group
 * first among equals).
 *
 * Pure: the same run gives the same plan. Memory from the arena. */
#ifndef QK_ADVISE_RECOMMENDATION_H
#define QK_ADVISE_RECOMMENDATION_H

#include <stdbool.h>
#include <stddef.h>

#include "advise/evidence.h"
#include "advise/score.h"
#include "base/arena.h"
#include "base/err.h"
#include "repair/plan.h"

#define QK_LOSS_THRESHOLD      0.1 /* P from which a unit is restored: a tenth of a head's attention, far mass or range */
#define QK_ALIGNABLE_THRESHOLD 0.5

struct qk_recommend_options {
    size_t budget;                 /* units to change at most; SIZE_MAX = no limit */
    bool by_group;                 /* a unit per KV group instead of per layer */
    bool all_units;                /* all layers with Q and K instead of the softmax layers over all keys */
    unsigned with;                 /* QK_PLAN_Q_NORM, QK_PLAN_K_NORM: given to the units of layers with q/k norms */
    const char *qkscope, *command; /* provenance, borrowed */
};

/* A layer as the run file and figures show it. */
struct qk_recommended_layer {
    bool considered;                              /* among the units */
    double score, routing_loss, drift, alignable; /* of the layer's deciding head; NaN: unknown */
    enum qk_plan_action action;                   /* the strongest of its units' */
};

struct qk_recommendation {
    struct qk_plan plan;
    enum qk_score_basis basis;
    size_t n_layers;
    const struct qk_recommended_layer *layers;
    size_t n_changed; /* units that are not kept */
};

enum qk_code qk_recommend(const struct qk_evidence *e, const struct qk_recommend_options *options,
                          struct qk_arena *arena, struct qk_recommendation *ret, struct qk_err *err) QK_CHECKED;

/* Adds /recommend to a table, in place of one that is there (docs/results-format.md). */
enum qk_code qk_recommendation_add(const struct qk_recommendation *r, const struct qk_evidence *e,
                                   struct qk_table *table, struct qk_err *err) QK_CHECKED;

/* Appends the plan as a mergekit configuration (merge_method linear, weights 0 and 1 by tensor-name filters); what its
 * filters cannot say stands in comments. base_path, tuned_path: the models it shall read. QK_EUNSUPPORTED when no unit
 * can be said: other tensors share Q's and K's storage in this family, or only parts of layers are planned. */
enum qk_code qk_plan_mergekit(const struct qk_plan *plan, const struct qk_evidence *e, const char *base_path,
                              const char *tuned_path, struct qk_str *out, struct qk_err *err) QK_CHECKED;

#endif
