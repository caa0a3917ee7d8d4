/* Rotary embedding of q or k in place. Source: Su et al. 2021 (arXiv:2104.09864). */
#include <math.h>

#include "forward/kernels.h"
#include "simd.h"

enum { PAIR_BLOCK = 64 }; /* cos and sin kept at a time, for all heads of a token */

QK_BODY void rotate_halves_body(size_t n, const float *cosine, const float *sine, float *restrict x, float *restrict y)
{
    for (size_t p = 0; p < n; p++) {
        float a = x[p], b = y[p];
        x[p] = a * cosine[p] - b * sine[p];
        y[p] = b * cosine[p] + a * sine[p];
    }
}

QK_KERNEL(static, rotate_halves, (size_t n, const float *cosine, const float *sine, float *x, float *y),
          (n, cosine, sine, x, y))

static void rotate_neighbours(size_t n, const float *cosine, const float *sine, float *x)
{
    for (size_t p = 0; p < n; p++) {
        float a = x[2 * p], b = x[2 * p + 1];
        x[2 * p] = a * cosine[p] - b * sine[p];
        x[2 * p + 1] = b * cosine[p] + a * sine[p];
    }
}

void qk_rope(size_t n_tokens, size_t n_heads, size_t head_dim, size_t first, size_t n_pairs, const double *inv_freq,
             double factor, int interleaved, size_t first_position, float *x)
{
    float cosine[PAIR_BLOCK], sine[PAIR_BLOCK];
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t p0 = 0; p0 < n_pairs; p0 += PAIR_BLOCK) {
            size_t n = n_pairs - p0 < PAIR_BLOCK ? n_pairs - p0 : PAIR_BLOCK;
            for (size_t p = 0; p < n; p++) {
                double angle = (double)(first_position + t) * inv_freq[p0 + p];
                cosine[p] = (float)(cos(angle) * factor);
                sine[p] = (float)(sin(angle) * factor);
            }
            for (size_t h = 0; h < n_heads; h++) {
                float *head = x + (t * n_heads + h) * head_dim + first;
                if (interleaved) {
                    rotate_neighbours(n, cosine, sine, head + 2 * p0);
                } else {
                    rotate_halves(n, cosine, sine, head + p0, head + n_pairs + p0);
                }
            }
        }
    }
}
