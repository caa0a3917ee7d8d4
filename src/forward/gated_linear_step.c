/* The recurrence token by token: three passes over the state. */
#include "gated_linear_step.h"

#include <string.h>

#include "simd.h"

/* y += a · x. */
QK_BODY void add_scaled_body(size_t n, float a, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
}

QK_KERNEL(static, add_scaled, (size_t n, float a, const float *x, float *y), (n, a, x, y))

void qk_linear_step(const struct qk_chunk *chunk, int delta, float *u, float *state, float *out)
{
    size_t d_k = chunk->d_k, d_v = chunk->d_v;
    qk_chunk_fade_state(chunk, state);
    if (delta) {
        for (size_t d = 0; d < d_k; d++) {
            add_scaled(d_v, -chunk->k[d], state + d * d_v, u);
        }
        for (size_t e = 0; e < d_v; e++) {
            u[e] *= chunk->beta[0];
        }
    }
    memset(out, 0, d_v * sizeof *out);
    for (size_t d = 0; d < d_k; d++) {
        add_scaled(d_v, chunk->k[d], u, state + d * d_v);
        add_scaled(d_v, chunk->q[d], state + d * d_v, out);
    }
}
