/* Attention distance from a forward pass on probe sequences: how far back each head looks. */
#include "analyses/attention_distance.h"

#include <math.h>
#include <string.h>

#include "analyses/drift.h"
#include "analyses/metric.h"

static const struct {
    const char *name, *definition;
} sums[QK_N_DISTANCE_SUMS] = {
    [QK_SUM_QUERIES] = {"queries", "selected queries"},
    [QK_SUM_DISTANCE] = {"distance", "Σ_s A d"},
    [QK_SUM_LOG_DISTANCE] = {"log_distance", "Σ_s A log2(1 + d)"},
    [QK_SUM_NOSINK_QUERIES] = {"nosink_queries", "queries with weight beyond the sink keys"},
    [QK_SUM_NOSINK_DISTANCE] = {"nosink_distance", "Σ A d / Σ A over the keys beyond the sink"},
    [QK_SUM_LATER_QUERIES] = {"later_queries", "queries at t ≥ 1"},
    [QK_SUM_RELATIVE] = {"relative_distance", "Σ_s A d / t at t ≥ 1"},
    [QK_SUM_SINK] = {"sink_mass", "Σ A over the sink keys"},
    [QK_SUM_ENTROPY] = {"entropy", "−Σ_s A ln A"},
    [QK_SUM_ENTROPY_NORMALISED] = {"entropy_normalised", "−Σ_s A ln A / ln(t + 1) at t ≥ 1"},
    [QK_SUM_ANSWER_QUERIES] = {"answer_queries", "answer-predicting positions"},
    [QK_SUM_ANSWER_NEEDLE] = {"answer_needle", "Σ A over the needle at answer-predicting positions"},
    [QK_SUM_NEEDLE_TOKENS] = {"needle_tokens", "tokens of the needle"},
    [QK_SUM_NEEDLE_COPIED] = {"needle_copied",
                              "tokens of the needle that were generated while they were the strongest key"},
    [QK_SUM_DECAY_TOKENS] = {"decay_tokens", "tokens of a layer with decay"},
    [QK_SUM_DECAY] = {"decay", "−ln of the decay per token"},
};

const char *qk_distance_sum_name(size_t sum)
{
    return sums[sum].name;
}

const char *qk_distance_sum_definition(size_t sum)
{
    return sums[sum].definition;
}

/* ---- rows ---- */

/* One quotient of two sums. */
static enum qk_state quotient(const struct qk_drift_unit *unit, enum qk_distance_sum of, enum qk_distance_sum by,
                              double *dst)
{
    const double *scalar = unit->probe->scalar;
    if (!(scalar[by] > 0.0) || !isfinite(scalar[of])) {
        return QK_STATE_UNDEFINED;
    }
    *dst = scalar[of] / scalar[by];
    return QK_STATE_DEFINED;
}

/* n sums, each per query. */
static enum qk_state per_query(const struct qk_drift_unit *unit, const double *of, size_t n, double *dst)
{
    double queries = unit->probe->scalar[QK_SUM_QUERIES];
    for (size_t i = 0; i < n; i++) {
        if (!(queries > 0.0) || !isfinite(of[i])) {
            return QK_STATE_UNDEFINED;
        }
    }
    for (size_t i = 0; i < n; i++) {
        dst[i] = of[i] / queries;
    }
    return QK_STATE_DEFINED;
}

static enum qk_state distance_histogram(const struct qk_drift_unit *unit, double *dst)
{
    return per_query(unit, unit->probe->bins, unit->probe->n_bins, dst);
}

static enum qk_state mean_distance(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_DISTANCE, QK_SUM_QUERIES, dst);
}

static enum qk_state mean_distance_nosink(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_NOSINK_DISTANCE, QK_SUM_NOSINK_QUERIES, dst);
}

static enum qk_state mean_log_distance(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_LOG_DISTANCE, QK_SUM_QUERIES, dst);
}

static enum qk_state relative_distance(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_RELATIVE, QK_SUM_LATER_QUERIES, dst);
}

static enum qk_state tail_mass(const struct qk_drift_unit *unit, double *dst)
{
    return per_query(unit, unit->probe->tail, unit->probe->n_windows, dst);
}

static enum qk_state sink_mass(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_SINK, QK_SUM_QUERIES, dst);
}

static enum qk_state entropy(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_ENTROPY, QK_SUM_QUERIES, dst);
}

static enum qk_state entropy_normalised(const struct qk_drift_unit *unit, double *dst)
{
    return quotient(unit, QK_SUM_ENTROPY_NORMALISED, QK_SUM_LATER_QUERIES, dst);
}

static enum qk_state retrieval_mass(const struct qk_drift_unit *unit, double *dst)
{
    if (unit->probe->n_retrieval == 0) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (!isfinite(unit->probe->retrieval)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = unit->probe->retrieval;
    return QK_STATE_DEFINED;
}

static enum qk_state retrieval_score(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_probe_unit *probe = unit->probe;
    if (probe->n_retrieval == 0) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (!isfinite(probe->retrieval) || !isfinite(probe->retrieval_score)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = probe->retrieval_score;
    return QK_STATE_DEFINED;
}

static enum qk_state distance_profile(const struct qk_drift_unit *unit, double *dst)
{
    if (unit->probe->profile == NULL) {
        return QK_STATE_NOT_COMPUTED;
    }
    return per_query(unit, unit->probe->profile, unit->probe->n_profile, dst);
}

static enum qk_state decay_half_life(const struct qk_drift_unit *unit, double *dst)
{
    const double *scalar = unit->probe->scalar;
    if (!unit->probe->is_linear || !(scalar[QK_SUM_DECAY_TOKENS] > 0.0)) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (!(scalar[QK_SUM_DECAY] > 0.0) || !isfinite(scalar[QK_SUM_DECAY])) {
        return QK_STATE_UNDEFINED;
    }
    *dst = M_LN2 / (scalar[QK_SUM_DECAY] / scalar[QK_SUM_DECAY_TOKENS]);
    return QK_STATE_DEFINED;
}

#define IMPLICIT "; linear layers: |A| of the implied mixing, normalised per row, over sampled queries"
#define MEAN     "mean over the selected queries t of "

static const struct qk_metric rows[] = {
    {.name = "distance_histogram",
     .group = "probe",
     .title = "Attention by distance",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head", "distance_bin"},
     .definition = MEAN "Σ A_ts over keys s with t − s in the bin; bins 0, 1, 2–3, 4–7, … tokens" IMPLICIT,
     .meaning = "Where a head looks: mass in far bins is long-range routing, mass at 0 and 1 is local.",
     .source = "arXiv:2606.11052, attention-distance histograms",
     .scope = QK_SCOPE_PROBE,
     .value = distance_histogram},
    {.name = "mean_distance",
     .group = "probe",
     .title = "Mean attention distance",
     .units = "tokens",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = MEAN "Σ_s A_ts (t − s)" IMPLICIT,
     .meaning = "Large: the head looks far back, or rests on a sink at the start (see mean_distance_nosink).",
     .source = "Vig & Belinkov 2019, arXiv:1906.04284",
     .scope = QK_SCOPE_PROBE,
     .value = mean_distance},
    {.name = "mean_distance_nosink",
     .group = "probe",
     .title = "Mean attention distance without the sink",
     .units = "tokens",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = MEAN "Σ_s A_ts (t − s) with the first --sink keys dropped and the row renormalised; queries with "
                        "no weight beyond the sink are left out" IMPLICIT,
     .meaning = "Mean distance of what the head reads apart from the sink; a fall means lost range.",
     .source = "Xiao et al. 2024, arXiv:2309.17453 (attention sinks)",
     .scope = QK_SCOPE_PROBE,
     .value = mean_distance_nosink},
    {.name = "mean_log_distance",
     .group = "probe",
     .title = "Mean log distance",
     .units = "log2 tokens",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = MEAN "Σ_s A_ts log2(1 + t − s)" IMPLICIT,
     .meaning = "The distance scale a head works at: one more is twice as far.",
     .source = "defined here",
     .scope = QK_SCOPE_PROBE,
     .value = mean_log_distance},
    {.name = "relative_distance",
     .group = "probe",
     .title = "Relative attention distance",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head"},
     .definition = MEAN "Σ_s A_ts (t − s) / t, t ≥ 1" IMPLICIT,
     .meaning = "Uniform attention gives 0.5; near 1 the head looks at the start, near 0 at the query's own place.",
     .source = "defined here",
     .scope = QK_SCOPE_PROBE,
     .value = relative_distance},
    {.name = "tail_mass",
     .group = "probe",
     .title = "Attention beyond a window",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head", "window"},
     .definition = MEAN "Σ A_ts over keys with t − s > window, the first --sink keys left out" IMPLICIT,
     .meaning = "The share of attention that a window of this length would lose.",
     .source = "Xiao et al. 2024, arXiv:2410.10819 (DuoAttention)",
     .scope = QK_SCOPE_PROBE,
     .value = tail_mass},
    {.name = "sink_mass",
     .group = "probe",
     .title = "Attention on the sink",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head"},
     .definition = MEAN "Σ A_ts over the first --sink keys" IMPLICIT,
     .meaning = "Near 1 the head is parked on the first tokens and routes nothing.",
     .source = "Xiao et al. 2024, arXiv:2309.17453 (attention sinks)",
     .scope = QK_SCOPE_PROBE,
     .value = sink_mass},
    {.name = "entropy",
     .group = "probe",
     .title = "Attention entropy",
     .units = "nats",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = MEAN "−Σ_s A_ts ln A_ts" IMPLICIT,
     .meaning = "0: one key gets all; large: attention is spread over many keys.",
     .source = "Shannon 1948",
     .scope = QK_SCOPE_PROBE,
     .value = entropy},
    {.name = "entropy_normalised",
     .group = "probe",
     .title = "Normalised attention entropy",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head"},
     .definition = MEAN "−Σ_s A_ts ln A_ts / ln(t + 1), t ≥ 1" IMPLICIT,
     .meaning = "1: uniform over all keys; 0: one key.",
     .source = "defined here",
     .scope = QK_SCOPE_PROBE,
     .value = entropy_normalised},
    {.name = "retrieval_mass",
     .group = "probe",
     .title = "Attention on the needle",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head"},
     .definition =
         "mean over probes with a marked needle of the mean over answer-predicting positions t of Σ A_ts over "
         "the needle's tokens (implied and normalised weights in linear layers)",
     .meaning = "Near 1: a retrieval head, the answer is read here; a fall under fine-tuning is lost recall.",
     .source = "Wu et al. 2024, arXiv:2404.15574",
     .scope = QK_SCOPE_PROBE,
     .value = retrieval_mass},
    {.name = "retrieval_score",
     .group = "probe",
     .title = "Retrieval score",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head"},
     .definition =
         "mean over probes with a marked needle of: tokens s of the needle for which there is an answer-predicting "
         "position t whose largest A_t is A_ts (the lowest s of equal ones) and whose most likely next token is the "
         "token at s and, with the true answer fed in, the answer's token at t + 1 (the model's choice alone behind "
         "the last token); divided by the needle's tokens (implied weights in linear layers)",
     .meaning = "Share of the needle that the head copies into the answer: from 0.1 on it is called a retrieval head.",
     .source = "Wu et al. 2024, arXiv:2404.15574",
     .scope = QK_SCOPE_PROBE,
     .value = retrieval_score},
    {.name = "distance_profile",
     .group = "probe",
     .title = "Attention at each distance",
     .units = "1",
     .lo = 0.0,
     .hi = 1.0 + 1e-6,
     .dims = {"layer", "head", "distance"},
     .definition = "Σ_t A_t,t−d / number of selected queries, for each exact distance d; with --exact-profile only",
     .meaning = "The histogram at full resolution.",
     .source = "defined here",
     .scope = QK_SCOPE_PROBE,
     .value = distance_profile},
    {.name = "decay_half_life",
     .group = "probe",
     .title = "Half-life of a linear layer's memory",
     .units = "tokens",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = "ln 2 / mean over the probes' tokens of −ln(decay); a constant slope gives ln 2 / slope; mean over "
                   "key channels where these decay on their own",
     .meaning = "How far a linear head can reach at all: a weight halves every so many tokens.",
     .source = "Qin et al. 2024, arXiv:2401.04658; Yang et al. 2024, arXiv:2412.06464",
     .scope = QK_SCOPE_PROBE,
     .value = decay_half_life},
};

const struct qk_analysis qk_analysis_attention_distance = {
    .name = "attention_distance",
    .title = "Attention distance on probe sequences",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
