/* Decays inside a chunk. With one decay per head the product of all pairs is one matrix product, then scaled. With one
 * per key channel the tokens are taken in blocks of 16: between two blocks the decay is cut at the later block's start,
 * where both parts are at most 1 (Yang et al. 2023, arXiv:2312.06635, secondary chunking); inside a block it is taken
 * pair by pair. */
#include "gated_linear_gram.h"

#include <math.h>
#include <string.h>

#include "exp_value.h"
#include "num/sblas.h"
#include "simd.h"

#define BLOCK ((size_t)16)

/* x ⊙= e^{to − from}, with differences in double. */
QK_BODY void fade_body(size_t n, const double *from, const double *to, float *restrict x)
{
    for (size_t d = 0; d < n; d++) {
        x[d] *= qk_exp_value((float)(to[d] - from[d]));
    }
}

/* Σ_d x_d k_d e^{to_d − from_d}. */
QK_BODY double faded_dot_body(size_t n, const float *x, const float *k, const double *from, const double *to)
{
    double lanes[QK_LANES] = {0};
    size_t d = 0;
    for (; d + QK_LANES <= n; d += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            float e = qk_exp_value((float)(to[d + j] - from[d + j]));
            lanes[j] += (double)(x[d + j] * k[d + j] * e);
        }
    }
    for (size_t j = 0; d + j < n; j++) {
        float e = qk_exp_value((float)(to[d + j] - from[d + j]));
        lanes[j] += (double)(x[d + j] * k[d + j] * e);
    }
    return qk_lane_sum(lanes);
}

QK_BODY void scale_in_double_body(size_t n, double factor, float *x)
{
    for (size_t d = 0; d < n; d++) {
        x[d] = (float)((double)x[d] * factor);
    }
}

/* x_j ⊙= e^{to − from_j}. */
QK_BODY void fade_scalar_row_body(size_t n, const double *from, double to, float *restrict x)
{
    for (size_t j = 0; j < n; j++) {
        x[j] *= qk_exp_value((float)(to - from[j]));
    }
}

QK_KERNEL(static, fade, (size_t n, const double *from, const double *to, float *x), (n, from, to, x))
QK_KERNEL_VALUE(static, double, faded_dot,
                (size_t n, const float *x, const float *k, const double *from, const double *to), (n, x, k, from, to))
QK_KERNEL(static, scale_in_double, (size_t n, double factor, float *x), (n, factor, x))
QK_KERNEL(static, fade_scalar_row, (size_t n, const double *from, double to, float *x), (n, from, to, x))

void qk_chunk_fade(const struct qk_chunk *chunk, size_t from, size_t to, float *x)
{
    const double *a = chunk->total + from * chunk->n_decays, *b = chunk->total + to * chunk->n_decays;
    if (chunk->n_decays == 1) {
        scale_in_double(chunk->d_k, exp(*b - *a), x);
    } else {
        fade(chunk->d_k, a, b, x);
    }
}

void qk_chunk_fade_state(const struct qk_chunk *chunk, float *state)
{
    const double *a = chunk->total, *b = chunk->total + chunk->n * chunk->n_decays;
    double factor = 1;
    for (size_t d = 0; d < chunk->d_k; d++) {
        if (d < chunk->n_decays) {
            factor = exp(b[d] - a[d]);
        }
        scale_in_double(chunk->d_v, factor, state + d * chunk->d_v);
    }
}

static void scalar_gram(const struct qk_chunk *c, const float *x, float *gram, size_t ld)
{
    qk_sgemm(false, true, c->n, c->n, c->d_k, 1, x, c->d_k, c->k, c->d_k, 0, gram, ld);
    for (size_t i = 0; i < c->n; i++) {
        fade_scalar_row(i + 1, c->total + 1, c->total[i + 1], gram + i * ld);
        memset(gram + i * ld + i + 1, 0, (c->n - i - 1) * sizeof *gram);
    }
}

size_t qk_decayed_gram_work(size_t d_k)
{
    return (QK_CHUNK + BLOCK) * d_k;
}

/* Rows [first, first + n) against all columns before first: both sides meet at the total of `first`. */
static void gram_before_block(const struct qk_chunk *c, const float *x, size_t first, size_t n, float *gram, size_t ld,
                              float *work)
{
    float *rows = work, *cols = work + BLOCK * c->d_k;
    memcpy(rows, x + first * c->d_k, n * c->d_k * sizeof *rows);
    memcpy(cols, c->k, first * c->d_k * sizeof *cols);
    for (size_t i = 0; i < n; i++) {
        qk_chunk_fade(c, first, first + i + 1, rows + i * c->d_k);
    }
    for (size_t j = 0; j < first; j++) {
        qk_chunk_fade(c, j + 1, first, cols + j * c->d_k);
    }
    qk_sgemm(false, true, n, first, c->d_k, 1, rows, c->d_k, cols, c->d_k, 0, gram + first * ld, ld);
}

static void gram_inside_block(const struct qk_chunk *c, const float *x, size_t first, size_t n, float *gram, size_t ld)
{
    for (size_t i = first; i < first + n; i++) {
        for (size_t j = first; j <= i; j++) {
            gram[i * ld + j] = (float)faded_dot(c->d_k, x + i * c->d_k, c->k + j * c->d_k,
                                                c->total + (j + 1) * c->n_decays, c->total + (i + 1) * c->n_decays);
        }
        memset(gram + i * ld + i + 1, 0, (c->n - i - 1) * sizeof *gram);
    }
}

void qk_decayed_gram(const struct qk_chunk *chunk, const float *x, float *gram, size_t ld, float *work)
{
    if (chunk->n_decays == 1) {
        scalar_gram(chunk, x, gram, ld);
        return;
    }
    for (size_t first = 0; first < chunk->n; first += BLOCK) {
        size_t n = chunk->n - first < BLOCK ? chunk->n - first : BLOCK;
        if (first > 0) {
            gram_before_block(chunk, x, first, n, gram, ld, work);
        }
        gram_inside_block(chunk, x, first, n, gram, ld);
    }
}
