/* Routing loss against the base: did a head lose its far mass, by how much did its distance scale shrink, how much mass
 * moved? */
#include "analyses/routing_loss.h"

#include <math.h>
#include <string.h>

#include "analyses/attention_distance.h"
#include "analyses/drift.h"
#include "analyses/metric.h"
#include "num/stats.h"

/* The base must still hold this much beyond the window of tail_loss. */
static const double least_tail = 0.01;
static const double interval[2] = {0.025, 0.975};

/* ---- one head ---- */

/* The sums that the losses need, in one row: queries, Σ log distance, bins, tails. */
enum { AT_QUERIES, AT_LOG_DISTANCE, AT_BINS };

struct feature_rows {
    size_t n, n_features, n_bins, n_windows;
    double *base, *tuned; /* (n, n_features) */
};

static bool has_sequence(const struct qk_head_sums *sums, size_t i)
{
    return sums->scalar[i * sums->scalar_stride + QK_SUM_QUERIES] > 0.0;
}

static void gather(const struct qk_head_sums *sums, size_t i, size_t n_bins, size_t n_windows, double *row)
{
    row[AT_QUERIES] = sums->scalar[i * sums->scalar_stride + QK_SUM_QUERIES];
    row[AT_LOG_DISTANCE] = sums->scalar[i * sums->scalar_stride + QK_SUM_LOG_DISTANCE];
    memcpy(row + AT_BINS, sums->bins + i * sums->bins_stride, n_bins * sizeof(*row));
    memcpy(row + AT_BINS + n_bins, sums->tail + i * sums->tail_stride, n_windows * sizeof(*row));
}

/* Index of the widest window beyond which the base still has its mass; n_windows when there is none. */
static size_t widest_window(const struct feature_rows *f, const double *base)
{
    size_t w = f->n_windows;
    while (w > 0 && !(base[AT_BINS + f->n_bins + w - 1] / base[AT_QUERIES] >= least_tail)) {
        w--;
    }
    return w == 0 ? f->n_windows : w - 1;
}

static double tail_loss(const struct feature_rows *f, size_t window, const double *base, const double *tuned)
{
    if (window == f->n_windows) {
        return NAN;
    }
    size_t at = AT_BINS + f->n_bins + window;
    double before = base[at] / base[AT_QUERIES], after = tuned[at] / tuned[AT_QUERIES];
    return before > 0.0 ? (before - after) / before : NAN;
}

/* Both histograms brought to mass 1 (a sink logit outside the keys may have taken some). */
static double moved_mass(const struct feature_rows *f, const double *base, const double *tuned)
{
    double total[2] = {0.0, 0.0}, ahead = 0.0, work = 0.0;
    for (size_t b = 0; b < f->n_bins; b++) {
        total[0] += base[AT_BINS + b];
        total[1] += tuned[AT_BINS + b];
    }
    if (!(total[0] > 0.0) || !(total[1] > 0.0)) {
        return NAN;
    }
    for (size_t b = 0; b + 1 < f->n_bins; b++) {
        ahead += tuned[AT_BINS + b] / total[1] - base[AT_BINS + b] / total[0];
        work += fabs(ahead);
    }
    return work;
}

static void losses_of(const struct feature_rows *f, size_t window, const double *base, const double *tuned, double *ret)
{
    ret[QK_LOSS_TAIL] = tail_loss(f, window, base, tuned);
    ret[QK_LOSS_SHIFT] = tuned[AT_LOG_DISTANCE] / tuned[AT_QUERIES] - base[AT_LOG_DISTANCE] / base[AT_QUERIES];
    ret[QK_LOSS_EMD] = moved_mass(f, base, tuned);
}

/* Σ over sequences of counts · row, in order of sequences; counts NULL = once each. */
static void add_up(const struct feature_rows *f, const double *rows, const uint32_t *counts, double *total)
{
    memset(total, 0, f->n_features * sizeof(*total));
    for (size_t i = 0; i < f->n; i++) {
        double times = counts == NULL ? 1.0 : (double)counts[i];
        for (size_t k = 0; times > 0.0 && k < f->n_features; k++) {
            total[k] += times * rows[i * f->n_features + k];
        }
    }
}

static void set_interval(double *draws, double *lo, double *hi)
{
    qk_sort(QK_BOOTSTRAP_RESAMPLES, draws);
    size_t n = 0;
    while (n < QK_BOOTSTRAP_RESAMPLES && !isnan(draws[n])) {
        n++;
    }
    if (n > 0) {
        *lo = qk_quantile(n, draws, interval[0]);
        *hi = qk_quantile(n, draws, interval[1]);
    }
}

size_t qk_routing_loss_work(size_t n_sequences, size_t n_bins, size_t n_windows)
{
    return 2 * (n_sequences + 1) * (AT_BINS + n_bins + n_windows) + QK_N_LOSSES * (size_t)QK_BOOTSTRAP_RESAMPLES;
}

void qk_routing_loss_of(const struct qk_head_sums *base, const struct qk_head_sums *tuned, size_t n_sequences,
                        size_t n_bins, size_t n_windows, const uint32_t *counts, double *work,
                        struct qk_routing_loss *ret)
{
    struct feature_rows f = {.n_features = AT_BINS + n_bins + n_windows, .n_bins = n_bins, .n_windows = n_windows};
    f.base = work;
    f.tuned = f.base + n_sequences * f.n_features;
    double *total[2] = {f.tuned + n_sequences * f.n_features, f.tuned + (n_sequences + 1) * f.n_features};
    double *draws = f.tuned + (n_sequences + 2) * f.n_features;
    *ret = (struct qk_routing_loss){.tail_window = NAN};
    for (size_t k = 0; k < QK_N_LOSSES; k++) {
        ret->value[k] = ret->lo[k] = ret->hi[k] = NAN;
    }
    for (size_t i = 0; i < n_sequences; i++) {
        if (has_sequence(base, i) && has_sequence(tuned, i)) {
            gather(base, i, n_bins, n_windows, f.base + f.n * f.n_features);
            gather(tuned, i, n_bins, n_windows, f.tuned + f.n++ * f.n_features);
        }
    }
    ret->n_sequences = f.n;
    ret->is_absent = f.n == 0;
    if (f.n == 0) {
        return;
    }
    add_up(&f, f.base, NULL, total[0]);
    add_up(&f, f.tuned, NULL, total[1]);
    size_t window = widest_window(&f, total[0]);
    ret->tail_window = window < n_windows ? (double)qk_tail_window(window) : NAN;
    losses_of(&f, window, total[0], total[1], ret->value);
    /* counts are of n_sequences items: with fewer that count here, a draw would not be one of these */
    if (f.n < 2 || f.n != n_sequences) {
        return;
    }
    for (size_t r = 0; r < QK_BOOTSTRAP_RESAMPLES; r++) {
        double drawn[QK_N_LOSSES];
        add_up(&f, f.base, counts + r * n_sequences, total[0]);
        add_up(&f, f.tuned, counts + r * n_sequences, total[1]);
        losses_of(&f, window, total[0], total[1], drawn);
        for (size_t k = 0; k < QK_N_LOSSES; k++) {
            draws[k * QK_BOOTSTRAP_RESAMPLES + r] = drawn[k];
        }
    }
    for (size_t k = 0; k < QK_N_LOSSES; k++) {
        set_interval(draws + k * QK_BOOTSTRAP_RESAMPLES, &ret->lo[k], &ret->hi[k]);
    }
}

/* ---- rows ---- */

static enum qk_state put(const struct qk_routing_loss *loss, double value, double *dst)
{
    if (loss->is_absent) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (isnan(value)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = value;
    return QK_STATE_DEFINED;
}

/* Without far mass in the base there is nothing to lose. */
static enum qk_state put_tail(const struct qk_routing_loss *loss, double value, double *dst)
{
    return isnan(loss->tail_window) ? QK_STATE_NOT_APPLICABLE : put(loss, value, dst);
}

/* One probe has no interval. */
static enum qk_state put_bound(const struct qk_routing_loss *loss, double value, double *dst)
{
    return loss->n_sequences < 2 ? QK_STATE_NOT_APPLICABLE : put(loss, value, dst);
}

static enum qk_state tail_loss_value(const struct qk_drift_unit *unit, double *dst)
{
    return put_tail(unit->loss, unit->loss->value[QK_LOSS_TAIL], dst);
}

static enum qk_state tail_loss_lo(const struct qk_drift_unit *unit, double *dst)
{
    return isnan(unit->loss->tail_window) ? QK_STATE_NOT_APPLICABLE
                                          : put_bound(unit->loss, unit->loss->lo[QK_LOSS_TAIL], dst);
}

static enum qk_state tail_loss_hi(const struct qk_drift_unit *unit, double *dst)
{
    return isnan(unit->loss->tail_window) ? QK_STATE_NOT_APPLICABLE
                                          : put_bound(unit->loss, unit->loss->hi[QK_LOSS_TAIL], dst);
}

static enum qk_state tail_window(const struct qk_drift_unit *unit, double *dst)
{
    return put_tail(unit->loss, unit->loss->tail_window, dst);
}

static enum qk_state distance_shift(const struct qk_drift_unit *unit, double *dst)
{
    return put(unit->loss, unit->loss->value[QK_LOSS_SHIFT], dst);
}

static enum qk_state distance_shift_lo(const struct qk_drift_unit *unit, double *dst)
{
    return put_bound(unit->loss, unit->loss->lo[QK_LOSS_SHIFT], dst);
}

static enum qk_state distance_shift_hi(const struct qk_drift_unit *unit, double *dst)
{
    return put_bound(unit->loss, unit->loss->hi[QK_LOSS_SHIFT], dst);
}

static enum qk_state emd(const struct qk_drift_unit *unit, double *dst)
{
    return put(unit->loss, unit->loss->value[QK_LOSS_EMD], dst);
}

static enum qk_state emd_lo(const struct qk_drift_unit *unit, double *dst)
{
    return put_bound(unit->loss, unit->loss->lo[QK_LOSS_EMD], dst);
}

static enum qk_state emd_hi(const struct qk_drift_unit *unit, double *dst)
{
    return put_bound(unit->loss, unit->loss->hi[QK_LOSS_EMD], dst);
}

#define BOUND "; bootstrap over probes, 1000 draws, both checkpoints in the same draw, 95 % percentile interval"

/* A loss and the two ends of its interval. */
#define LOSS_ROWS(stem, value_function, title_, units_, lo_, hi_, definition_, meaning_, source_)                      \
    {.name = #stem,                                                                                                    \
     .group = "routing",                                                                                               \
     .title = title_,                                                                                                  \
     .units = units_,                                                                                                  \
     .lo = lo_,                                                                                                        \
     .hi = hi_,                                                                                                        \
     .dims = {"layer", "head"},                                                                                        \
     .definition = definition_,                                                                                        \
     .meaning = meaning_,                                                                                              \
     .source = source_,                                                                                                \
     .scope = QK_SCOPE_LOSS,                                                                                           \
     .value = value_function},                                                                                         \
        {.name = #stem "_lo",                                                                                          \
         .group = "routing",                                                                                           \
         .title = title_ ", lower bound",                                                                              \
         .units = units_,                                                                                              \
         .lo = lo_,                                                                                                    \
         .hi = hi_,                                                                                                    \
         .dims = {"layer", "head"},                                                                                    \
         .definition = "lower end of the interval of " #stem BOUND,                                                    \
         .meaning = "The lowest that other probes of the same kind would likely give.",                                \
         .source = "Efron 1979",                                                                                       \
         .scope = QK_SCOPE_LOSS,                                                                                       \
         .value = stem##_lo},                                                                                          \
    {                                                                                                                  \
        .name = #stem "_hi", .group = "routing", .title = title_ ", upper bound", .units = units_, .lo = lo_,          \
        .hi = hi_, .dims = {"layer", "head"}, .definition = "upper end of the interval of " #stem BOUND,               \
        .meaning = "The highest that other probes of the same kind would likely give.", .source = "Efron 1979",        \
        .scope = QK_SCOPE_LOSS, .value = stem##_hi                                                                     \
    }

static const struct qk_metric rows[] = {
    LOSS_ROWS(tail_loss, tail_loss_value, "Loss of far attention", "1", -INFINITY, 1.0,
              "(m0 − m1) / m0, m = tail_mass at tail_window; not applicable where the base has no such window",
              "1: all far attention is gone; 0: none; below 0: there is more than before.",
              "arXiv:2606.11052, loss of long-range routing"),
    {.name = "tail_window",
     .group = "routing",
     .title = "Window of the loss of far attention",
     .units = "tokens",
     .lo = 64.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = "the widest window beyond which the base's tail_mass is still at least 0.01",
     .meaning = "How far the base's head reaches on these probes.",
     .source = "arXiv:2606.11052, loss of long-range routing",
     .scope = QK_SCOPE_LOSS,
     .value = tail_window},
    LOSS_ROWS(distance_shift, distance_shift, "Shift of the distance scale", "log2 tokens", -INFINITY, INFINITY,
              "mean_log_distance of the tuned checkpoint − that of the base",
              "−1: the head works at half the distance it did; above 0: farther than before.",
              "arXiv:2606.11052, attention-distance histograms"),
    LOSS_ROWS(emd, emd, "Moved attention", "log2 tokens", 0.0, INFINITY,
              "earth mover's distance of the two distance histograms, each brought to mass 1, bins one unit apart "
              "(bins are powers of two): Σ_b |CDF1(b) − CDF0(b)|",
              "How much attention moved how far on the log scale, in whatever direction; 0: the same histogram.",
              "Rubner et al. 2000, doi:10.1023/A:1026543900054"),
};

const struct qk_analysis qk_analysis_routing_loss = {
    .name = "routing_loss",
    .title = "Routing loss against the base",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
