/* Principal angles from the matrices themselves: Householder QR and the sine form (Björck & Golub 1973; Knyazev &
 * Argentati 2002). Several times slower than the Gram way, and accurate to ε κ(W) whatever the drift.
 *
 * The sines are the singular values of (I − Q0 Q0ᵀ) Z for any orthonormal basis Z of W1's row space. (I − P0) W1 is
 * also (I − P0) Δ, so for small drifts Z = Δ R1⁻¹ is taken: its rounding errors are relative to the drift. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "num/blas.h"
#include "num/principal_angles.h"

/* A row space: orthonormal columns q (d, rank); r (p, k) is the triangle of the unpivoted QR, p = min(d, k). */
struct span {
    double *q;
    double *r;
    size_t rank;
};

struct qr_work {
    double *z;      /* (d, k): Δ, then the part of W1 outside W0's span */
    double *tall;   /* (d, k): scratch */
    double *r0;     /* (p, k) */
    double *r1;     /* (p, k) */
    double *square; /* (k, k) */
    double *cosine; /* (k, k) */
    double *sigma;  /* k */
    size_t *pivot;  /* k */
    double *lapack;
};

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t qk_principal_angles_qr_work(size_t d, size_t k)
{
    size_t lapack = max_size(max_size(qk_qr_work(d, k), qk_svd_work(k, k)), 4 * k);
    return 2 * d * k + 4 * k * k + 2 * k + lapack;
}

static struct qr_work lay_out(size_t d, size_t k, double *work)
{
    struct qr_work w;
    w.z = work;
    w.tall = w.z + d * k;
    w.r0 = w.tall + d * k;
    w.r1 = w.r0 + k * k;
    w.square = w.r1 + k * k;
    w.cosine = w.square + k * k;
    w.sigma = w.cosine + k * k;
    w.pivot = (size_t *)(void *)(w.sigma + k);
    w.lapack = w.sigma + 2 * k;
    return w;
}

/* Orthonormal basis of the columns of a (d, k), in place. The triangle tells when the rank is full beyond doubt; else
 * it is decided by pivoting the triangle, which is as good as pivoting a and far cheaper. False when an iteration fails
 * or a is zero. */
static bool find_span(size_t d, size_t k, double *a, double *r, const struct qr_work *w, struct span *ret)
{
    size_t p = min_size(d, k);
    double tolerance = (double)max_size(d, k) * DBL_EPSILON;
    if (qk_qr(d, k, true, a, d, r, p, w->lapack, NULL) != QK_OK) {
        return false;
    }
    *ret = (struct span){.q = a, .r = r, .rank = p};
    /* the 1-norm estimate may be k times off */
    if (k <= d && qk_rcond_upper(k, r, p, w->lapack) > 10 * (double)k * tolerance) {
        return true;
    }
    double *basis = w->square, *pivoted = w->cosine;
    memcpy(basis, r, p * k * sizeof *r);
    if (qk_qr_pivot(p, k, basis, p, pivoted, p, w->pivot, w->lapack, NULL) != QK_OK) {
        return false;
    }
    size_t rank = 0;
    while (rank < p && fabs(pivoted[rank + rank * p]) > tolerance * fabs(pivoted[0])) {
        rank++;
    }
    if (rank == p && k <= d) {
        return true;
    }
    qk_gemm(false, false, d, rank, p, 1, a, d, basis, p, 0, w->tall, d);
    memcpy(a, w->tall, d * rank * sizeof *a);
    ret->rank = rank;
    return rank > 0;
}

/* θ from the sines (descending) and the cosines (descending), n of each: each from the one that is well-conditioned. */
static void combine(size_t n, const double *sine, const double *cosine, double *theta)
{
    for (size_t i = 0; i < n; i++) {
        double s = fmin(sine[i], 1);
        theta[i] = s * s <= 0.5 ? asin(s) : acos(fmin(cosine[n - 1 - i], 1));
    }
    for (size_t i = n; i-- > 1;) {
        /* a hair of disorder can come from changing between the two */
        theta[i - 1] = fmax(theta[i - 1], theta[i]);
    }
}

/* Singular values of the tall z (d, n) into w->sigma. z is destroyed. */
static bool tall_singular_values(size_t d, size_t n, double *z, const struct qr_work *w)
{
    return qk_qr(d, n, false, z, d, w->square, n, w->lapack, NULL) == QK_OK &&
           qk_svd(n, n, w->square, n, w->sigma, NULL, 0, NULL, 0, w->lapack, NULL, NULL) == QK_OK;
}

/* Angles of the smaller span against the larger one. z (d, small.rank) holds what is to be projected. */
static bool span_angles(size_t d, const struct span *large, const struct span *small, const struct qr_work *w,
                        double *theta)
{
    size_t n = small->rank;
    qk_gemm(true, false, large->rank, n, d, 1, large->q, d, w->z, d, 0, w->cosine, large->rank);
    qk_gemm(false, false, d, n, large->rank, -1, large->q, d, w->cosine, large->rank, 1, w->z, d);
    if (!tall_singular_values(d, n, w->z, w)) {
        return false;
    }
    /* theta keeps the sines while sigma is used again */
    memcpy(theta, w->sigma, n * sizeof *theta);
    if (theta[0] * theta[0] > 0.5) {
        qk_gemm(true, false, large->rank, n, d, 1, large->q, d, small->q, d, 0, w->cosine, large->rank);
        if (qk_svd(large->rank, n, w->cosine, large->rank, w->sigma, NULL, 0, NULL, 0, w->lapack, NULL, NULL) !=
            QK_OK) {
            return false;
        }
    }
    combine(n, theta, w->sigma, theta);
    return true;
}

/* z := Δ R1⁻¹ when that is the more accurate basis of W1 (up to a part inside W0's span), else Q1. */
static void choose_basis(size_t d, size_t k, double delta, double tuned, const struct span *span1, double *z)
{
    if (span1->rank == k && delta <= 0.5 * tuned) {
        qk_trsm_upper_right(d, k, span1->r, k, z, d);
    } else {
        memcpy(z, span1->q, d * span1->rank * sizeof *z);
    }
}

enum qk_angle_method qk_principal_angles_qr(size_t d, size_t k, double *w0, double *w1, double *theta, double *work)
{
    struct qr_work w = lay_out(d, k, work);
    size_t n = d * k;
    for (size_t i = 0; i < n; i++) {
        w.z[i] = w1[i] - w0[i];
    }
    for (size_t i = 0; i < k; i++) {
        theta[i] = NAN;
    }
    double base = qk_norm2(n, w0), tuned = qk_norm2(n, w1), delta = qk_norm2(n, w.z);
    if (!isfinite(base) || !isfinite(tuned) || base == 0 || tuned == 0) {
        return QK_ANGLES_FAILED;
    }
    if (delta == 0) {
        memset(theta, 0, k * sizeof *theta);
        return QK_ANGLES_IDENTICAL;
    }
    struct span span0, span1;
    if (!find_span(d, k, w0, w.r0, &w, &span0) || !find_span(d, k, w1, w.r1, &w, &span1)) {
        return QK_ANGLES_FAILED;
    }
    bool swap = span0.rank < span1.rank;
    if (swap) {
        memcpy(w.z, span0.q, d * span0.rank * sizeof *w.z);
    } else {
        choose_basis(d, k, delta, tuned, &span1, w.z);
    }
    bool fine = swap ? span_angles(d, &span1, &span0, &w, theta) : span_angles(d, &span0, &span1, &w, theta);
    if (!fine) {
        for (size_t i = 0; i < k; i++) {
            theta[i] = NAN;
        }
        return QK_ANGLES_FAILED;
    }
    return span0.rank == k && span1.rank == k ? QK_ANGLES_QR : QK_ANGLES_RANK_DEFICIENT;
}
