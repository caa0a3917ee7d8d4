/* Principal angles from delta Grams: see num/principal_angles.h. The fallback is in principal_angles_qr.c.
 *
 * Rows of W0 and of W1 may be scaled without changing their spans, so everything is done on Grams with unit diagonal:
 * what is left of the condition number is then about directions, not about lengths of rows. */
#include "num/principal_angles.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "num/blas.h"

/* Condition numbers above this leave the Grams too few digits. */
static const double MAX_CONDITION = 1e7;
/* An angle is accepted when its error bound is below this share of itself or below this many radians. */
static const double REL_TOLERANCE = 2e-7;
static const double ABS_TOLERANCE = 2e-8;
/* Rounding errors seen in the pencil's eigenvalues stay below this many ε (times what pencil() works out). */
static const double ROUNDING = 4;
/* Rows whose squared lengths differ by more may be dependent by the absolute rank rule of the fallback. */
static const double MAX_ROW_RATIO = 1e12;

struct schur_work {
    double *u;  /* Cholesky factor of the scaled A */
    double *v;  /* … of the scaled W1W1ᵀ */
    double *y;  /* F U⁻¹, scaled */
    double *t;  /* scaled E, then S, then the pencil's matrix */
    double *z;  /* copy of that for its eigenvectors */
    double *d0; /* 1 / row lengths of W0 and of W1 */
    double *d1;
    double *vec;
    double *lambda;
    double *eig;
};

size_t qk_principal_angles_work(size_t k)
{
    return 5 * k * k + 4 * k + qk_eig_work(k);
}

static struct schur_work lay_out(size_t k, double *work)
{
    struct schur_work w;
    w.u = work;
    w.v = w.u + k * k;
    w.y = w.v + k * k;
    w.t = w.y + k * k;
    w.z = w.t + k * k;
    w.d0 = w.z + k * k;
    w.d1 = w.d0 + k;
    w.vec = w.d1 + k;
    w.lambda = w.vec + k;
    w.eig = w.lambda + k;
    return w;
}

/* d_i = 1/√gram_ii. False for a zero row or rows of wildly different lengths. */
static bool row_scales(size_t k, const double *gram, double *d)
{
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < k; i++) {
        double length2 = gram[i + i * k];
        least = fmin(least, length2);
        most = fmax(most, length2);
        d[i] = 1 / sqrt(length2);
    }
    return least > 0 && isfinite(most) && most <= least * MAX_ROW_RATIO;
}

/* out = diag(left) · m · diag(right). */
static void scale(size_t k, const double *left, const double *right, const double *m, double *out)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            out[i + j * k] = left[i] * m[i + j * k] * right[j];
        }
    }
}

/* Smallest eigenvalue of UᵀU by inverse iteration: from above, right within a small factor. (xTRCON's 1-norm estimate
 * squared may be off by k², and would send good heads to the slow way.) */
static double least_eigenvalue(size_t k, const double *u, double *x)
{
    enum { STEPS = 6 };
    double inverse = 0;
    for (size_t i = 0; i < k; i++) {
        x[i] = i % 2 == 0 ? 1 : -1.25;
    }
    for (int step = 0; step < STEPS; step++) {
        double before = qk_norm2(k, x);
        for (size_t i = 0; i < k; i++) {
            x[i] /= before;
        }
        qk_trsm_upper(true, k, 1, u, k, x, k);
        qk_trsm_upper(false, k, 1, u, k, x, k);
        inverse = qk_norm2(k, x);
        if (!isfinite(inverse)) {
            return 0;
        }
    }
    return 1 / inverse;
}

/* Largest row sum: at least the largest eigenvalue. */
static double norm_bound(size_t k, const double *m)
{
    double most = 0;
    for (size_t j = 0; j < k; j++) {
        double sum = 0;
        for (size_t i = 0; i < k; i++) {
            sum += fabs(m[i + j * k]);
        }
        most = fmax(most, sum);
    }
    return most;
}

/* Cholesky factor of the Gram m (unit diagonal, replaced), and what bounds its rounding. False when it has not enough
 * digits. */
static bool factor(size_t k, double *m, double *x, double *ret_least, double *ret_norm)
{
    *ret_norm = norm_bound(k, m);
    if (!qk_cholesky(k, m, k)) {
        return false;
    }
    *ret_least = least_eigenvalue(k, m, x);
    return *ret_norm <= MAX_CONDITION * *ret_least;
}

/* λ = sin²θ known within delta: is θ good enough? Near 0 and near π/2 the square root amplifies. */
static bool angle_is_good(double lambda, double theta, double delta)
{
    double side = fmin(lambda, 1 - lambda);
    double error = side > delta ? delta / sqrt(side) : sqrt(2 * delta);
    return error <= fmax(REL_TOLERANCE * theta, ABS_TOLERANCE);
}

static double angle_of(double lambda)
{
    if (lambda <= 0) {
        return 0;
    }
    if (lambda >= 1) {
        return M_PI_2;
    }
    return lambda <= 0.5 ? asin(sqrt(lambda)) : acos(sqrt(1 - lambda));
}

static void fill(size_t k, double *theta, double value)
{
    for (size_t i = 0; i < k; i++) {
        theta[i] = value;
    }
}

/* Sizes that the rounding errors scale with: the largest diagonal entries of the scaled E and of F A⁻¹ Fᵀ, bounds of
 * the largest eigenvalues of the scaled A and W1W1ᵀ, and estimates of their smallest. */
struct magnitudes {
    double e, y, norm0, norm1, least0, least1;
};

/* Largest squared row length. */
static double most_row(size_t k, const double *m, double *row)
{
    memset(row, 0, k * sizeof *row);
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            row[i] += m[i + j * k] * m[i + j * k];
        }
    }
    double most = 0;
    for (size_t i = 0; i < k; i++) {
        most = fmax(most, row[i]);
    }
    return most;
}

/* V⁻ᵀ (E − YYᵀ) V⁻¹ of the scaled Grams into t and z. False when A or W1W1ᵀ is ill-conditioned. */
static bool pencil(const struct qk_gram *g, const struct schur_work *w, struct magnitudes *ret)
{
    size_t k = g->k;
    qk_gram_tuned(g, w->t);
    if (!row_scales(k, g->a, w->d0) || !row_scales(k, w->t, w->d1)) {
        return false;
    }
    scale(k, w->d0, w->d0, g->a, w->u);
    scale(k, w->d1, w->d1, w->t, w->v);
    scale(k, w->d1, w->d1, g->e, w->t);
    if (!factor(k, w->u, w->vec, &ret->least0, &ret->norm0) || !factor(k, w->v, w->vec, &ret->least1, &ret->norm1)) {
        return false;
    }
    scale(k, w->d1, w->d0, g->f, w->y);
    qk_solve_right(k, k, w->u, k, w->y, k);
    ret->e = 0;
    for (size_t j = 0; j < k; j++) {
        ret->e = fmax(ret->e, w->t[j + j * k]);
    }
    ret->y = most_row(k, w->y, w->vec);
    qk_gemm(false, true, k, k, k, -1, w->y, k, w->y, k, 1, w->t, k);
    /* all solves from the right, where rows are independent: V⁻ᵀ S V⁻¹ = ((S V⁻¹)ᵀ V⁻¹)ᵀ, and it is symmetric */
    qk_solve_right(k, k, w->v, k, w->t, k);
    qk_transpose(k, w->t, k, w->z, k);
    qk_solve_right(k, k, w->v, k, w->z, k);
    memcpy(w->t, w->z, k * k * sizeof *w->t);
    return true;
}

/* One bound for all eigenvalues: the entries of E carry ε each, those of F A⁻¹ Fᵀ carry ε κ(A), V amplifies both. */
static bool good_at_once(size_t k, const struct schur_work *w, const struct magnitudes *m, double *theta)
{
    double delta = ROUNDING * DBL_EPSILON * (m->e + m->y * m->norm0 / m->least0) / m->least1;
    bool good = true;
    for (size_t i = 0; i < k; i++) {
        double lambda = w->lambda[k - 1 - i];
        theta[i] = angle_of(lambda);
        good = good && angle_is_good(lambda, theta[i], delta);
    }
    return good;
}

/* A bound for each eigenvalue, from its vector z of the pencil (zᵀ W1W1ᵀ z = 1): S moves by δE − …, so λ by
 * ε (√E |z| + √A |A⁻¹Fᵀz|)², W1W1ᵀ moves it by ε λ |z|², the solver by ε. Where a few directions of the head are weak,
 * only the angles that lie there are uncertain. */
static bool good_each(size_t k, const struct schur_work *w, const struct magnitudes *m, double *theta)
{
    if (qk_eig_sym(k, w->z, k, true, w->lambda, w->eig, NULL) != QK_OK) {
        return false;
    }
    double *z = w->z, *gz = w->t;
    qk_trsm_upper(false, k, k, w->v, k, z, k);
    qk_gemm(true, false, k, k, k, 1, w->y, k, z, k, 0, gz, k);
    qk_trsm_upper(false, k, k, w->u, k, gz, k);
    for (size_t i = 0; i < k; i++) {
        size_t at = (k - 1 - i) * k;
        double lambda = w->lambda[k - 1 - i], z_size = qk_norm2(k, z + at), gz_size = qk_norm2(k, gz + at);
        double root = sqrt(m->e) * z_size + sqrt(m->norm0) * gz_size;
        double moved = root * root + fabs(lambda) * m->norm1 * z_size * z_size + w->lambda[k - 1];
        theta[i] = angle_of(lambda);
        if (!angle_is_good(lambda, theta[i], ROUNDING * DBL_EPSILON * moved)) {
            return false;
        }
    }
    return true;
}

enum qk_angle_method qk_principal_angles_schur(const struct qk_gram *g, double *theta, double *work)
{
    size_t k = g->k;
    double trace = 0;
    for (size_t i = 0; i < k; i++) {
        trace += g->a[i + i * k];
    }
    fill(k, theta, NAN);
    if (!g->finite || !(trace > 0)) {
        return QK_ANGLES_FAILED;
    }
    if (g->identical) {
        fill(k, theta, 0);
        return QK_ANGLES_IDENTICAL;
    }
    struct schur_work w = lay_out(k, work);
    struct magnitudes m;
    if (pencil(g, &w, &m) && qk_eig_sym(k, w.t, k, false, w.lambda, w.eig, NULL) == QK_OK &&
        (good_at_once(k, &w, &m, theta) || good_each(k, &w, &m, theta))) {
        return QK_ANGLES_SCHUR;
    }
    fill(k, theta, NAN);
    return QK_ANGLES_QR;
}
