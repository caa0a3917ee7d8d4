/* Which heads a verdict names: see diagnosis_heads.h. */
#include "diagnosis_heads.h"

#include <math.h>
#include <stdlib.h>

#include "advise/evidence.h"

/* A rule that a head may be named by: its number, and from which on it counts. */
struct naming {
    double (*value)(const struct qk_evidence *e, size_t layer, size_t head);
    double threshold;
};

/* Shares of far attention, resp. of the mean distance, at the cautious end of their intervals: as the score has them.
 */
static double range_loss(const struct qk_evidence *e, size_t layer, size_t head)
{
    double shift_hi = qk_evidence_at(e, QK_DATUM_SHIFT_HI, layer, head);
    return isnan(shift_hi) ? (double)NAN : 1.0 - exp2(shift_hi);
}

static struct qk_named_head head_of(const struct qk_evidence *e, size_t layer, size_t head, double value)
{
    return (struct qk_named_head){.layer = layer,
                                  .head = head,
                                  .before = qk_evidence_at(e, QK_DATUM_BASE_NEEDLE, layer, head),
                                  .after = qk_evidence_at(e, QK_DATUM_TUNED_NEEDLE, layer, head),
                                  .again = NAN,
                                  .shift = qk_evidence_at(e, QK_DATUM_SHIFT, layer, head),
                                  .shift_lo = qk_evidence_at(e, QK_DATUM_SHIFT_LO, layer, head),
                                  .shift_hi = qk_evidence_at(e, QK_DATUM_SHIFT_HI, layer, head),
                                  .shift_again = NAN,
                                  .value = value};
}

static void name_heads(const struct qk_evidence *e, const struct naming *rule, struct qk_named_heads *ret)
{
    for (size_t l = 0; l < e->n_layers; l++) {
        for (size_t h = 0; h < e->layers[l].n_heads; h++) {
            double value = rule->value(e, l, h);
            if (!(value >= rule->threshold)) {
                continue;
            }
            ret->n_all++;
            size_t k = ret->n < QK_HEADS_NAMED ? ret->n++ : QK_HEADS_NAMED;
            for (; k > 0 && ret->head[k - 1].value < value; k--) {
                if (k < QK_HEADS_NAMED) {
                    ret->head[k] = ret->head[k - 1];
                }
            }
            if (k < QK_HEADS_NAMED) {
                ret->head[k] = head_of(e, l, h, value);
            }
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum qk_code median_drift(const struct qk_evidence *e, struct qk_arena *arena, double *ret, struct qk_err *err)
{
    size_t n = 0, most = 0;
    for (size_t l = 0; l < e->n_layers; l++) {
        most += e->layers[l].n_heads;
    }
    double *values = qk_arena_alloc(arena, most, sizeof *values);
    if (values == NULL) {
        return qk_fail_nomem(err, "verdict");
    }
    for (size_t l = 0; l < e->n_layers; l++) {
        for (size_t h = 0; h < e->layers[l].n_heads; h++) {
            double drift = qk_evidence_drift(e, l, h);
            if (!isnan(drift)) {
                values[n++] = drift;
            }
        }
    }
    qsort(values, n, sizeof *values, by_value);
    *ret = n == 0 ? (double)NAN : n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
    return QK_OK;
}

/* Whether all cells that hold a number hold 0; false without cells. */
static bool all_zero(const struct qk_cells *cells, bool *seen)
{
    for (size_t i = 0; cells->node != NULL && i < cells->node->n_values; i++) {
        double v = cells->node->v.f64[i];
        *seen = *seen || !isnan(v);
        if (!isnan(v) && v != 0.0) {
            return false;
        }
    }
    return true;
}

static bool is_identical(const struct qk_evidence *e)
{
    bool seen = false;
    return all_zero(&e->data[QK_DATUM_MODULES], &seen) && seen && all_zero(&e->data[QK_DATUM_OUTER], &seen);
}

/* Whether the run compares a checkpoint with a base. */
static bool is_compared(const struct qk_table *table, const char *tuned, struct qk_arena *arena)
{
    const char *drift = qk_arena_printf(arena, "/drift/%s", tuned);
    const char *routing = qk_arena_printf(arena, "/routing/%s", tuned);
    return drift != NULL && routing != NULL &&
           (qk_table_find(table, drift) != NULL || qk_table_find(table, routing) != NULL);
}

static const struct naming needle = {qk_evidence_needle_loss, 0.05}, range = {range_loss, 0.05},
                           drift = {qk_evidence_drift, 1e-12};
static const double regained = 0.5; /* share of the fall */

/* What the heads named do in the restored checkpoint. */
static void look_again(const struct qk_evidence *tuned, const struct qk_evidence *restored,
                       struct qk_diagnosed_heads *heads)
{
    struct qk_named_heads *const lists[] = {&heads->needle, &heads->range};
    heads->seen_again = true;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < lists[i]->n; k++) {
            struct qk_named_head *h = &lists[i]->head[k];
            h->again = qk_evidence_at(restored, QK_DATUM_TUNED_NEEDLE, h->layer, h->head);
            h->shift_again = qk_evidence_at(restored, QK_DATUM_SHIFT, h->layer, h->head);
        }
    }
    for (size_t l = 0; l < tuned->n_layers; l++) {
        for (size_t h = 0; h < tuned->layers[l].n_heads; h++) {
            double after = qk_evidence_at(tuned, QK_DATUM_TUNED_NEEDLE, l, h);
            double fall = qk_evidence_at(tuned, QK_DATUM_BASE_NEEDLE, l, h) - after;
            double back = qk_evidence_at(restored, QK_DATUM_TUNED_NEEDLE, l, h) - after;
            bool lost = needle.value(tuned, l, h) >= needle.threshold && fall > 0.0;
            heads->n_regained += lost && back >= regained * fall ? 1 : 0;
        }
    }
}

enum qk_code qk_diagnosed_heads_of(const struct qk_table *table, const struct qk_diagnosis_question *q,
                                   struct qk_arena *arena, struct qk_diagnosed_heads *ret, struct qk_err *err)
{
    struct qk_diagnosed_heads heads = {.median_drift = NAN};
    struct qk_evidence e, again;
    if (is_compared(table, q->tuned, arena)) {
        QK_TRY(qk_evidence_open(table, q->tuned, arena, &e, err));
        QK_TRY(median_drift(&e, arena, &heads.median_drift, err));
        name_heads(&e, &needle, &heads.needle);
        name_heads(&e, &range, &heads.range);
        name_heads(&e, &drift, &heads.drift);
        heads.identical = is_identical(&e);
        if (e.has_probe && q->restored != NULL && is_compared(table, q->restored, arena)) {
            QK_TRY(qk_evidence_open(table, q->restored, arena, &again, err));
            if (again.has_probe) {
                look_again(&e, &again, &heads);
            }
        }
    }
    *ret = heads;
    return QK_OK;
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

static void add_needle(struct qk_str *out, const struct qk_named_head *h, const char *restored)
{
    (void)restored;
    qk_str_addf(out, "%zu.%zu (%.2f -> %.2f", h->layer, h->head, h->before, h->after);
    if (!isnan(h->again)) {
        qk_str_addf(out, " -> %.2f", h->again);
    }
    qk_str_addc(out, ')');
}

/* A change of the mean log2 distance as percent of the distance: -0.5 is 29 % shorter. */
static double shorter(double shift)
{
    return 100.0 * (1.0 - exp2(shift));
}

static void add_range(struct qk_str *out, const struct qk_named_head *h, const char *restored)
{
    qk_str_addf(out, "%zu.%zu by %.0f %% (%.0f to %.0f)", h->layer, h->head, shorter(h->shift), shorter(h->shift_hi),
                shorter(h->shift_lo));
    if (!isnan(h->shift_again)) {
        double left = round(shorter(h->shift_again));
        qk_str_addf(out, ", in %s ", restored);
        if (left > 0.0) {
            qk_str_addf(out, "by %.0f %%", left);
        } else {
            qk_str_add(out, "no more");
        }
    }
}

static void add_drift(struct qk_str *out, const struct qk_named_head *h, const char *restored)
{
    (void)restored;
    qk_str_addf(out, "%zu.%zu (%.0f %%)", h->layer, h->head, 100.0 * h->value);
}

static void add_heads(struct qk_str *out, const struct qk_named_heads *heads, const char *restored,
                      const char *separator,
                      void (*add)(struct qk_str *out, const struct qk_named_head *h, const char *restored))
{
    for (size_t i = 0; i < heads->n; i++) {
        qk_str_add(out, i == 0 ? " " : separator);
        add(out, &heads->head[i], restored);
    }
    if (heads->n_all > heads->n) {
        qk_str_addf(out, " and %zu more", heads->n_all - heads->n);
    }
    qk_str_addc(out, '.');
}

/* What the heads that lost the needle have back. */
static void add_regained(struct qk_str *out, const struct qk_diagnosed_heads *heads, const char *restored)
{
    size_t n = heads->n_regained, all = heads->needle.n_all;
    if (all == 1) {
        qk_str_addf(out, " In %s, this head has %s half of the fall back.", restored,
                    n == 1 ? "at least" : "less than");
    } else if (n == 0) {
        qk_str_addf(out, " In %s, none of these %zu heads has half of the fall back.", restored, all);
    } else if (n == all) {
        qk_str_addf(out, " In %s, all of these %zu heads have half or more of the fall back.", restored, all);
    } else {
        qk_str_addf(out, " In %s, %zu of these %zu heads %s half or more of the fall back; the others do not.",
                    restored, n, all, n == 1 ? "has" : "have");
    }
}

void qk_diagnosed_heads_add(const struct qk_diagnosed_heads *heads, const struct qk_diagnosis_question *q,
                            struct qk_str *out)
{
    if (heads->needle.n + heads->range.n == 0 && isnan(heads->median_drift)) {
        return;
    }
    qk_str_add(out, "Where:");
    if (heads->needle.n > 0) {
        qk_str_addf(out, " attention on the needle fell in heads (layer.head, %s -> %s", q->base, q->tuned);
        if (heads->seen_again) {
            qk_str_addf(out, " -> %s", q->restored);
        }
        qk_str_add(out, "):");
        add_heads(out, &heads->needle, q->restored, ", ", add_needle);
        if (heads->seen_again) {
            add_regained(out, heads, q->restored);
        }
    }
    if (heads->range.n > 0) {
        qk_str_addf(out, " The distance that a head typically looks back is shorter than in %s in", q->base);
        add_heads(out, &heads->range, q->restored, "; ", add_range);
    }
    if (!isnan(heads->median_drift)) {
        qk_str_addf(out, " The routing form of Q and K moved by %.1f %% in the median head",
                    100.0 * heads->median_drift);
        struct qk_named_heads most = heads->drift;
        most.n_all = most.n;
        qk_str_add(out, most.n == 0 ? "" : "; most in:");
        add_heads(out, &most, q->restored, ", ", add_drift);
    }
    qk_str_addc(out, '\n');
}
