/* The short answer of a drift run: medians by kind of layer, most drifted heads and layers, module contrast. */
#include "run/drift_summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

struct reader {
    const struct qk_table *table;
    const char *name;
    const struct qk_node *kinds;
    double *sorted; /* room for the largest dataset */
    bool *failed;   /* out of memory on the way */
};

/* The metric's dataset, or NULL. */
static const struct qk_node *metric_of(const struct reader *r, const char *metric, const char *suffix)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/drift/%s/%s%s", r->name, metric, suffix);
    const struct qk_node *node = path.failed ? NULL : qk_table_find(r->table, path.s);
    *r->failed = *r->failed || path.failed;
    qk_str_release(&path);
    return node != NULL && !node->is_group ? node : NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of n values, which are sorted in place; NaN of none. */
static double median(double *values, size_t n)
{
    if (n == 0) {
        return NAN;
    }
    qsort(values, n, sizeof(*values), ascending);
    return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/* The finite values of one row's heads (the first along a third axis: the largest angle) to r->sorted behind the n that
 * are there; gives the new number. */
static size_t gather(const struct reader *r, const struct qk_node *node, size_t row, size_t n)
{
    size_t width = node->n_values / node->shape[0], step = node->n_dims > 2 ? node->shape[2] : 1;
    for (size_t i = 0; i < width; i += step) {
        double value = node->v.f64[row * width + i];
        if (isfinite(value)) {
            r->sorted[n++] = value;
        }
    }
    return n;
}

static double kind_median(const struct reader *r, const struct qk_node *node, const char *kind)
{
    size_t n = 0;
    for (size_t l = 0; node != NULL && l < node->shape[0]; l++) {
        n = qk_streq(r->kinds->v.str[l], kind) ? gather(r, node, l, n) : n;
    }
    return median(r->sorted, n);
}

/* Keeps the largest at the front. */
static void rank(struct qk_summary_place *top, size_t *n, struct qk_summary_place place)
{
    size_t at = *n;
    while (at > 0 && top[at - 1].value < place.value) {
        at--;
    }
    if (at >= QK_SUMMARY_TOP) {
        return;
    }
    size_t last = *n < QK_SUMMARY_TOP ? *n : QK_SUMMARY_TOP - 1;
    memmove(&top[at + 1], &top[at], (last - at) * sizeof(*top));
    top[at] = place;
    *n = last + 1;
}

static void rank_heads(const struct reader *r, const struct qk_node *node, struct qk_drift_summary *s)
{
    for (size_t l = 0; l < node->shape[0]; l++) {
        for (size_t h = 0; h < node->shape[1]; h++) {
            double value = node->v.f64[l * node->shape[1] + h];
            if (isfinite(value) && value > 0.0) {
                rank(s->top_heads, &s->n_top_heads, (struct qk_summary_place){l, h, value});
            }
        }
        size_t n = gather(r, node, l, 0);
        double middle = median(r->sorted, n);
        if (n > 0 && middle > 0.0) {
            rank(s->top_layers, &s->n_top_layers, (struct qk_summary_place){l, 0, middle});
        }
    }
}

static void count_layers(const struct reader *r, struct qk_drift_summary *s)
{
    const struct qk_node *state = metric_of(r, "q_rel_drift", "_state");
    state = state != NULL ? state : metric_of(r, "qk_rel_drift", "_state");
    state = state != NULL ? state : metric_of(r, "module_rel_drift", "_state");
    for (size_t l = 0; state != NULL && l < state->shape[0]; l++) {
        enum qk_layer_kind kind;
        if (state->v.u8[l * state->shape[1]] != QK_STATE_NOT_COMPUTED &&
            qk_layer_kind_by_name(r->kinds->v.str[l], &kind)) {
            s->n_layers[kind]++;
        }
    }
}

/* Heads at the rounding floor, identical, or without a value. */
static void count_floor(const struct reader *r, const char *flags, const char *drift, struct qk_drift_summary *s)
{
    const struct qk_node *flag = metric_of(r, flags, ""), *state = metric_of(r, drift, "_state");
    for (size_t i = 0; flag != NULL && i < flag->n_values; i++) {
        s->n_heads += flag->v.u8[i] <= 2;
        s->n_at_floor += flag->v.u8[i] == 1;
        s->n_identical += flag->v.u8[i] == 2;
    }
    for (size_t i = 0; state != NULL && i < state->n_values; i++) {
        s->n_undefined += state->v.u8[i] == QK_STATE_UNDEFINED;
    }
}

static void module_medians(const struct reader *r, struct qk_drift_summary *s)
{
    const struct qk_node *node = metric_of(r, "module_rel_drift", "");
    s->n_modules = node == NULL ? 0 : node->shape[1] < QK_SUMMARY_MODULES ? node->shape[1] : QK_SUMMARY_MODULES;
    for (size_t m = 0; m < s->n_modules; m++) {
        size_t n = 0;
        for (size_t l = 0; l < node->shape[0]; l++) {
            double value = node->v.f64[l * node->shape[1] + m];
            if (isfinite(value)) {
                r->sorted[n++] = value;
            }
        }
        s->modules[m] = median(r->sorted, n);
    }
}

enum qk_code qk_drift_summarise(const struct qk_table *table, const char *name, struct qk_drift_summary *ret,
                                struct qk_err *err)
{
    static const char *const columns[QK_N_SUMMARY_COLUMNS] = {
        [QK_SUMMARY_Q] = "q_rel_drift",
        [QK_SUMMARY_K] = "k_rel_drift",
        [QK_SUMMARY_QK] = "qk_rel_drift",
        [QK_SUMMARY_Q_ANGLE] = "q_principal_angles",
        [QK_SUMMARY_K_ANGLE] = "k_principal_angles",
        [QK_SUMMARY_Q_ALIGNABLE] = "q_alignable",
        [QK_SUMMARY_K_ALIGNABLE] = "k_alignable",
        [QK_SUMMARY_FLOOR] = "q_noise_floor",
    };
    bool failed = false;
    struct reader r = {
        .table = table, .name = name, .kinds = qk_table_find(table, "/model/layer_kind"), .failed = &failed};
    if (r.kinds == NULL || r.kinds->type != QK_TYPE_STR) {
        return qk_fail(err, QK_EINTERNAL, "result table: no /model/layer_kind");
    }
    size_t room = 1;
    for (size_t i = 0; i < table->n_nodes; i++) {
        room = table->nodes[i]->n_values > room ? table->nodes[i]->n_values : room;
    }
    r.sorted = qk_calloc(room, sizeof(*r.sorted));
    if (r.sorted == NULL) {
        return qk_fail_nomem(err, "summary");
    }
    struct qk_drift_summary s = {0};
    count_layers(&r, &s);
    for (size_t kind = 0; kind < QK_N_LAYER_KINDS; kind++) {
        for (size_t i = 0; i < QK_N_SUMMARY_COLUMNS; i++) {
            s.median[kind][i] =
                kind_median(&r, metric_of(&r, columns[i], ""), qk_layer_kind_name((enum qk_layer_kind)kind));
        }
    }
    const char *const ranking[] = {columns[QK_SUMMARY_QK], columns[QK_SUMMARY_Q]};
    for (size_t i = 0; i < 2 && s.ranked_by == NULL; i++) {
        const struct qk_node *node = metric_of(&r, ranking[i], "");
        if (node != NULL) {
            s.ranked_by = ranking[i];
            rank_heads(&r, node, &s);
        }
    }
    module_medians(&r, &s);
    count_floor(&r, "q_at_noise_floor", "q_rel_drift", &s);
    count_floor(&r, "k_at_noise_floor", "k_rel_drift", &s);
    qk_free(r.sorted);
    if (failed) {
        return qk_fail_nomem(err, "summary");
    }
    *ret = s;
    return QK_OK;
}
