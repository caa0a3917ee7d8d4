/* Quantiles, bootstrap resampling, intervals of rates: see num/stats.h. */
#include "num/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) {
        return isnan(x) - isnan(y);
    }
    return (x > y) - (x < y);
}

void qk_sort(size_t n, double *x)
{
    qsort(x, n, sizeof(*x), by_value);
}

double qk_quantile(size_t n, const double *sorted, double p)
{
    double at = p * (double)(n - 1), below = floor(at);
    size_t i = (size_t)below;
    return i + 1 >= n ? sorted[n - 1] : sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]);
}

void qk_bootstrap_counts(uint64_t seed, size_t n_resamples, size_t n, uint32_t *counts)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, seed);
    memset(counts, 0, n_resamples * n * sizeof(*counts));
    for (size_t r = 0; r < n_resamples; r++) {
        for (size_t i = 0; i < n; i++) {
            counts[r * n + qk_rng_below(&rng, n)]++;
        }
    }
}

void qk_wilson(double hits, double n, double *ret_lo, double *ret_hi)
{
    static const double z = 1.959963984540054; /* 97.5 % quantile of the standard normal */
    double p = hits / n, scale = 1.0 + z * z / n, middle = (p + z * z / (2.0 * n)) / scale;
    double half = z / scale * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    if (!(n > 0.0)) {
        *ret_lo = *ret_hi = NAN;
        return;
    }
    /* at the ends the interval touches 0 or 1, but for rounding */
    *ret_lo = hits <= 0.0 ? 0.0 : fmax(0.0, middle - half);
    *ret_hi = hits >= n ? 1.0 : fmin(1.0, middle + half);
}
