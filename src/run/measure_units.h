/* The units that are chosen among, and the modes of a unit. Private to src/run. */
#ifndef QK_RUN_MEASURE_UNITS_H
#define QK_RUN_MEASURE_UNITS_H

#include "base/str.h"
#include "run/measure.h"

struct qk_measure_unit {
    size_t layer, group; /* group SIZE_MAX: all */
    bool is_full;
};

/* Modes that others than the search ask for. */
enum { QK_MODE_KEEP, QK_MODE_RESTORE, QK_MODE_HALF, QK_MODE_QUARTER, QK_MODE_Q = 5, QK_MODE_K = 6 };

struct qk_measure_mode {
    const char *label;
    unsigned tensors;
    enum qk_plan_action action;
    enum qk_plan_method method;
    enum qk_plan_side side;
    double lambda, alpha;
    double share, loss_share; /* of what a restored unit wins and costs, as a first guess */
    bool single;              /* measured alone for units that gain */
    bool cheap;               /* also for units that cost much: it is likely to cost little */
};
size_t qk_measure_n_modes(void);
const struct qk_measure_mode *qk_measure_mode(size_t mode);

struct qk_measure_units {
    size_t n;
    const struct qk_measure_unit *units; /* by layer, then group */
};
/* Softmax layers over all keys, or all layers with Q and K. */
enum qk_code qk_measure_units_of(const struct qk_model *model, bool all, bool by_group, struct qk_arena *arena,
                                 struct qk_measure_units *ret, struct qk_err *err) QK_CHECKED;
/* How many units from u on are one unit of a plan: all groups of a layer that are put back alike are the layer, with
 * what its groups share; else 1. Not so when they are kept, or aligned, which looks at a group at a time. */
size_t qk_measure_alike(const struct qk_measure_units *units, const uint8_t *choice, size_t u);
/* Plan units of a choice, those that are kept left out unless with_kept. */
enum qk_code qk_measure_plan_units(const struct qk_measure_units *units, const uint8_t *choice, bool with_kept,
                                   struct qk_arena *arena, const struct qk_plan_unit **ret, size_t *ret_n,
                                   struct qk_err *err) QK_CHECKED;
/* The text of an empty choice. */
#define QK_MEASURE_NOTHING "nothing"
/* "5", "1.0" */
void qk_measure_unit_text(const struct qk_measure_unit *unit, struct qk_str *out);
/* "5 restore, 1.0 blend 0.25"; "nothing" for an empty choice. */
void qk_measure_choice_text(const struct qk_measure_units *units, const uint8_t *choice, struct qk_str *out);
/* Which weights a choice has, layer by layer (outcomes.h): (n_layers + 1), zeroed by the caller. */
void qk_measure_choice_signature(const struct qk_measure_units *units, const uint8_t *choice, uint64_t *signature);
uint64_t qk_measure_text_signature(const char *text);

#endif
