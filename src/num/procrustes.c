/* Orthogonal Procrustes from delta Grams: see num/procrustes.h. */
#include "num/procrustes.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "num/blas.h"

/* Rounding errors of the residual's three sums stay below this many ε; a residual whose square is known to less than
 * MAX_ROUNDING of itself is left to the direct way. */
static const double ROUNDING = 8;
static const double MAX_ROUNDING = 1e-7;

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t qk_procrustes_work(size_t k)
{
    size_t lapack = max_size(max_size(qk_svd_work(k, k), qk_eig_work(k)), qk_invert_work(k));
    return 5 * k * k + k + lapack;
}

static void set_identity(size_t k, double *r)
{
    memset(r, 0, k * k * sizeof *r);
    for (size_t i = 0; i < k; i++) {
        r[i + i * k] = 1;
    }
}

/* Geometric mean of the 1-norm and the ∞-norm. */
static double mean_norm(size_t k, const double *x, double *row)
{
    double one = 0, inf = 0;
    memset(row, 0, k * sizeof *row);
    for (size_t j = 0; j < k; j++) {
        double sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += fabs(x[i + j * k]);
            row[i] += fabs(x[i + j * k]);
        }
        one = fmax(one, sum);
    }
    for (size_t i = 0; i < k; i++) {
        inf = fmax(inf, row[i]);
    }
    return sqrt(one * inf);
}

/* gram := xᵀx − I. Returns its Frobenius norm. */
static double defect_of(size_t k, const double *x, double *gram)
{
    qk_syrk_t(k, k, x, k, 0, gram, k);
    qk_symmetrise(k, gram, k);
    for (size_t i = 0; i < k; i++) {
        gram[i + i * k] -= 1;
    }
    return sqrt(qk_dot(k * k, gram, gram));
}

/* Whether the steps below lead to the polar factor from here: all singular values are below √3 when ‖xᵀx − I‖₂ < 2, and
 * ‖D‖₂ ≤ ‖D²‖_F^½ ≤ ‖D‖_F. Matrices that would take many steps are not tried. */
static bool within_reach(size_t k, double defect, const double *gram, double *square)
{
    if (!(defect < 0.6 * sqrt((double)k) || defect < 0.9)) {
        return false;
    }
    if (defect < 1.8) {
        return true;
    }
    qk_syrk_t(k, k, gram, k, 0, square, k);
    qk_symmetrise(k, square, k);
    return qk_dot(k * k, square, square) < 1.8 * 1.8 * 1.8 * 1.8;
}

/* x := x (I − (xᵀx − I)/2) until xᵀx = I to rounding: quadratic, and needs products only. False where x does not start
 * within reach or the steps are slow; its polar factor is then still the same. */
static bool orthogonalise(size_t k, double *x, double *gram, double *step)
{
    enum { STEPS = 10 };
    double defect = defect_of(k, x, gram);
    if (!within_reach(k, defect, gram, step)) {
        return false;
    }
    for (int n = 0; n < STEPS; n++) {
        if (defect <= 4 * DBL_EPSILON * (double)k) {
            return true;
        }
        memcpy(step, x, k * k * sizeof *x);
        qk_gemm(false, false, k, k, k, -0.5, step, k, gram, k, 1, x, k);
        if (defect < 1e-8) {
            return true;
        }
        double before = defect;
        defect = defect_of(k, x, gram);
        if (!(defect < 0.7 * before)) {
            return false;
        }
    }
    return false;
}

/* Polar factor of x in place by Newton's iteration with Higham's 1,∞-norm scaling (Higham, Functions of Matrices, 2008,
 * alg. 8.20), by products alone as soon as they are sure to lead there. False when x is singular or the iteration does
 * not settle. */
static bool polar_newton(size_t k, double *x, double *work)
{
    enum { STEPS = 20 };
    double *inverse = work, *step = work + k * k, *row = work + 2 * k * k, *lapack = row + k;
    if (orthogonalise(k, x, inverse, step)) {
        return true;
    }
    for (int n = 0; n < STEPS; n++) {
        memcpy(inverse, x, k * k * sizeof *x);
        if (!qk_invert(k, inverse, k, lapack)) {
            return false;
        }
        double gamma = sqrt(mean_norm(k, inverse, row) / mean_norm(k, x, row));
        if (!isfinite(gamma) || gamma == 0) {
            return false;
        }
        double change = 0;
        for (size_t j = 0; j < k; j++) {
            for (size_t i = 0; i < k; i++) {
                double before = x[i + j * k];
                double after = 0.5 * (gamma * before + inverse[j + i * k] / gamma);
                step[i + j * k] = after;
                change += (after - before) * (after - before);
            }
        }
        memcpy(x, step, k * k * sizeof *x);
        /* the next defect is about the square of this change, singular value by singular value */
        if (change < 0.1 * (double)k && orthogonalise(k, x, inverse, step)) {
            return true;
        }
    }
    return false;
}

static bool polar_svd(size_t k, const double *m, double *r, double *work)
{
    double *a = work, *u = a + k * k, *vt = u + k * k, *s = vt + k * k, *lapack = s + k;
    memcpy(a, m, k * k * sizeof *a);
    if (qk_svd(k, k, a, k, s, u, k, vt, k, lapack, NULL, NULL) != QK_OK) {
        return false;
    }
    qk_gemm(false, false, k, k, k, 1, u, k, vt, k, 0, r, k);
    return true;
}

/* r := orthogonal polar factor of m. */
static bool polar(size_t k, const double *m, double *r, double *work)
{
    double size = qk_norm2(k * k, m);
    if (!isfinite(size)) {
        return false;
    }
    if (size == 0) {
        set_identity(k, r);
        return true;
    }
    double scale = sqrt((double)k) / size;
    for (size_t i = 0; i < k * k; i++) {
        r[i] = m[i] * scale;
    }
    return (isfinite(scale) && polar_newton(k, r, work)) || polar_svd(k, m, r, work);
}

/* n := R − I. For a small rotation the entries of R round at ε while N itself is small, so N is rebuilt from its skew
 * part, whose errors matter only in second order at the optimum: N + Nᵀ + NᵀN = 0. p := NᵀN; r is set to I + N. */
static void small_part(size_t k, double *r, double *n, double *p, double *skew)
{
    memcpy(n, r, k * k * sizeof *n);
    for (size_t i = 0; i < k; i++) {
        n[i + i * k] -= 1;
    }
    qk_syrk_t(k, k, n, k, 0, p, k);
    qk_symmetrise(k, p, k);
    double size = qk_norm2(k * k, n);
    if (size > 0.1) {
        return;
    }
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            skew[i + j * k] = 0.5 * (n[i + j * k] - n[j + i * k]);
        }
    }
    /* each round gains two factors of ‖N‖ */
    enum { ROUNDS = 3 };
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < k * k; i++) {
            n[i] = skew[i] - 0.5 * p[i];
        }
        qk_syrk_t(k, k, n, k, 0, p, k);
        qk_symmetrise(k, p, k);
        if (size < 1e-4) {
            break;
        }
    }
    memcpy(r, n, k * k * sizeof *r);
    for (size_t i = 0; i < k; i++) {
        r[i + i * k] += 1;
    }
}

static double trace(size_t k, const double *m)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        sum += m[i + i * k];
    }
    return sum;
}

void qk_procrustes(const struct qk_gram *g, double *r, struct qk_procrustes *ret, double *work)
{
    size_t k = g->k;
    *ret = (struct qk_procrustes){.residual = NAN};
    set_identity(k, r);
    if (!g->finite) {
        ret->failed = true;
        return;
    }
    if (g->identical) {
        ret->residual = 0;
        return;
    }
    double *m = work, *rest = work + k * k;
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            m[i + j * k] = g->a[i + j * k] + g->f[j + i * k];
        }
    }
    if (!polar(k, m, r, rest)) {
        ret->failed = true;
        return;
    }
    double *n = work, *p = work + k * k, *skew = work + 2 * k * k;
    small_part(k, r, n, p, skew);
    /* ‖N W0 + R Δ‖² with RᵀN = N + NᵀN */
    double turned = qk_dot(k * k, p, g->a), crossed = 2 * (qk_dot(k * k, n, g->f) + qk_dot(k * k, p, g->f));
    double drift = trace(k, g->e), sum = (turned + crossed) + drift, n_size = qk_norm2(k * k, n);
    /* the Grams' own rounding, which the sums see even where their terms cancel */
    double in_turned = qk_norm2(k * k, p) * qk_norm2(k * k, g->a);
    double in_crossed = 2 * n_size * sqrt(drift * trace(k, g->a));
    double rounding = ROUNDING * DBL_EPSILON * (in_turned + in_crossed + drift);
    /* M may be so ill-conditioned that its polar factor is noise in the weak directions and R = I does better. The best
     * R has ‖R W1 − W0‖ ≤ ‖Δ‖, hence ‖N W0‖ ≤ 2 ‖Δ‖. */
    if (sum > drift || turned > 4 * drift || ROUNDING * DBL_EPSILON * in_turned > drift) {
        set_identity(k, r);
        ret->residual = sqrt(drift);
        return;
    }
    ret->residual = sqrt(fmax(sum, 0));
    ret->needs_direct = !(rounding <= MAX_ROUNDING * sum);
}

void qk_procrustes_direct_tile(size_t k, size_t n, const double *r, const double *w0, const double *w1, double *work,
                               double *sum)
{
    qk_gemm(false, true, n, k, k, 1, w1, n, r, k, 0, work, n);
    for (size_t i = 0; i < k * n; i++) {
        work[i] -= w0[i];
    }
    *sum += qk_dot(k * n, work, work);
}

double qk_spectral_norm_from_gram(size_t k, const double *e, double *work)
{
    double *copy = work, *eig = copy + k * k, largest = 0;
    memcpy(copy, e, k * k * sizeof *copy);
    if (k == 0 || qk_eig_sym_largest(k, copy, k, &largest, eig, NULL) != QK_OK) {
        return NAN;
    }
    return sqrt(fmax(largest, 0));
}
