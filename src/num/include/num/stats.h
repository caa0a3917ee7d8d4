/* Small statistics: quantiles, bootstrap resampling, intervals of rates. */
#ifndef QK_NUM_STATS_H
#define QK_NUM_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Ascending; NaN goes to the end. */
void qk_sort(size_t n, double *x);
/* The p-quantile, p in [0, 1], of n ≥ 1 ascending values by linear interpolation (Hyndman & Fan 1996, type 7). */
double qk_quantile(size_t n, const double *sorted, double p);

/* Bootstrap (Efron 1979): counts (n_resamples, n) of how often each of n items is drawn in n draws with replacement.
 * Every row sums to n. The same seed gives the same counts on every machine. */
void qk_bootstrap_counts(uint64_t seed, size_t n_resamples, size_t n, uint32_t *counts);

/* 95 % interval of a rate by Wilson's score (1927): hits of n ≥ 1 trials, 0 ≤ hits ≤ n; parts of hits count as such.
 * Within [0, 1]. n = 0 gives NaN. */
void qk_wilson(double hits, double n, double *ret_lo, double *ret_hi);

#endif
