/* Orthogonal Procrustes (Schönemann 1966): min over orthogonal R (K, K), det ±1, of ‖R W1 − W0‖_F.
 *
 * R is the orthogonal polar factor of W0W1ᵀ = A + Fᵀ. The residual is not taken as the difference of large sums
 * (‖W0‖² + ‖W1‖² − 2‖W0W1ᵀ‖_*) but from R W1 − W0 = (R − I) W0 + R Δ through the delta Grams, which keeps it accurate
 * for small drifts; where even that cancels (a large rotation that explains almost all), the caller evaluates
 * ‖R W1 − W0‖ directly from the matrices (needs_direct). The residual is never above ‖Δ‖: where
 * W0W1ᵀ is so ill-conditioned (κ > 1e15) that its polar factor is noise, R = I is given. A direct evaluation may then
 * exceed ‖Δ‖ by rounding of that kind; the caller may cap it. */
#ifndef QK_NUM_PROCRUSTES_H
#define QK_NUM_PROCRUSTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "num/gram.h"

struct qk_procrustes {
    double residual;   /* min ‖R W1 − W0‖_F, same unit as W */
    bool needs_direct; /* residual is inside its own rounding: evaluate directly with R */
    bool failed;       /* no convergence, NaN/Inf */
};

size_t qk_procrustes_work(size_t k);
/* r (K, K) column-major receives R. Identical matrices: R = I, residual 0. */
void qk_procrustes(const struct qk_gram *g, double *r, struct qk_procrustes *ret, double *work);
/* ‖R W1 − W0‖_F of one tile of n columns, squared and added to *sum; w0, w1 are K rows of n contiguous values.
 * work: k·n doubles. */
void qk_procrustes_direct_tile(size_t k, size_t n, const double *r, const double *w0, const double *w1, double *work,
                               double *sum);
/* Largest eigenvalue of a symmetric positive semi-definite (k, k) matrix, squared root: σ₁ from a Gram matrix. NaN on
 * failure. work: qk_procrustes_work(k). e is not changed. */
double qk_spectral_norm_from_gram(size_t k, const double *e, double *work);

#endif
