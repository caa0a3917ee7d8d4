/* Quantiles and bootstrap resampling: see num/stats.h. */
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
