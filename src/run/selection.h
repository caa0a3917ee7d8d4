/* What a drift run was asked for, resolved: layers, metrics and what they need. */
#ifndef QK_RUN_SELECTION_H
#define QK_RUN_SELECTION_H

#include "analyses/metric.h"
#include "base/arena.h"
#include "base/err.h"
#include "run/drift.h"

struct qk_selection {
    size_t n_metrics;
    const struct qk_metric **metrics; /* in table order */
    unsigned needs;                   /* union of enum qk_metric_need */
};

/* Resolves the options' metric names and globs; an unknown one is QK_EUSAGE with a suggestion. */
enum qk_code qk_selection_make(struct qk_arena *arena, const struct qk_drift_options *options, struct qk_selection *ret,
                               struct qk_err *err) QK_CHECKED;
/* --layers has it (kinds aside). */
bool qk_selection_covers(const struct qk_drift_options *options, size_t layer);
/* --kinds has it. */
bool qk_selection_has_kind(const struct qk_drift_options *options, enum qk_layer_kind kind);

#endif
