/* Resolving --layers, --kinds and --metrics. */
#include "selection.h"

#include "base/str.h"

static bool wanted(const struct qk_drift_options *options, const char *name)
{
    if (options->metrics == NULL) {
        return true;
    }
    for (size_t i = 0; i < options->n_metrics; i++) {
        if (qk_glob_match(options->metrics[i], name)) {
            return true;
        }
    }
    return false;
}

static enum qk_code check_patterns(struct qk_arena *arena, const struct qk_drift_options *options, struct qk_err *err)
{
    size_t n = qk_metric_count();
    const char **names = qk_arena_alloc(arena, n, sizeof(*names));
    if (names == NULL) {
        return qk_fail_nomem(err, "metric names");
    }
    size_t all = n;
    n = 0;
    for (size_t m = 0; m < all; m++) {
        if (qk_streq(qk_metric_at(m)->group, "drift")) {
            names[n++] = qk_metric_at(m)->name;
        }
    }
    for (size_t i = 0; i < options->n_metrics; i++) {
        bool found = false;
        for (size_t m = 0; m < n && !found; m++) {
            found = qk_glob_match(options->metrics[i], names[m]);
        }
        if (!found) {
            const char *near = qk_nearest(options->metrics[i], names, n);
            enum qk_code code =
                qk_fail(err, QK_EUSAGE, "--metrics: no metric of drift is called '%s'", options->metrics[i]);
            if (near != NULL) {
                qk_err_hint(err, "did you mean '%s'? `qkscope metrics` lists them all", near);
            } else {
                qk_err_hint(err, "`qkscope metrics` lists them all");
            }
            return code;
        }
    }
    return QK_OK;
}

enum qk_code qk_selection_make(struct qk_arena *arena, const struct qk_drift_options *options, struct qk_selection *ret,
                               struct qk_err *err)
{
    if (options->metrics != NULL) {
        QK_TRY(check_patterns(arena, options, err));
    }
    struct qk_selection selection = {0};
    selection.metrics = qk_arena_alloc(arena, qk_metric_count(), sizeof(*selection.metrics));
    if (selection.metrics == NULL) {
        return qk_fail_nomem(err, "metrics");
    }
    for (size_t m = 0; m < qk_metric_count(); m++) {
        const struct qk_metric *metric = qk_metric_at(m);
        if (qk_streq(metric->group, "drift") && wanted(options, metric->name)) {
            selection.metrics[selection.n_metrics++] = metric;
            selection.needs |= metric->needs;
        }
    }
    *ret = selection;
    return QK_OK;
}

bool qk_selection_covers(const struct qk_drift_options *options, size_t layer)
{
    return options->layers == NULL || options->layers[layer];
}

bool qk_selection_has_kind(const struct qk_drift_options *options, enum qk_layer_kind kind)
{
    return options->kinds == 0 || (options->kinds & (1u << (unsigned)kind)) != 0;
}
