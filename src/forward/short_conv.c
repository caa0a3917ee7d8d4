/* Causal depthwise convolutions over time, with the inputs that decoding remembers. */
#include <string.h>

#include "forward/kernels.h"
#include "forward/linear_mixer.h"
#include "simd.h"

/* Tokens and channels worked on together, so that a block stays in the cache over the taps. */
enum { TOKENS = 128, CHANNELS = 128 };

struct block {
    size_t t0, t1, c0, c1;
};

/* Input of channel c that is `back` tokens before token t; from the state when that is before the first token. */
static float input_at(const float *x, const float *state, size_t n_channels, size_t width, size_t t, size_t back,
                      size_t c)
{
    return t >= back ? x[(t - back) * n_channels + c] : state[c * (width - 1) + (width - 1) - (back - t)];
}

QK_BODY void add_product_body(size_t n, const float *restrict a, const float *restrict b, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        y[i] += a[i] * b[i];
    }
}

QK_KERNEL(static, add_product, (size_t n, const float *a, const float *b, float *y), (n, a, b, y))

/* y += tap · x of `back` tokens before, over a block. */
static void add_tap(const struct block *b, size_t n_channels, size_t width, size_t back, const float *x,
                    const float *state, const float *tap, float *y)
{
    size_t n = b->c1 - b->c0;
    float remembered[CHANNELS];
    for (size_t t = b->t0; t < b->t1; t++) {
        const float *from = remembered;
        if (t >= back) {
            from = x + (t - back) * n_channels + b->c0;
        } else {
            for (size_t c = 0; c < n; c++) {
                remembered[c] = input_at(x, state, n_channels, width, t, back, b->c0 + c);
            }
        }
        add_product(n, tap, from, y + t * n_channels + b->c0);
    }
}

static void convolve_block(const struct block *b, size_t n_channels, size_t width, const float *x, const float *weight,
                           const float *bias, int activate, const float *state, float *y)
{
    float tap[CHANNELS];
    size_t n = b->c1 - b->c0;
    for (size_t t = b->t0; t < b->t1; t++) {
        float *to = y + t * n_channels + b->c0;
        if (bias == NULL) {
            memset(to, 0, n * sizeof *to);
        } else {
            memcpy(to, bias + b->c0, n * sizeof *to);
        }
    }
    for (size_t w = 0; w < width; w++) {
        for (size_t c = 0; c < n; c++) {
            tap[c] = weight[(b->c0 + c) * width + w];
        }
        add_tap(b, n_channels, width, width - 1 - w, x, state, tap, y);
    }
    for (size_t t = b->t0; activate && t < b->t1; t++) {
        qk_activate(QK_ACT_SILU, n, y + t * n_channels + b->c0);
    }
}

/* The last width − 1 inputs of state and x together, oldest first: reads are never behind writes. */
static void remember(size_t n_tokens, size_t n_channels, size_t width, const float *x, float *state)
{
    for (size_t c = 0; c < n_channels; c++) {
        for (size_t j = 0; j + 1 < width; j++) {
            size_t back = width - 1 - j; /* before the token that comes next */
            state[c * (width - 1) + j] =
                n_tokens >= back ? x[(n_tokens - back) * n_channels + c] : state[c * (width - 1) + j + n_tokens];
        }
    }
}

void qk_short_conv(size_t n_tokens, size_t n_channels, size_t width, const float *x, const float *weight,
                   const float *bias, int activate, float *state, float *y)
{
    for (size_t t = 0; t < n_tokens; t += TOKENS) {
        for (size_t c = 0; c < n_channels; c += CHANNELS) {
            struct block b = {t, n_tokens - t < TOKENS ? n_tokens : t + TOKENS, c,
                              n_channels - c < CHANNELS ? n_channels : c + CHANNELS};
            convolve_block(&b, n_channels, width, x, weight, bias, activate, state, y);
        }
    }
    remember(n_tokens, n_channels, width, x, state);
}

void qk_dynamic_conv(size_t n_tokens, size_t n_channels, size_t width, const float *x, const float *kernels,
                     int activate, float *state, float *y)
{
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t c = 0; c < n_channels; c++) {
            const float *kernel = kernels + (t * n_channels + c) * width;
            float sum = 0;
            for (size_t w = 0; w < width; w++) {
                sum += kernel[w] * input_at(x, state, n_channels, width, t, width - 1 - w, c);
            }
            y[t * n_channels + c] = sum;
        }
        if (activate) {
            qk_activate(QK_ACT_SILU, n_channels, y + t * n_channels);
        }
    }
    remember(n_tokens, n_channels, width, x, state);
}
