/* Rates out of a run file, with intervals: recall of /niah, accuracy of /eval, what /recommend/measured says of a
 * variant. Private to advise. */
#ifndef QK_ADVISE_DIAGNOSIS_RATES_H
#define QK_ADVISE_DIAGNOSIS_RATES_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"

/* p hits of n; n 0: not measured, the rest NaN. lo, hi: Wilson's 95 % interval. */
struct qk_rate {
    double n, p, lo, hi;
};

/* a − b with Newcombe's 95 % interval; NaN where one was not measured. */
struct qk_rate_change {
    double value, lo, hi;
};
struct qk_rate_change qk_rate_less(const struct qk_rate *a, const struct qk_rate *b);

/* Tasks of /niah; 0 without. */
size_t qk_rates_n_tasks(const struct qk_table *table);
const char *qk_rates_task(const struct qk_table *table, size_t task);
/* Recall of a checkpoint in a task; SIZE_MAX: over all. */
enum qk_code qk_rates_recall(const struct qk_table *table, const char *name, size_t task, struct qk_rate *ret,
                             struct qk_err *err) QK_CHECKED;
/* Accuracy of a checkpoint in its set of /eval. */
enum qk_code qk_rates_accuracy(const struct qk_table *table, const char *name, struct qk_rate *ret,
                               struct qk_err *err) QK_CHECKED;

/* The weights that are the base's in a variant of /recommend/measured, all else tuned. */
enum qk_control {
    QK_CONTROL_BASE,
    QK_CONTROL_TUNED,
    QK_CONTROL_SOFTMAX_QK,
    QK_CONTROL_QK,
    QK_CONTROL_ALL_BUT_QK,
    QK_N_CONTROLS
};
/* On the calibration cases. */
enum qk_code qk_rates_control(const struct qk_table *table, enum qk_control control, struct qk_rate *ret_recall,
                              struct qk_rate *ret_reasoning, struct qk_err *err) QK_CHECKED;
/* What the measured plan does, "1 restore, 5 blend 0.25"; NULL without one. Borrowed from the table. */
enum qk_code qk_rates_plan(const struct qk_table *table, const char **ret, struct qk_err *err) QK_CHECKED;

#endif
