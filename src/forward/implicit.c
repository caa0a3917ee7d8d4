/* The row of token-to-token mixing that a linear recurrence implies, by a scan backwards from the query:
 *   r ← scale · q_t;   for s = t … 0:   a_s = β_s (r·k_s);   r ← e^{g_s} ⊙ (r − a_s k_s)
 * (plain: a_s = r·k_s, and nothing is subtracted). Exact in the sense of o_t = Σ_s a_s v_s for a state that starts at
 * 0. */
#include <math.h>

#include "forward/linear_mixer.h"
#include "gated_linear_chunk.h"
#include "simd.h"

QK_BODY double dot_body(size_t n, const double *r, const float *k)
{
    double lanes[QK_LANES] = {0};
    size_t d = 0;
    for (; d + QK_LANES <= n; d += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            lanes[j] += r[d + j] * (double)k[d + j];
        }
    }
    for (size_t j = 0; d + j < n; j++) {
        lanes[j] += r[d + j] * (double)k[d + j];
    }
    return qk_lane_sum(lanes);
}

QK_BODY void step_back_body(size_t n, double a, const float *restrict k, double decay, double *restrict r)
{
    for (size_t d = 0; d < n; d++) {
        r[d] = decay * (r[d] - a * (double)k[d]);
    }
}

QK_KERNEL_VALUE(static, double, dot, (size_t n, const double *r, const float *k), (n, r, k))
QK_KERNEL(static, step_back, (size_t n, double a, const float *k, double decay, double *r), (n, a, k, decay, r))

static double head_decay(const struct qk_linear_mixer *m, size_t head, size_t s)
{
    double g = m->g == NULL ? -m->slope[head] : (double)m->g[s * m->n_heads + head];
    return exp(qk_log_decay(g));
}

void qk_implicit_row(const struct qk_linear_mixer *mixer, size_t head, size_t t, double *a, double *work)
{
    size_t d_k = mixer->d_k, shared = head / (mixer->n_heads / mixer->n_qk_heads);
    const float *q = mixer->q + (t * mixer->n_qk_heads + shared) * d_k;
    for (size_t d = 0; d < d_k; d++) {
        work[d] = mixer->scale * (double)q[d];
    }
    for (size_t s = t + 1; s-- > 0;) {
        const float *k = mixer->k + (s * mixer->n_qk_heads + shared) * d_k;
        double beta = mixer->beta == NULL ? 1 : (double)mixer->beta[s * mixer->n_heads + head];
        a[s] = beta * dot(d_k, work, k);
        double removed = mixer->beta == NULL ? 0 : a[s];
        if (!mixer->g_per_key) {
            step_back(d_k, removed, k, head_decay(mixer, head, s), work);
            continue;
        }
        const float *g = mixer->g + (s * mixer->n_heads + head) * d_k;
        for (size_t d = 0; d < d_k; d++) {
            work[d] = exp(qk_log_decay((double)g[d])) * (work[d] - removed * (double)k[d]);
        }
    }
}
