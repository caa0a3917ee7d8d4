/* Adding up rows of attention weights. Bins are contiguous ranges of keys, so a row alone costs one pass for its
 * moments and one for the sums of its ranges. Rows of a block are first added up by distance: then a row costs one
 * short pass, and the ranges are summed once a block. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "analyses/attention_distance.h"
#include "num/row_moments.h"

/* Distances below this are added one by one: ranges this short are not worth a call. */
enum { NEAR = 32, FIRST_WINDOW = 64 };

size_t qk_distance_bin_count(size_t n_tokens)
{
    size_t n = 1;
    for (uint64_t farthest = n_tokens == 0 ? 0 : n_tokens - 1; farthest > 0; farthest /= 2) {
        n++;
    }
    return n;
}

uint64_t qk_distance_bin_low(size_t bin)
{
    return bin == 0 ? 0 : (uint64_t)1 << (bin - 1);
}

uint64_t qk_distance_bin_high(size_t bin)
{
    return bin == 0 ? 0 : ((uint64_t)1 << bin) - 1;
}

size_t qk_tail_window_count(size_t n_tokens)
{
    size_t n = 1;
    while (qk_tail_window(n) < n_tokens) {
        n++;
    }
    return n;
}

uint64_t qk_tail_window(size_t index)
{
    return (uint64_t)FIRST_WINDOW << index;
}

enum qk_code qk_distance_plan_ramp(struct qk_distance_plan *plan, struct qk_arena *arena, struct qk_err *err)
{
    float *ramp = qk_arena_alloc(arena, plan->n_tokens, sizeof(*ramp));
    if (ramp == NULL) {
        return qk_fail_nomem(err, "probe plan");
    }
    for (size_t j = 0; j < plan->n_tokens; j++) {
        ramp[j] = (float)log2((double)(plan->n_tokens - j));
    }
    plan->log2_ramp = ramp;
    return QK_OK;
}

static size_t bin_of(uint64_t d)
{
    return d == 0 ? 0 : (size_t)(64 - __builtin_clzll(d));
}

/* The windows w < d: the first of them are those with 64 · 2^i < d. */
static size_t windows_below(uint64_t d, size_t n_windows)
{
    size_t n = 0;
    while (n < n_windows && qk_tail_window(n) < d) {
        n++;
    }
    return n;
}

/* Keys beyond the sink, n of them, the last one at distance 0; row[n − 1 − d] is the weight at distance d. tail[w]
 * gains what is farther than the window; bins come from below to above, so the tails are sums of whole ranges: distance
 * 2^k itself, which closes no tail of its window, is a range of its own. */
static void add_ranges(const struct qk_distance_plan *plan, size_t n, const float *row, struct qk_distance_sums *sums)
{
    const float *self = row + n - 1;
    size_t near = n < NEAR ? n : NEAR;
    sums->bins[0] += (double)self[0];
    for (size_t low = 1, bin = 1; low < near; low *= 2, bin++) {
        double sum = 0.0;
        for (size_t d = low; d < 2 * low && d < near; d++) {
            sum += (double)self[-(ptrdiff_t)d];
        }
        sums->bins[bin] += sum;
    }
    for (uint64_t low = NEAR; low < n; low *= 2) {
        uint64_t high = 2 * low - 1 < n ? 2 * low - 1 : n - 1;
        double first = (double)self[-(ptrdiff_t)low], rest = 0.0;
        if (high > low) {
            qk_row_sum((size_t)(high - low), self - high, &rest);
        }
        sums->bins[bin_of(low)] += first + rest;
        size_t at_low = windows_below(low, plan->n_windows), above = windows_below(low + 1, plan->n_windows);
        for (size_t w = 0; w < above; w++) {
            sums->tail[w] += w < at_low ? first + rest : rest;
        }
    }
}

/* The sink's keys, n of them at row, the nearest at distance near. */
static void add_sink_ranges(uint64_t near, size_t n, const float *row, struct qk_distance_sums *sums)
{
    for (size_t i = 0; i < n; i++) {
        sums->bins[bin_of(near + (n - 1 - i))] += (double)row[i];
    }
}

static double needle_mass(const struct qk_distance_plan *plan, size_t first_key, size_t n, const float *a)
{
    double mass = 0.0;
    for (size_t i = 0; i < n; i++) {
        mass += plan->needle[first_key + i] ? (double)a[i] : 0.0;
    }
    return mass;
}

/* The lowest of keys with equal weight. */
static size_t strongest_key(size_t first_key, size_t n, const float *a)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = a[i] > a[best] ? i : best;
    }
    return first_key + best;
}

/* What a row adds to the scalars, apart from Σ A log2(1 + d). */
static void add_query(size_t t, const struct qk_row_moments *sink, const struct qk_row_moments *rest, double entropy,
                      double *scalar)
{
    double distance = sink->distance + rest->distance;
    scalar[QK_SUM_QUERIES] += 1.0;
    scalar[QK_SUM_DISTANCE] += distance;
    scalar[QK_SUM_SINK] += sink->sum;
    scalar[QK_SUM_ENTROPY] += entropy;
    if (rest->sum > 0.0) {
        scalar[QK_SUM_NOSINK_QUERIES] += 1.0;
        scalar[QK_SUM_NOSINK_DISTANCE] += rest->distance / rest->sum;
    }
    if (t >= 1) {
        scalar[QK_SUM_LATER_QUERIES] += 1.0;
        scalar[QK_SUM_RELATIVE] += distance / (double)t;
        scalar[QK_SUM_ENTROPY_NORMALISED] += entropy / log((double)t + 1.0);
    }
}

static void add_selected(const struct qk_distance_plan *plan, size_t t, size_t first_key, size_t n, const float *a,
                         struct qk_distance_sums *sums)
{
    size_t n_sink = first_key < plan->n_sink ? plan->n_sink - first_key : 0;
    n_sink = n_sink < n ? n_sink : n;
    const float *ramp = plan->log2_ramp + (plan->n_tokens - 1 - t) + first_key;
    struct qk_row_moments sink = {0}, rest = {0};
    if (n_sink > 0) {
        qk_row_moments(n_sink, a, ramp, t - first_key, &sink);
        add_sink_ranges(t - (first_key + n_sink - 1), n_sink, a, sums);
    }
    if (n > n_sink) {
        qk_row_moments(n - n_sink, a + n_sink, ramp + n_sink, t - first_key - n_sink, &rest);
        add_ranges(plan, n - n_sink, a + n_sink, sums);
    }
    sums->scalar[QK_SUM_LOG_DISTANCE] += sink.weighted + rest.weighted;
    add_query(t, &sink, &rest, 0.0 - (sink.a_log_a + rest.a_log_a), sums->scalar);
    if (sums->profile != NULL) {
        for (size_t i = 0; i < n; i++) {
            sums->profile[t - first_key - i] += (double)a[i];
        }
    }
}

/* Row of an answer-predicting position t; a times scale are the weights of the keys from first_key to t. */
static void add_answer(const struct qk_distance_plan *plan, size_t t, size_t first_key, const float *a, double scale,
                       struct qk_distance_sums *sums)
{
    size_t n = t + 1 - first_key;
    sums->scalar[QK_SUM_ANSWER_QUERIES] += 1.0;
    sums->scalar[QK_SUM_ANSWER_NEEDLE] += scale * needle_mass(plan, first_key, n, a);
    if (sums->strongest != NULL) {
        sums->strongest[plan->answer_number[t]] = (uint32_t)strongest_key(first_key, n, a);
    }
}

void qk_distance_add_row(const struct qk_distance_plan *plan, size_t t, size_t first_key, size_t n, const float *a,
                         struct qk_distance_sums *sums)
{
    assert(first_key <= t && n > t - first_key);
    if (plan->answer != NULL && plan->answer[t]) {
        add_answer(plan, t, first_key, a, 1.0, sums);
    }
    if (plan->selected[t]) {
        add_selected(plan, t, first_key, t + 1 - first_key, a, sums);
    }
}

/* One row into the profiles; its first n_sink keys go into a profile of their own. */
static void spread_row(const struct qk_distance_block *b, size_t r, size_t n_sink, float *sink_profile, float *profile,
                       double *scalar)
{
    size_t t = b->first_position + r, n = t + 1 - b->first_key, at = b->n_rows - 1 - r;
    const float *row = b->a + r * b->ld;
    struct qk_row_moments sink = {0}, rest = {0};
    float factor = (float)b->scale[r];
    n_sink = n_sink < n ? n_sink : n;
    if (n_sink > 0) {
        qk_row_spread(n_sink, row, factor, n - 1, sink_profile + at, &sink.sum, &sink.distance);
    }
    if (n > n_sink) {
        qk_row_spread(n - n_sink, row + n_sink, factor, n - 1 - n_sink, profile + at + n_sink, &rest.sum,
                      &rest.distance);
    }
    sink.sum *= b->scale[r];
    sink.distance *= b->scale[r];
    rest.sum *= b->scale[r];
    rest.distance *= b->scale[r];
    add_query(t, &sink, &rest, b->entropy[r], scalar);
}

size_t qk_distance_block_work(size_t n_keys)
{
    return 2 * n_keys;
}

void qk_distance_add_block(const struct qk_distance_plan *plan, const struct qk_distance_block *b, float *work,
                           struct qk_distance_sums *sums)
{
    /* element j of a profile is the weight at distance n_keys − 1 − j */
    size_t n = b->n_keys, n_sink = b->first_key < plan->n_sink ? plan->n_sink - b->first_key : 0, n_selected = 0;
    float *profile = work, *sink_profile = work + n;
    assert(b->first_position + b->n_rows == b->first_key + n);
    memset(work, 0, qk_distance_block_work(n) * sizeof(*work));
    n_sink = n_sink < n ? n_sink : n;
    for (size_t r = 0; r < b->n_rows; r++) {
        size_t t = b->first_position + r;
        if (plan->answer != NULL && plan->answer[t]) {
            add_answer(plan, t, b->first_key, b->a + r * b->ld, b->scale[r], sums);
        }
        if (plan->selected[t]) {
            spread_row(b, r, n_sink, sink_profile, profile, sums->scalar);
            n_selected++;
        }
    }
    if (n_selected == 0) {
        return;
    }
    /* the sink's keys of all rows lie in the first columns */
    size_t n_far = n_sink + b->n_rows - 1 < n ? n_sink + b->n_rows - 1 : n;
    const float *ramp = plan->log2_ramp + (plan->n_tokens - n);
    struct qk_row_moments sink = {0}, rest = {0};
    qk_row_moments(n, profile, ramp, n - 1, &rest);
    add_ranges(plan, n, profile, sums);
    if (n_sink > 0) {
        qk_row_moments(n_far, sink_profile, ramp, n - 1, &sink);
        add_sink_ranges(n - n_far, n_far, sink_profile, sums);
    }
    sums->scalar[QK_SUM_LOG_DISTANCE] += sink.weighted + rest.weighted;
    for (size_t j = 0; sums->profile != NULL && j < n; j++) {
        sums->profile[n - 1 - j] += (double)profile[j] + (double)sink_profile[j];
    }
}
