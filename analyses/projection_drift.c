/* Drift of one projection, W_Q or W_K of one head: norms, cosine, spectrum of the change, principal angles between the
 * row spaces, and how much of the drift is a mere rotation of the head's own basis. */
#include <float.h>
#include <math.h>

#include "analyses/drift.h"
#include "analyses/metric.h"
#include "num/blas.h"
#include "num/procrustes.h"

/* A drift below this many noise floors is indistinguishable from rounding (three standard deviations). */
static const double floor_factor = 3.0;
/* Of the base's squared norm: what is below this is the rounding of a tuned head that (almost) vanished. */
static const double vanished = 1e-13;
/* Rounding that a share in [0, 1] may stick out of its range by. */
static const double share_slack = 1e-9;

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t qk_projection_work(size_t k)
{
    return k * k + larger(qk_principal_angles_work(k), qk_procrustes_work(k));
}

static double trace(size_t k, const double *a)
{
    double sum = 0.0;
    for (size_t i = 0; i < k; i++) {
        sum += a[i + i * k];
    }
    return sum;
}

unsigned qk_projection_from_gram(struct qk_projection *p, const struct qk_gram *gram, unsigned needs, double *work)
{
    size_t k = gram->k;
    double *r = work, *rest = work + k * k;
    unsigned fallbacks = 0;
    p->k = k;
    p->finite = gram->finite;
    p->identical = gram->identical;
    if (!gram->finite) {
        return 0;
    }
    p->base2 = trace(k, gram->a);
    p->delta2 = trace(k, gram->e);
    p->cross = trace(k, gram->f);
    p->spectral = NAN;
    if ((needs & QK_NEED_SPECTRAL) != 0) {
        p->spectral = gram->identical ? 0.0 : qk_spectral_norm_from_gram(k, gram->e, rest);
    }
    p->angle_method = QK_ANGLES_FAILED;
    if ((needs & QK_NEED_ANGLES) != 0) {
        p->angle_method = qk_principal_angles_schur(gram, p->angles, rest);
        if (p->angle_method == QK_ANGLES_QR) {
            fallbacks |= QK_FALLBACK_ANGLES;
        }
    }
    p->procrustes = NAN;
    p->procrustes_failed = false;
    if ((needs & QK_NEED_PROCRUSTES) != 0) {
        struct qk_procrustes result;
        qk_procrustes(gram, r, &result, rest);
        p->procrustes = result.residual;
        p->procrustes_failed = result.failed;
        if (result.needs_direct && !result.failed) {
            fallbacks |= QK_FALLBACK_PROCRUSTES;
        }
    }
    return fallbacks;
}

size_t qk_projection_direct_work(size_t d, size_t k)
{
    size_t direct = larger(qk_procrustes_work(k), d * k);
    return k * k + larger(direct, qk_principal_angles_qr_work(d, k));
}

void qk_projection_from_matrices(struct qk_projection *p, const struct qk_gram *gram, unsigned fallbacks, size_t d,
                                 double *w0, double *w1, double *work)
{
    size_t k = gram->k;
    double *r = work, *rest = work + k * k;
    if ((fallbacks & QK_FALLBACK_PROCRUSTES) != 0) {
        struct qk_procrustes result;
        qk_procrustes(gram, r, &result, rest);
        double sum = 0.0;
        qk_procrustes_direct_tile(k, d, r, w0, w1, rest, &sum);
        p->procrustes = sqrt(sum);
        p->procrustes_failed = result.failed;
    }
    if ((fallbacks & QK_FALLBACK_ANGLES) != 0) {
        p->angle_method = qk_principal_angles_qr(d, k, w0, w1, p->angles, rest);
    }
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static enum qk_state put(double *dst, double value)
{
    if (!isfinite(value)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = value;
    return QK_STATE_DEFINED;
}

static double tuned2(const struct qk_projection *p)
{
    return fmax(p->base2 + (2.0 * p->cross + p->delta2), 0.0);
}

static enum qk_state norm_base(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    return p->finite ? put(dst, sqrt(p->base2)) : QK_STATE_UNDEFINED;
}

static enum qk_state norm_delta(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    return p->finite ? put(dst, sqrt(p->delta2)) : QK_STATE_UNDEFINED;
}

static enum qk_state rel_drift(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    return p->finite && p->base2 > 0.0 ? put(dst, sqrt(p->delta2) / sqrt(p->base2)) : QK_STATE_UNDEFINED;
}

static enum qk_state cosine(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite || p->base2 <= 0.0 || tuned2(p) <= vanished * p->base2) {
        return QK_STATE_UNDEFINED;
    }
    *dst = qk_cosine_from_change(p->base2, p->cross, p->delta2);
    return isnan(*dst) ? QK_STATE_NOT_CONVERGED : QK_STATE_DEFINED;
}

static enum qk_state spectral_delta(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite) {
        return QK_STATE_UNDEFINED;
    }
    return put(dst, p->spectral) == QK_STATE_DEFINED ? QK_STATE_DEFINED : QK_STATE_NOT_CONVERGED;
}

static enum qk_state stable_rank_delta(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite || p->delta2 <= 0.0) {
        return QK_STATE_UNDEFINED;
    }
    if (!isfinite(p->spectral)) {
        return QK_STATE_NOT_CONVERGED;
    }
    double rank = p->delta2 / (p->spectral * p->spectral);
    return put(dst, fmin(fmax(rank, 1.0), (double)p->k));
}

/* NaN angles (beyond the rank) stay NaN. */
static enum qk_state angle_state(const struct qk_projection *p)
{
    if (!p->finite) {
        return QK_STATE_UNDEFINED;
    }
    if (p->angle_method == QK_ANGLES_FAILED) {
        return p->base2 > 0.0 && tuned2(p) > 0.0 ? QK_STATE_NOT_CONVERGED : QK_STATE_UNDEFINED;
    }
    return QK_STATE_DEFINED;
}

static enum qk_state principal_angles(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    enum qk_state state = angle_state(p);
    if (state == QK_STATE_DEFINED) {
        for (size_t i = 0; i < p->k; i++) {
            dst[i] = p->angles[i];
        }
    }
    return state;
}

static enum qk_state grassmann(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    enum qk_state state = angle_state(p);
    if (state != QK_STATE_DEFINED) {
        return state;
    }
    double sum = 0.0;
    for (size_t i = 0; i < p->k; i++) {
        sum += isnan(p->angles[i]) ? 0.0 : p->angles[i] * p->angles[i];
    }
    return put(dst, sqrt(sum));
}

static enum qk_state angle_method(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    *dst = p->finite ? (double)p->angle_method : (double)QK_ANGLES_FAILED;
    return angle_state(p);
}

static enum qk_state procrustes(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite || p->base2 <= 0.0) {
        return QK_STATE_UNDEFINED;
    }
    return p->procrustes_failed ? QK_STATE_NOT_CONVERGED : put(dst, p->procrustes / sqrt(p->base2));
}

static enum qk_state alignable(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite || p->delta2 <= 0.0) {
        return QK_STATE_UNDEFINED;
    }
    double share = 1.0 - p->procrustes * p->procrustes / p->delta2;
    if (p->procrustes_failed || !(share >= -share_slack)) {
        return QK_STATE_NOT_CONVERGED;
    }
    return put(dst, fmax(share, 0.0));
}

/* Relative drift that rounding both checkpoints alone gives: each rounding has variance ulp²/12. */
static double floor_of(const struct qk_projection *p)
{
    return sqrt(p->ulp2 / 12.0) / sqrt(p->base2);
}

static enum qk_state noise_floor(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    return p->finite && p->base2 > 0.0 ? put(dst, floor_of(p)) : QK_STATE_UNDEFINED;
}

static enum qk_state at_noise_floor(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_projection *p = unit->projection;
    if (!p->finite || p->base2 <= 0.0) {
        return QK_STATE_UNDEFINED;
    }
    bool at_floor = sqrt(p->delta2) / sqrt(p->base2) < floor_factor * floor_of(p);
    *dst = p->delta2 <= 0.0 ? 2.0 : (at_floor ? 1.0 : 0.0);
    return QK_STATE_DEFINED;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static const char *const method_flags[] = {"identical", "schur", "qr", "rank_deficient", "failed", NULL};
static const char *const floor_flags[] = {"above", "at_rounding_floor", "identical", NULL};

#define HALF_PI 1.5707963267948966
#define GAUGES  (QK_INV_GL_K | QK_INV_ROPE_SCALAR | QK_INV_NORM_SCALE)

#define SIDE_ROWS(S, W, AXIS, SCOPE)                                                                                   \
    {.name = S "_norm_base",                                                                                           \
     .group = "drift",                                                                                                 \
     .title = "Norm of " W " in the base",                                                                             \
     .units = "1",                                                                                                     \
     .lo = 0.0,                                                                                                        \
     .hi = INFINITY,                                                                                                   \
     .dims = {"layer", AXIS},                                                                                          \
     .definition = "‖W0‖_F",                                                                                           \
     .meaning = "Size of the head's weights before fine-tuning; the yardstick of its relative drift.",                 \
     .source = "Golub & Van Loan, Matrix Computations, 2.3",                                                           \
     .invariances = QK_INV_BASIS,                                                                                      \
     .scope = SCOPE,                                                                                                   \
     .needs = QK_NEED_GRAM,                                                                                            \
     .value = norm_base},                                                                                              \
        {.name = S "_norm_delta",                                                                                      \
         .group = "drift",                                                                                             \
         .title = "Norm of the change of " W,                                                                          \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "‖Δ‖_F, Δ = W1 − W0",                                                                           \
         .meaning = "How far the head moved in absolute terms; 0 means that not a bit changed.",                       \
         .source = "Golub & Van Loan, Matrix Computations, 2.3",                                                       \
         .invariances = QK_INV_BASIS | QK_INV_SYMMETRIC,                                                               \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM,                                                                                        \
         .value = norm_delta},                                                                                         \
        {.name = S "_rel_drift",                                                                                       \
         .group = "drift",                                                                                             \
         .title = "Relative drift of " W,                                                                              \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "‖Δ‖_F / ‖W0‖_F",                                                                               \
         .meaning = "Large: the head was rewritten; small: it was left almost as it was.",                             \
         .source = "Golub & Van Loan, Matrix Computations, 2.3",                                                       \
         .invariances = QK_INV_BASIS | QK_INV_COMMON_SCALE,                                                            \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM,                                                                                        \
         .value = rel_drift},                                                                                          \
        {.name = S "_cosine",                                                                                          \
         .group = "drift",                                                                                             \
         .title = "Cosine between base and tuned " W,                                                                  \
         .units = "1",                                                                                                 \
         .lo = -1.0,                                                                                                   \
         .hi = 1.0,                                                                                                    \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "⟨W0, W1⟩ / (‖W0‖ ‖W1‖), as 1 − (‖Δ‖² − (‖W1‖ − ‖W0‖)²) / (2 ‖W0‖ ‖W1‖)",                       \
         .meaning = "1: unchanged but for a positive factor; 0: orthogonal; −1: negated.",                             \
         .source = "Golub & Van Loan, Matrix Computations, 2.3",                                                       \
         .invariances = QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,                                         \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM,                                                                                        \
         .value = cosine},                                                                                             \
        {.name = S "_spectral_delta",                                                                                  \
         .group = "drift",                                                                                             \
         .title = "Largest singular value of the change of " W,                                                        \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "σ₁(Δ)",                                                                                        \
         .meaning = "Strength of the strongest single direction of change.",                                           \
         .source = "Golub & Van Loan, Matrix Computations, 2.4",                                                       \
         .invariances = QK_INV_BASIS | QK_INV_SYMMETRIC,                                                               \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_SPECTRAL,                                                                     \
         .value = spectral_delta},                                                                                     \
        {.name = S "_stable_rank_delta",                                                                               \
         .group = "drift",                                                                                             \
         .title = "Stable rank of the change of " W,                                                                   \
         .units = "1",                                                                                                 \
         .lo = 1.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "‖Δ‖_F² / σ₁(Δ)², in [1, K]; undefined for Δ = 0",                                              \
         .meaning = "Near 1: one direction changed (as a low-rank adapter does); large: the change is spread out.",    \
         .source = "Rudelson & Vershynin 2007, doi:10.1145/1255443.1255449",                                           \
         .invariances = QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,                                         \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_SPECTRAL,                                                                     \
         .value = stable_rank_delta},                                                                                  \
        {.name = S "_principal_angles",                                                                                \
         .group = "drift",                                                                                             \
         .title = "Principal angles between the row spaces of " W,                                                     \
         .units = "rad",                                                                                               \
         .lo = 0.0,                                                                                                    \
         .hi = HALF_PI,                                                                                                \
         .dims = {"layer", AXIS, "angle"},                                                                             \
         .definition = "angles between the row spaces of W0 and W1 in R^D, descending",                                \
         .meaning = "0: the head reads the same subspace of its input; π/2: a direction that it never read before.",   \
         .source = "Björck & Golub 1973; Knyazev & Argentati 2002",                                                    \
         .invariances = GAUGES | QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,                                \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_ANGLES,                                                                       \
         .value = principal_angles},                                                                                   \
        {.name = S "_grassmann",                                                                                       \
         .group = "drift",                                                                                             \
         .title = "Grassmann distance between the row spaces of " W,                                                   \
         .units = "rad",                                                                                               \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "sqrt(Σ θ²) over the principal angles",                                                         \
         .meaning = "Length of the shortest way between the two subspaces; 0: the same subspace.",                     \
         .source = "Edelman, Arias & Smith 1998, doi:10.1137/S0895479895290954",                                       \
         .invariances = GAUGES | QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,                                \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_ANGLES,                                                                       \
         .value = grassmann},                                                                                          \
        {.name = S "_angle_method",                                                                                    \
         .group = "drift",                                                                                             \
         .title = "How the principal angles of " W " were computed",                                                   \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = 4.0,                                                                                                    \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "identical: no arithmetic; schur: Gram matrices of the change; qr: Householder QR, sine form; " \
                       "rank_deficient: QR after deciding a rank below K (angles beyond it are missing); failed",      \
         .meaning = "Says which way was taken for this head and so how far small angles can be trusted.",              \
         .source = "Björck & Golub 1973; Knyazev & Argentati 2002",                                                    \
         .flags = method_flags,                                                                                        \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_ANGLES,                                                                       \
         .value = angle_method},                                                                                       \
        {.name = S "_procrustes",                                                                                      \
         .group = "drift",                                                                                             \
         .title = "Procrustes residual of " W,                                                                         \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "min over orthogonal R (K, K) of ‖R W1 − W0‖_F / ‖W0‖_F",                                       \
         .meaning = "The drift that is left when the head's own basis may be rotated freely.",                         \
         .source = "Schönemann 1966, doi:10.1007/BF02289451",                                                          \
         .invariances = QK_INV_BASIS | QK_INV_COMMON_SCALE,                                                            \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_PROCRUSTES,                                                                   \
         .value = procrustes},                                                                                         \
        {.name = S "_alignable",                                                                                       \
         .group = "drift",                                                                                             \
         .title = "Alignable share of the drift of " W,                                                                \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = 1.0,                                                                                                    \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "1 − (min_R ‖R W1 − W0‖_F)² / ‖Δ‖_F²; undefined for Δ = 0",                                     \
         .meaning = "1: the drift is a rotation of the head's basis; 0: no rotation explains any of it.",              \
         .source = "Schönemann 1966, doi:10.1007/BF02289451",                                                          \
         .invariances = QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,                                         \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_PROCRUSTES,                                                                   \
         .value = alignable},                                                                                          \
        {.name = S "_noise_floor",                                                                                     \
         .group = "drift",                                                                                             \
         .title = "Rounding floor of the relative drift of " W,                                                        \
         .units = "1",                                                                                                 \
         .lo = 0.0,                                                                                                    \
         .hi = INFINITY,                                                                                               \
         .dims = {"layer", AXIS},                                                                                      \
         .definition = "sqrt(Σ (ulp(W0)² + ulp(W1)²) / 12) / ‖W0‖_F, ulp = spacing of the storage type at the value",  \
         .meaning = "Relative drift that storing both checkpoints in their dtype would give by itself.",               \
         .source = "Widrow & Kollár, Quantization Noise, 2008",                                                        \
         .scope = SCOPE,                                                                                               \
         .needs = QK_NEED_GRAM | QK_NEED_NOISE,                                                                        \
         .value = noise_floor},                                                                                        \
    {                                                                                                                  \
        .name = S "_at_noise_floor", .group = "drift", .title = "Whether the drift of " W " is above rounding",        \
        .units = "1", .lo = 0.0, .hi = 2.0, .dims = {"layer", AXIS},                                                   \
        .definition = "at_rounding_floor: 0 < rel_drift < 3 · noise_floor; identical: Δ = 0; else above",              \
        .meaning = "A head at the rounding floor moved no further than storage in its dtype explains.",                \
        .source = "Widrow & Kollár, Quantization Noise, 2008", .flags = floor_flags, .scope = SCOPE,                   \
        .needs = QK_NEED_GRAM | QK_NEED_NOISE, .value = at_noise_floor                                                 \
    }

static const struct qk_metric rows[] = {
    SIDE_ROWS("q", "W_Q", "head", QK_SCOPE_Q),
    SIDE_ROWS("k", "W_K", "kv_head", QK_SCOPE_K),
};

const struct qk_analysis qk_analysis_projection_drift = {
    .name = "projection_drift",
    .title = "Drift of W_Q and W_K per head",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
