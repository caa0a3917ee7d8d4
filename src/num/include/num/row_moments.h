/* Sums over a stretch of a row of weights, fast enough to be taken of every row of an attention matrix.
 *
 * Weights are float32 in [0, 1]. Terms are made and added in float32 over sixteen lanes, at most eight terms a lane,
 * and these parts in float64, always in the same order: the same bits on every CPU and for every instruction set. All
 * terms have one sign, so the relative error of a sum is below 8 · 2^-24 + that of its terms. */
#ifndef QK_NUM_ROW_MOMENTS_H
#define QK_NUM_ROW_MOMENTS_H

#include <stddef.h>

struct qk_row_moments {
    double sum;      /* Σ a_i */
    double distance; /* Σ a_i (far − i) */
    double weighted; /* Σ a_i w_i */
    double a_log_a;  /* Σ a_i ln a_i; 0 ln 0 = 0 */
};

/* All four in one pass over n weights, w ≥ 0; n − 1 ≤ far < 2^24. ln is a polynomial: its error is at most
 * qk_row_log_bound relative to max(|ln a|, 1e-3) for normal a; what is below the normal range of float32 counts with ln
 * of about −88. */
void qk_row_moments(size_t n, const float *a, const float *w, size_t far, struct qk_row_moments *ret);
#define qk_row_log_bound 4e-7

/* profile_i += factor a_i in float32, *ret_sum = Σ a_i and *ret_distance = Σ a_i (far − i); n − 1 ≤ far < 2^24. */
void qk_row_spread(size_t n, const float *a, float factor, size_t far, float *profile, double *ret_sum,
                   double *ret_distance);

/* Σ a_i alone, in float64 throughout. */
void qk_row_sum(size_t n, const float *a, double *ret);

#endif
