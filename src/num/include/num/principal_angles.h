/* Principal angles between the row spaces of two (K, D) matrices, accurate for tiny drifts.
 *
 * With A, F, E of num/gram.h the Schur complement S = E − F A⁻¹ Fᵀ is the Gram matrix of the part of W1 outside the
 * span of W0; sin²θ are the eigenvalues of the pencil (S, W1W1ᵀ). Every angle carries a bound of its rounding error;
 * where A or W1W1ᵀ is ill-conditioned (κ > 1e7 with rows scaled to length 1), Cholesky fails, or some angle is not
 * known to 2e-7 of itself or 2e-8 rad (the drift is almost a rotation, or leaves part of the span untouched), the
 * angles come from Householder QR of both matrices and the sine form (Björck & Golub 1973; Knyazev & Argentati 2002),
 * good to ε κ(W) rad. Rank-deficient matrices: the rank of each is decided explicitly (pivoted QR, tolerance max(K,
 * D)·eps·largest pivot); min(rank) angles are given, the rest are NaN; if the ranks differ the method says so. */
#ifndef QK_NUM_PRINCIPAL_ANGLES_H
#define QK_NUM_PRINCIPAL_ANGLES_H

#include <stddef.h>

#include "base/err.h"
#include "num/gram.h"

enum qk_angle_method {
    QK_ANGLES_IDENTICAL = 0,      /* Δ = 0: exact zeros without arithmetic */
    QK_ANGLES_SCHUR = 1,          /* delta Gram */
    QK_ANGLES_QR = 2,             /* Householder QR, sine form */
    QK_ANGLES_RANK_DEFICIENT = 3, /* QR after deciding a rank below K */
    QK_ANGLES_FAILED = 4,         /* an iteration did not converge, or NaN/Inf, or W0 or W1 is zero */
};

/* Doubles of work that qk_principal_angles_schur needs. */
size_t qk_principal_angles_work(size_t k);
/* The Schur form. θ (K, descending, radians in [0, π/2]). Returns the method: IDENTICAL or SCHUR when the result can be
 * trusted, QK_ANGLES_QR when the caller must call the fallback with the full matrices. */
enum qk_angle_method qk_principal_angles_schur(const struct qk_gram *g, double *theta, double *work);

/* The fallback: w0 and w1 are (D, K) column-major (that is (K, D) row-major), both destroyed. work:
 * qk_principal_angles_qr_work(d, k) doubles. D ≥ 1, any K (K > D allowed: rank ≤ D). */
size_t qk_principal_angles_qr_work(size_t d, size_t k);
enum qk_angle_method qk_principal_angles_qr(size_t d, size_t k, double *w0, double *w1, double *theta, double *work);

#endif
