/* Element-wise pieces of a forward pass on float32 rows; sums inside in float64, fixed order. */
#ifndef QK_FORWARD_KERNELS_H
#define QK_FORWARD_KERNELS_H

#include <stddef.h>

/* y_i = w_i · x_i / sqrt(mean(x²) + eps), over groups of group consecutive elements of each row (group = n: whole row).
 * w (n, or group when shared over the groups: w_per_group) as already-final factors (1 + w applied), NULL = ones. y may
 * be x. */
void qk_rms_norm(size_t rows, size_t n, size_t group, const float *x, const float *w, int w_per_group, double eps,
                 float *y);
/* y = (x − mean) / sqrt(var + eps) · w + b; b may be NULL. y may be x. */
void qk_layer_norm_rows(size_t rows, size_t n, const float *x, const float *w, const float *b, double eps, float *y);
/* x / sqrt(Σ x² + eps) per group. */
void qk_l2_norm(size_t rows, size_t n, size_t group, float *x, double eps);

/* Rotary embedding in place: x (T, n_heads, head_dim), position of row t = first_position + t; rotates dimensions
 * [first, first + 2·n_pairs) by position · inv_freq[p], cos and sin times factor; pairs (p, p + n_pairs), or (2p, 2p +
 * 1) when interleaved. Angles in float64. */
void qk_rope(size_t n_tokens, size_t n_heads, size_t head_dim, size_t first, size_t n_pairs, const double *inv_freq,
             double factor, int interleaved, size_t first_position, float *x);

/* exp by a polynomial with relative error ≤ 2^-22 on [−87, 88] (tested bound), 0 below, +inf above; vectorised. In
 * place. */
void qk_exp(size_t n, float *x);

enum qk_activation {
    QK_ACT_NONE,
    QK_ACT_SILU,
    QK_ACT_GELU,
    QK_ACT_GELU_TANH,
    QK_ACT_SIGMOID,
    QK_ACT_RELU,
    QK_ACT_RELU2
};
/* In place. */
void qk_activate(enum qk_activation act, size_t n, float *x);
/* x ← act(x) ⊙ y. */
void qk_activate_mul(enum qk_activation act, size_t n, float *x, const float *y);

#endif
