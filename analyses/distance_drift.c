/* Which distances and which frequency bands a head's drift touches: M_τ = W_Qᵀ R_τ W_K with the rotation of RoPE.
 *
 * A pair of dimensions (i, j) is one complex number x_i + i x_j, and every 2 × 2 block of a Gram matrix is v → z v + w
 * v̄. R_τ multiplies pair p by e^{iφ_p}, φ_p = τ f_p, so that for Grams P of the query side and S of the key side tr(P R
 * S Rᵀ) = Re Σ_{p,p'} [ U_pp' e^{i(φ_p' − φ_p)} + V_pp' e^{i(φ_p' + φ_p)} ], U_pp' = 2 z^P_pp' z^S_p'p,   V_pp' = 2
 * conj(w^P_pp') w^S_p'p. U and V are made once per head; a distance then costs two (K/2)² complex products instead of
 * K³. */
#include <math.h>
#include <string.h>

#include "analyses/drift.h"
#include "analyses/metric.h"

/* U and V of one quadratic form, split into real and imaginary planes of (pairs, pairs), [p' + p · pairs]. */
struct waves {
    double *u_re, *u_im, *v_re, *v_im;
};

size_t qk_distance_work(size_t k)
{
    size_t p = k / 2 + 1; /* an odd dimension is left over at most once */
    return 8 * p * p + 4 * p;
}

/* Entry (a, b) of a (k, k) column-major matrix; 0 for the missing partner of an odd dimension. */
static double entry(const double *m, size_t k, size_t a, size_t b)
{
    return a < k && b < k ? m[a + b * k] : 0.0;
}

struct block {
    double a, b, c, d; /* [[a, b], [c, d]] */
};

/* Adds weight · (U, V) of one pair of blocks. */
static void add_waves(const struct waves *w, size_t at, double weight, struct block p, struct block s)
{
    double zp_re = 0.5 * (p.a + p.d), zp_im = 0.5 * (p.c - p.b), wp_re = 0.5 * (p.a - p.d), wp_im = 0.5 * (p.c + p.b);
    double zs_re = 0.5 * (s.a + s.d), zs_im = 0.5 * (s.c - s.b), ws_re = 0.5 * (s.a - s.d), ws_im = 0.5 * (s.c + s.b);
    double f = 2.0 * weight;
    w->u_re[at] += f * (zp_re * zs_re - zp_im * zs_im);
    w->u_im[at] += f * (zp_re * zs_im + zp_im * zs_re);
    w->v_re[at] += f * (wp_re * ws_re + wp_im * ws_im);
    w->v_im[at] += f * (wp_re * ws_im - wp_im * ws_re);
}

static struct block block_of(const double *m, size_t k, const struct qk_pairs *pairs, size_t p, size_t q)
{
    size_t i = pairs->i[p], j = pairs->j[p], s = pairs->i[q], t = pairs->j[q];
    return (struct block){entry(m, k, i, s), entry(m, k, i, t), entry(m, k, j, s), entry(m, k, j, t)};
}

/* The key side's blocks (q, p) of A, B = A + F + Fᵀ + E, G = F + E and E. */
struct key_blocks {
    struct block a, b, g, e;
};

static struct key_blocks key_blocks_of(const struct qk_gram *key, const struct qk_pairs *pairs, size_t p, size_t q)
{
    size_t k = key->k;
    struct block a = block_of(key->a, k, pairs, p, q), f = block_of(key->f, k, pairs, p, q);
    struct block ft = block_of(key->f, k, pairs, q, p), e = block_of(key->e, k, pairs, p, q);
    return (struct key_blocks){
        .a = a,
        .b = {a.a + (f.a + ft.a + e.a), a.b + (f.b + ft.c + e.b), a.c + (f.c + ft.b + e.c), a.d + (f.d + ft.d + e.d)},
        .g = {f.a + e.a, f.b + e.b, f.c + e.c, f.d + e.d},
        .e = e,
    };
}

static void make_waves(const struct qk_gram *q, const struct qk_gram *k, const struct qk_pairs *pairs,
                       const struct waves *base, const struct waves *delta)
{
    for (size_t p = 0; p < pairs->n; p++) {
        for (size_t o = 0; o < pairs->n; o++) {
            size_t at = o + p * pairs->n;
            struct key_blocks key = key_blocks_of(k, pairs, o, p);
            struct block aq = block_of(q->a, q->k, pairs, p, o);
            add_waves(base, at, 1.0, aq, key.a);
            add_waves(delta, at, 1.0, block_of(q->e, q->k, pairs, p, o), key.b);
            add_waves(delta, at, 2.0, block_of(q->f, q->k, pairs, p, o), key.g);
            add_waves(delta, at, 1.0, aq, key.e);
        }
    }
}

/* Re Σ [ U e^{i(φ' − φ)} + V e^{i(φ' + φ)} ] for phases given by their cosines and sines. */
static double sum_waves(const struct waves *w, size_t n, const double *c, const double *s)
{
    double sum = 0.0;
    for (size_t p = 0; p < n; p++) {
        const double *u_re = w->u_re + p * n, *u_im = w->u_im + p * n, *v_re = w->v_re + p * n, *v_im = w->v_im + p * n;
        double yu_re = 0.0, yu_im = 0.0, yv_re = 0.0, yv_im = 0.0;
        for (size_t o = 0; o < n; o++) {
            yu_re += u_re[o] * c[o] - u_im[o] * s[o];
            yu_im += u_re[o] * s[o] + u_im[o] * c[o];
            yv_re += v_re[o] * c[o] - v_im[o] * s[o];
            yv_im += v_re[o] * s[o] + v_im[o] * c[o];
        }
        sum += (c[p] * yu_re + s[p] * yu_im) + (c[p] * yv_re - s[p] * yv_im);
    }
    return sum;
}

static struct waves take_waves(double **memory, size_t n)
{
    double *m = *memory;
    *memory += 4 * n * n;
    memset(m, 0, 4 * n * n * sizeof(*m));
    return (struct waves){m, m + n * n, m + 2 * n * n, m + 3 * n * n};
}

void qk_distance_from_grams(const struct qk_gram *q, const struct qk_gram *k, const struct qk_pairs *pairs,
                            const double *tau, size_t n, double *base2, double *delta2, double *work)
{
    struct waves base = take_waves(&work, pairs->n), delta = take_waves(&work, pairs->n);
    double *c = work, *s = work + pairs->n;
    make_waves(q, k, pairs, &base, &delta);
    for (size_t t = 0; t < n; t++) {
        for (size_t p = 0; p < pairs->n; p++) {
            c[p] = cos(tau[t] * pairs->freq[p]);
            s[p] = sin(tau[t] * pairs->freq[p]);
        }
        base2[t] = fmax(sum_waves(&base, pairs->n, c, s), 0.0);
        delta2[t] = fmax(sum_waves(&delta, pairs->n, c, s), 0.0);
    }
}

static double block_dot(struct block p, struct block s)
{
    return p.a * s.a + p.b * s.c + p.c * s.b + p.d * s.d;
}

void qk_band_from_grams(const struct qk_gram *q, const struct qk_gram *k, const struct qk_pairs *pairs,
                        struct qk_form *ret)
{
    for (size_t p = 0; p < pairs->n_rotary; p++) {
        struct key_blocks key = key_blocks_of(k, pairs, p, p);
        struct block aq = block_of(q->a, q->k, pairs, p, p);
        double moved_q = block_dot(block_of(q->e, q->k, pairs, p, p), key.b), moved_k = block_dot(aq, key.e);
        double mixed = 2.0 * block_dot(block_of(q->f, q->k, pairs, p, p), key.g);
        ret[p] = (struct qk_form){.base2 = block_dot(aq, key.a),
                                  .delta2 = fmax(moved_q + mixed + moved_k, 0.0),
                                  .terms = fabs(moved_q) + fabs(mixed) + fabs(moved_k)};
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static enum qk_state distance_drift(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_routing *r = unit->routing;
    if (!r->finite || !(r->raw.base2 > 0.0)) {
        return QK_STATE_UNDEFINED;
    }
    if (!isfinite(r->raw.base2) || !isfinite(r->raw.delta2)) {
        return QK_STATE_NOT_CONVERGED;
    }
    memcpy(dst, r->distance, r->n_tau * sizeof(*dst));
    return QK_STATE_DEFINED;
}

static enum qk_state band_drift(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_routing *r = unit->routing;
    if (r->n_pair == 0) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (!r->finite || !(r->raw.base2 > 0.0)) {
        return QK_STATE_UNDEFINED;
    }
    if (!isfinite(r->raw.base2) || !isfinite(r->raw.delta2)) {
        return QK_STATE_NOT_CONVERGED;
    }
    memcpy(dst, r->band, r->n_pair * sizeof(*dst));
    return QK_STATE_DEFINED;
}

static const struct qk_metric rows[] = {
    {.name = "qk_distance_drift",
     .group = "drift",
     .title = "Relative drift of the routing form at distance τ",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head", "tau"},
     .definition =
         "‖M_τ1 − M_τ0‖_F / ‖M_τ0‖_F, M_τ = W_Qᵀ R_τ W_K with R_τ the rotation by τ positions (rotary dimensions "
         "only, the model's own frequencies); constant in τ on layers without RoPE",
     .meaning = "Which token distances the head's drift touches, from weights alone: high at small τ only means that "
                "near-by routing was retrained.",
     .source = "Su et al. 2021, arXiv:2104.09864",
     .invariances = QK_INV_GL_K | QK_INV_ROPE_SCALAR | QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_QK,
     .needs = QK_NEED_GRAM | QK_NEED_ROUTING | QK_NEED_DISTANCE,
     .value = distance_drift},
    {.name = "qk_band_drift",
     .group = "drift",
     .title = "Relative drift of the routing form per frequency pair",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head", "pair"},
     .definition =
         "‖ΔM_p‖_F / ‖M_p0‖_F, M_p = W_Q[p]ᵀ W_K[p] over the two rows of frequency pair p at τ = 0; missing beyond "
         "the rotary dimensions; not applicable without RoPE",
     .meaning = "Which frequency bands moved: short wavelengths carry near-by order, long ones far-away position.",
     .source = "Su et al. 2021, arXiv:2104.09864",
     .invariances = QK_INV_ROPE_SCALAR | QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_QK,
     .needs = QK_NEED_GRAM | QK_NEED_ROUTING | QK_NEED_BAND,
     .value = band_drift},
};

const struct qk_analysis qk_analysis_distance_drift = {
    .name = "distance_drift",
    .title = "Drift of the routing form by distance and by frequency",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
