/* A measuring run at work, shared by its parts. Private to src/run. */
#ifndef QK_RUN_MEASURE_RUN_H
#define QK_RUN_MEASURE_RUN_H

#include "measure_units.h"
#include "run/measure.h"
#include "run/variant.h"

/* One variant to be measured: a choice of units, or parts of the base, or a whole checkpoint. */
struct qk_measure_what {
    const char *label, *key;
    enum qk_measure_stage stage;
    const struct qk_measure_units *units; /* with choice */
    const uint8_t *choice;                /* NULL: swap or model */
    const struct qk_variant_swap *swap;   /* NULL: model */
    const struct qk_model *model;
    int remember; /* as in struct qk_outcome_call */
};

struct qk_measure_run {
    const struct qk_run_input *base, *tuned;
    struct qk_variant_pair pair;
    const struct qk_measure_options *options;
    const struct qk_case_list *list; /* of the engine */
    struct qk_pool *pool;
    struct qk_arena *arena;
    struct qk_outcome_engine *engine;
    struct qk_measure_units layers; /* every layer with Q and K, whole */
    struct qk_measure_units units;  /* those of the search */
    size_t n, cap;
    struct qk_measured_variant *variants;
    size_t n_steps, cap_steps;
    struct qk_measured_step *steps;
    const uint8_t *settled; /* choice to be remembered before the next variant is run; NULL = none */
    /* progress, in tokens */
    const struct qk_progress *outer;
    uint64_t done, total;
    const char *running;
    double seconds; /* of forward passes so far */
    uint64_t layer_tokens, proof_tokens;
    double started;
};

/* Gives the number of the variant; measured before, or measured now. QK_EUNSUPPORTED as run/variant.h. */
enum qk_code qk_measure_variant(struct qk_measure_run *r, const struct qk_measure_what *what, size_t *ret,
                                struct qk_err *err) QK_CHECKED;
/* The choice of units (borrowed) as a variant; label NULL: the choice's text. */
enum qk_code qk_measure_choice(struct qk_measure_run *r, const struct qk_measure_units *units, const uint8_t *choice,
                               enum qk_measure_stage stage, const char *label, size_t *ret,
                               struct qk_err *err) QK_CHECKED;
/* Every unit of the layers that is (or, !full_only, all) in one mode: from the arena; NULL when out of memory. */
uint8_t *qk_measure_uniform(struct qk_measure_run *r, const struct qk_measure_units *units, bool full_only,
                            size_t mode);
/* A line for the user. */
void qk_measure_tell(struct qk_measure_run *r, const char *fmt, ...) QK_PRINTF(2, 3);

/* Keeps a decision of the search and tells it. (measure_account.c) */
enum qk_code qk_measure_note(struct qk_measure_run *r, const struct qk_search_decision *decision,
                             struct qk_err *err) QK_CHECKED;
/* "3, 4", "200 of 320 units": the units of the search that were in no variant; "" for none. */
enum qk_code qk_measure_untried(struct qk_measure_run *r, const struct qk_search_result *search, const char **ret,
                                struct qk_err *err) QK_CHECKED;
/* Gives the plan's units, those that are kept included, reasons and evidence. */
enum qk_code qk_measure_explain(struct qk_measure_run *r, const struct qk_measurement *m,
                                const struct qk_plan_unit **units, struct qk_err *err) QK_CHECKED;

/* Base, tuned and the controls, and what they say. (measure_controls.c) */
enum qk_code qk_measure_controls(struct qk_measure_run *r, struct qk_measured_places *places,
                                 struct qk_verdict *verdict, struct qk_err *err) QK_CHECKED;
size_t qk_measure_n_controls(void);

#endif
