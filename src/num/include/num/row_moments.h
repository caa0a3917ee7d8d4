/* Sums over a stretch of a row of weights, fast enough to be taken of every row of an attention matrix.
 *
 * Weights are float32 in [0, 1], sums float64 over eight lanes in a fixed order: the same bits on every CPU and for
 * every instruction set. */
#ifndef QK_NUM_ROW_MOMENTS_H
#define QK_NUM_ROW_MOMENTS_H

#include <stddef.h>

struct qk_row_moments {
    double sum;      /* Σ a_i */
    double ramp;     /* Σ a_i i, i from 0 */
    double weighted; /* Σ a_i w_i */
    double a_log_a;  /* Σ a_i ln a_i; 0 ln 0 = 0 */
};

/* All four in one pass over n weights. ln is a polynomial: its error is at most qk_row_log_bound relative to max(|ln
 * a|, 1e-3) for normal a; what is below the normal range of float32 counts with ln of about −88. */
void qk_row_moments(size_t n, const float *a, const float *w, struct qk_row_moments *ret);
#define qk_row_log_bound 4e-7

/* Σ a_i alone. */
void qk_row_sum(size_t n, const float *a, double *ret);

#endif
