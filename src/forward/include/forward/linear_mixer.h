/* Linear attention in chunks, with the recurrent state that decoding carries on, and the token-to-token mixing that it
 * implies.
 *
 * Arrays are float32, (T, H, ·) row-major with the head index inside a row: q[(t · n_heads + h) · d_k]. State and chunk
 * algebra in float32 with float64 where sums are long. Threads over heads; results do not depend on their number. */
#ifndef QK_FORWARD_LINEAR_MIXER_H
#define QK_FORWARD_LINEAR_MIXER_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"

/* One recurrence over T tokens. Fields that a mixer does not use are NULL. */
struct qk_linear_mixer {
    size_t n_tokens, n_heads, d_k, d_v;
    size_t n_qk_heads;  /* q and k have this many heads; head h reads q/k head h / (n_heads / n_qk_heads) */
    double scale;       /* on q */
    const float *q, *k; /* (T, n_qk_heads, d_k) */
    const float *v;     /* (T, n_heads, d_v) */
    const float *g;     /* log decay: (T, n_heads), or (T, n_heads, d_k) when g_per_key; NULL with slope */
    int g_per_key;
    const double *slope; /* constant log decay −slope[h] per token, instead of g */
    const float *beta;   /* (T, n_heads) for the delta rule; NULL = plain gated linear attention */
    float *state;        /* (n_heads, d_k, d_v), in and out; zero it before the first token */
    float *out;          /* (T, n_heads, d_v) */
};

/* S_t = e^{g_t} S_{t−1} + k_t v_tᵀ;  o_t = scale · S_tᵀ q_t. Lightning attention, simple GLA, Mamba2 (q = C, k = B,
 * v = Δ x, g = Δ A). Source: models.md 3.1; Qin et al. 2024 (arXiv:2401.04658), Dao & Gu 2024 (arXiv:2405.21060). */
enum qk_code qk_gated_linear_run(const struct qk_linear_mixer *mixer, struct qk_pool *pool,
                                 struct qk_err *err) QK_CHECKED;
/* S ← Diag(e^{g_t}) S;  u = β_t (v_t − Sᵀ k_t);  S ← S + k_t uᵀ;  o_t = scale · Sᵀ q_t. Gated delta rule and KDA.
 * Source: models.md 3.2; Yang et al. 2024 (arXiv:2412.06464), chunked by the WY form. */
enum qk_code qk_gated_delta_run(const struct qk_linear_mixer *mixer, struct qk_pool *pool,
                                struct qk_err *err) QK_CHECKED;

/* One row of the implied mixing, exactly: o_t = Σ_s a_s v_s. a receives t + 1 doubles, a[s] for key s (signed).
 * Backward scan, O(t · d_k), float64. beta NULL: gated linear form. work: d_k doubles. */
void qk_implicit_row(const struct qk_linear_mixer *mixer, size_t head, size_t t, double *a, double *work);

/* Causal depthwise convolution over time, width taps, then SiLU (activate). x and y (T, C); weight (C, width), last tap
 * = current token; bias (C) or NULL; state (C, width − 1) holds the inputs before the first token, in and out. y ≠ x.
 */
void qk_short_conv(size_t n_tokens, size_t n_channels, size_t width, const float *x, const float *weight,
                   const float *bias, int activate, float *state, float *y);
/* The same with a kernel of its own per token: kernels (T, C, width) (Jet-Nemotron's dynamic convolution). */
void qk_dynamic_conv(size_t n_tokens, size_t n_channels, size_t width, const float *x, const float *kernels,
                     int activate, float *state, float *y);

/* Mamba 1 (selective scan): h ← exp(Δ_t A) h + Δ_t B_t x_t;  y_t = C_t·h + D x_t, per channel. x, dt (T, C); a (C, N)
 * negative reals; b, c (T, N); d (C); state (C, N) in and out; y (T, C). Source: Gu & Dao 2023 (arXiv:2312.00752). */
enum qk_code qk_selective_scan(size_t n_tokens, size_t n_channels, size_t n_state, const float *x, const float *dt,
                               const double *a, const float *b, const float *c, const float *d, float *state, float *y,
                               struct qk_pool *pool, struct qk_err *err) QK_CHECKED;

#endif
