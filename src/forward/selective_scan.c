/* Mamba 1: a diagonal recurrence per channel, token by token, threads over blocks of channels. */
#include "exp_value.h"
#include "forward/linear_mixer.h"
#include "simd.h"

enum { CHANNELS = 16 };

struct scan {
    size_t n_tokens, n_channels, n_state;
    const float *x, *dt, *b, *c, *d;
    const double *a;
    float *state, *y;
};

/* h ← e^{Δ a} h + Δ x b; gives c·h. */
QK_BODY double scan_step_body(size_t n, double dt, float in, const double *a, const float *b, const float *c,
                              float *restrict h)
{
    double lanes[QK_LANES] = {0};
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            h[i + j] = qk_exp_value((float)(dt * a[i + j])) * h[i + j] + in * b[i + j];
            lanes[j] += (double)(c[i + j] * h[i + j]);
        }
    }
    for (size_t j = 0; i + j < n; j++) {
        h[i + j] = qk_exp_value((float)(dt * a[i + j])) * h[i + j] + in * b[i + j];
        lanes[j] += (double)(c[i + j] * h[i + j]);
    }
    return qk_lane_sum(lanes);
}

QK_KERNEL_VALUE(static, double, scan_step,
                (size_t n, double dt, float in, const double *a, const float *b, const float *c, float *h),
                (n, dt, in, a, b, c, h))

static enum qk_code scan_channels(void *ctx, size_t item, size_t worker, struct qk_err *err)
{
    (void)worker, (void)err;
    const struct scan *s = ctx;
    size_t first = item * CHANNELS;
    size_t last = s->n_channels - first < CHANNELS ? s->n_channels : first + CHANNELS;
    for (size_t t = 0; t < s->n_tokens; t++) {
        for (size_t ch = first; ch < last; ch++) {
            size_t at = t * s->n_channels + ch;
            double sum = scan_step(s->n_state, (double)s->dt[at], s->dt[at] * s->x[at], s->a + ch * s->n_state,
                                   s->b + t * s->n_state, s->c + t * s->n_state, s->state + ch * s->n_state);
            s->y[at] = (float)(sum + (double)s->d[ch] * (double)s->x[at]);
        }
    }
    return QK_OK;
}

enum qk_code qk_selective_scan(size_t n_tokens, size_t n_channels, size_t n_state, const float *x, const float *dt,
                               const double *a, const float *b, const float *c, const float *d, float *state, float *y,
                               struct qk_pool *pool, struct qk_err *err)
{
    struct scan scan = {n_tokens, n_channels, n_state, x, dt, b, c, d, a, state, y};
    return qk_pool_for(pool, (n_channels + CHANNELS - 1) / CHANNELS, scan_channels, &scan, err);
}
