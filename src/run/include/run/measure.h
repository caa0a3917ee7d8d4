/* recommend --measure: chooses what to restore by running patched models, and proves the choice on other cases.
 *
 *   controls   which part of the weights the loss of recall comes from: base and tuned; Q and K of all softmax layers
 *              over all keys (the paper's set), of all layers, q alone, k alone; everything but those; v, o, mlp and
 *              what is outside the layers alone. A part that fine-tuning left as it was is told so and not run
 *   search     run/measure_search.h over units (layers, or KV groups) and modes: restore, q or k only, blends, QK-Pro
 *   held out   base, tuned, plan and the paper's set on cases that nothing was chosen by
 *
 * Every variant is told to the caller as it is finished and asked for before it is run, so that a run can go on where
 * it was interrupted. Results do not depend on the number of threads. */
#ifndef QK_RUN_MEASURE_H
#define QK_RUN_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/str.h"
#include "repair/plan.h"
#include "run/drift.h"
#include "run/eval.h"
#include "run/measure_search.h"
#include "run/niah.h"
#include "run/outcomes.h"

/* ---- cases ------------------------------------------------------------------------------------------------------ */

/* reasoning may be NULL. Of its problems every second from the first (half 0) or the second (half 1) on, or all (−1).
 * A part of a case's memory stays with the sets. */
enum qk_code qk_case_list_make(const struct qk_niah_set *recall, const struct qk_eval_set *reasoning, int half,
                               struct qk_arena *arena, struct qk_case_list *ret, struct qk_err *err) QK_CHECKED;

/* ---- a run ------------------------------------------------------------------------------------------------------ */

enum qk_measure_stage { QK_STAGE_CONTROL, QK_STAGE_SEARCH, QK_STAGE_HELD_OUT, QK_N_MEASURE_STAGES };
const char *qk_measure_stage_name(enum qk_measure_stage stage); /* "control" "search" "held_out" */

struct qk_measured_variant {
    const char *label; /* "tuned", "softmax Q/K", "5 restore, 1 blend 0.25" */
    const char *key;   /* what it is, the same in every run; held-out variants begin with "held-out " */
    enum qk_measure_stage stage;
    const struct qk_outcome *outcome;
    const char *plan; /* the units' JSON text as in plan.json; "" where it is no plan */
    bool chosen;
};

struct qk_measure_options {
    bool all_units, by_group;
    bool exhaustive;     /* at most 10 units, and no more sets than budget */
    double max_loss;     /* share of reasoning problems */
    size_t budget;       /* variants measured in the search at most */
    double seconds;      /* the search ends so that all is done in about this time; 0: no limit */
    size_t memory;       /* bytes of residual streams kept */
    const double *score; /* (n_layers), NaN where there is none; NULL = none: order of the search */
    void *ctx;
    /* Fills ret and gives true when the variant was measured before. May be NULL. */
    bool (*known)(void *ctx, const char *key, struct qk_outcome *ret);
    /* A variant is finished. May be NULL. */
    enum qk_code (*done)(void *ctx, const char *key, const struct qk_outcome *outcome, struct qk_err *err);
    /* A line for the user: the budget, where the search stands. May be NULL. */
    void (*tell)(void *ctx, const char *text);
};

/* A rate with its Wilson 95 % interval; NaN where n is 0. */
struct qk_measured_rate {
    size_t n;
    double rate, lo, hi, logprob; /* logprob: mean over the cases of ln p of the whole answer */
};
struct qk_measured_rate qk_measured_recall(const struct qk_outcome *o);
struct qk_measured_rate qk_measured_reasoning(const struct qk_outcome *o);
struct qk_measured_rate qk_measured_at(const struct qk_outcome *o, const struct qk_case_list *list, size_t length);

/* Where the lost recall comes from, on the calibration cases. Shares are of the hits that were lost (net), with
 * Wilson's 95 % interval over those, the share taken as 0 to 1 for it; NaN where a control could not be run. */
enum qk_cause {
    QK_CAUSE_NOTHING_LOST, /* tuned has not fewer hits than base beyond chance (McNemar) */
    QK_CAUSE_QK,           /* all Q/K restored brings back half or more, and not clearly less than everything else
                            * restored does (beyond 1.96 standard errors and a tenth of the loss) */
    QK_CAUSE_PARTLY,       /* half or more, but the rest brings back clearly more */
    QK_CAUSE_NOT_QK,       /* less than half */
    QK_N_CAUSES
};
struct qk_cause_share {
    double share, lo, hi;
};
struct qk_verdict {
    enum qk_cause cause;
    double base, tuned; /* recall */
    bool is_hinted;     /* nothing lost by the hits, but the answers' probability fell by a point or more, beyond 1.96
                         * standard errors: there is something to search for */
    struct qk_cause_share softmax_qk, all_qk, all_but_qk;
    double all_qk_reasoning_loss; /* share; NaN without reasoning */
    const char *text;             /* sentences, one a line */
};

/* Variant numbers in qk_measurement.variants; SIZE_MAX where there is none. */
struct qk_measured_places {
    size_t base, tuned, rule, plan; /* rule: Q/K of all softmax layers restored */
};

/* A decision of the search; variant: the choice's text. */
struct qk_measured_step {
    struct qk_search_decision decision;
    const char *variant;
};
const char *qk_search_why_text(enum qk_search_why why); /* "begins at" "takes" … */

struct qk_measurement {
    const struct qk_case_list *calibration, *held_out;
    size_t n;
    const struct qk_measured_variant *variants;
    struct qk_measured_places at, held; /* calibration and held-out */
    struct qk_plan plan;                /* units and measured; base, tuned; provenance is the caller's */
    struct qk_search_result search;
    size_t n_steps;
    const struct qk_measured_step *steps;
    const char *untried; /* "3, 4", "200 of 320 units": those that no variant changed; "" for none */
    struct qk_verdict verdict;
    bool rule_is_best; /* the plan is the paper's set */
};

/* What a run's outcomes depend on: SHA-256 over program version, checkpoints and cases. */
enum qk_code qk_measure_config(const struct qk_run_input *base, const struct qk_run_input *tuned,
                               const struct qk_case_list *calibration, const struct qk_case_list *held_out,
                               char ret[65], struct qk_err *err) QK_CHECKED;
/* Mean probability of the answers. */
struct qk_measured_look {
    double base, tuned;
};
/* The place of the list on which the tuned checkpoint lost most of the base's mean probability of the answers; the
 * later of equal ones. looks: (n), each list's. */
enum qk_code qk_measure_hardest(const struct qk_run_input *base, const struct qk_run_input *tuned, size_t n,
                                const struct qk_case_list *lists, struct qk_pool *pool, struct qk_measured_look *looks,
                                size_t *ret, struct qk_err *err) QK_CHECKED;
/* Memory from arena. */
enum qk_code qk_measure(const struct qk_run_input *base, const struct qk_run_input *tuned,
                        const struct qk_case_list *calibration, const struct qk_case_list *held_out,
                        const struct qk_measure_options *options, struct qk_pool *pool,
                        const struct qk_progress *progress, struct qk_arena *arena, struct qk_measurement *ret,
                        struct qk_err *err) QK_CHECKED;

/* Root attributes, /model and /checkpoints of an empty table that is to have nothing but a recommendation. command: the
 * command line. */
enum qk_code qk_measurement_prepare(struct qk_table *table, const struct qk_run_input *base,
                                    const struct qk_run_input *tuned, const char *command,
                                    struct qk_err *err) QK_CHECKED;
/* Adds /recommend/measured to a table that has no such group (docs/results-format.md). */
enum qk_code qk_measurement_add(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err) QK_CHECKED;
/* The member "measured" of plan.json. */
void qk_measurement_json(const struct qk_measurement *m, struct qk_str *out);

#endif
