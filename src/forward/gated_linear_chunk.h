/* One chunk of a gated linear recurrence, plain or with the delta rule, by matrix products.
 *
 * With G_i = g_1 + … + g_i inside the chunk (per head, or per key channel) and S the state before it,
 *   u_i = v_i                                                                            plain
 *   u_i = β_i (v_i − Sᵀ (e^{G_i} ⊙ k_i) − Σ_{j<i} [Σ_d k_id k_jd e^{G_id − G_jd}] u_j)   delta rule
 *   o_i = scale · (Sᵀ (e^{G_i} ⊙ q_i) + Σ_{j≤i} [Σ_d q_id k_jd e^{G_id − G_jd}] u_j)
 *   S  ← Diag(e^{G_C}) S + Σ_j (e^{G_C − G_j} ⊙ k_j) u_jᵀ
 * so the delta rule is one triangular solve. Every exponent is a sum of log decays between two tokens of the chunk and
 * never positive: nothing overflows however strong the decay.
 * Source: Yang et al. 2024 (arXiv:2312.06635, arXiv:2412.06464); the u of the latter with S folded in. */
#ifndef QK_FORWARD_GATED_LINEAR_CHUNK_H
#define QK_FORWARD_GATED_LINEAR_CHUNK_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "forward/linear_mixer.h"

/* Runs every head of the mixer, the delta rule where it has a beta. */
enum qk_code qk_gated_linear_heads(const struct qk_linear_mixer *mixer, struct qk_pool *pool,
                                   struct qk_err *err) QK_CHECKED;

/* The log decay of a token that is used: below −1000 even a double's e^g is 0, and the sums keep their small parts. */
double qk_log_decay(double g);

#endif
