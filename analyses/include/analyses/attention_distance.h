/* Attention distance: sums over the rows of an attention matrix, and the metrics that are made of them.
 *
 * A_ts is the weight from query t to key s ≤ t, d = t − s the distance. Rows are added one by one, per head in order of
 * t; a head's sums belong to one thread. Metrics are quotients of sums over sequences, added in order of sequences, so
 * that a run in parts (per sequence) and a run in one piece give the same bits. */
#ifndef QK_ANALYSES_ATTENTION_DISTANCE_H
#define QK_ANALYSES_ATTENTION_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* Distance bins 0, 1, 2–3, 4–7, 8–15 …: bin b ≥ 1 is [2^(b−1), 2^b − 1]. */
size_t qk_distance_bin_count(size_t n_tokens); /* that hold every distance 0 … n_tokens − 1; at least 1 */
uint64_t qk_distance_bin_low(size_t bin);
uint64_t qk_distance_bin_high(size_t bin);

/* Windows 64, 128, 256 … of tail_mass: those below n_tokens, and 64 in any case. */
size_t qk_tail_window_count(size_t n_tokens);
uint64_t qk_tail_window(size_t index);

/* What is added up, over the selected queries where nothing else is said. */
enum qk_distance_sum {
    QK_SUM_QUERIES,            /* 1 */
    QK_SUM_DISTANCE,           /* Σ_s A d */
    QK_SUM_LOG_DISTANCE,       /* Σ_s A log2(1 + d) */
    QK_SUM_NOSINK_QUERIES,     /* 1 where a key beyond the sink has weight */
    QK_SUM_NOSINK_DISTANCE,    /* Σ A d / Σ A over the keys beyond the sink */
    QK_SUM_LATER_QUERIES,      /* 1 where t ≥ 1 */
    QK_SUM_RELATIVE,           /* Σ_s A d / t where t ≥ 1 */
    QK_SUM_SINK,               /* Σ A over the sink keys */
    QK_SUM_ENTROPY,            /* −Σ A ln A */
    QK_SUM_ENTROPY_NORMALISED, /* the same / ln(t + 1) where t ≥ 1 */
    QK_SUM_ANSWER_QUERIES,     /* answer-predicting positions, selected or not */
    QK_SUM_ANSWER_NEEDLE,      /* Σ A over the needle at those */
    QK_SUM_NEEDLE_TOKENS,      /* tokens of the needle */
    QK_SUM_NEEDLE_COPIED,      /* those that were generated while they were the strongest key */
    QK_SUM_DECAY_TOKENS,       /* linear layers: tokens */
    QK_SUM_DECAY, /* linear layers: Σ −ln(decay), mean over key channels where they decay on their own */
    QK_N_DISTANCE_SUMS
};
const char *qk_distance_sum_name(size_t sum);
const char *qk_distance_sum_definition(size_t sum);

/* Which rows of a sequence count and how. */
struct qk_distance_plan {
    size_t n_tokens;
    size_t n_bins, n_windows; /* of the result's axes: those of the longest sequence */
    size_t n_sink;
    const bool *selected;          /* (n_tokens) queries that count */
    const bool *answer;            /* (n_tokens) positions whose prediction is part of the answer; NULL = none */
    const bool *needle;            /* (n_tokens) keys of the needle; NULL with answer */
    const uint32_t *answer_number; /* (n_tokens) number of an answer-predicting position among them; NULL with answer */
    const float *log2_ramp; /* (n_tokens) [j] = log2(n_tokens − j): log2(1 + d) backwards from the farthest key */
};

/* Fills a plan's ramp from arena. */
enum qk_code qk_distance_plan_ramp(struct qk_distance_plan *plan, struct qk_arena *arena,
                                   struct qk_err *err) QK_CHECKED;

/* The sums of one head over one sequence: zeroed before the first row. */
struct qk_distance_sums {
    double *scalar;      /* (QK_N_DISTANCE_SUMS) */
    double *bins;        /* (n_bins) */
    double *tail;        /* (n_windows) mass at d > window, sink keys left out */
    double *profile;     /* mass at each exact distance d, at [d]; NULL = not wanted. (n_tokens) or more */
    uint32_t *strongest; /* (answer-predicting positions) the key with the largest weight; NULL = not wanted */
};

/* The row of query t: a[i] is the weight of key first_key + i, i < n; the keys reach from what the query sees first to
 * t or beyond. Rows that the plan does not select are passed over at no cost. */
void qk_distance_add_row(const struct qk_distance_plan *plan, size_t t, size_t first_key, size_t n, const float *a,
                         struct qk_distance_sums *sums);

/* Rows of consecutive queries as attention leaves them: row r is query first_position + r, its weight for key
 * first_key + i is a[r · ld + i] scale[r], and entropy[r] is −Σ A ln A. The keys reach to the last row's query; weights
 * behind a row's own query are zero. */
struct qk_distance_block {
    size_t first_position, n_rows, first_key, n_keys, ld;
    const float *a;
    const double *scale, *entropy;
};
/* Adds the rows as qk_distance_add_row does, at a fraction of its cost: what is linear in the weights is added up by
 * distance over the rows (float32 inside a block) and looked at once. work: qk_distance_block_work(n_keys) floats,
 * overwritten. */
void qk_distance_add_block(const struct qk_distance_plan *plan, const struct qk_distance_block *block, float *work,
                           struct qk_distance_sums *sums);
size_t qk_distance_block_work(size_t n_keys);

/* What the metric rows of group "probe" read: a head's sums over all sequences. */
struct qk_probe_unit {
    size_t n_bins, n_windows, n_profile;
    const double *scalar, *bins, *tail;
    const double *profile;  /* NULL without --exact-profile */
    double retrieval;       /* mean over the sequences with a needle of the mean over their answer positions */
    double retrieval_score; /* mean over them of the share of the needle's tokens that were copied */
    size_t n_retrieval;     /* such sequences */
    bool is_linear;         /* weights implied by a linear mixer */
};

#endif
