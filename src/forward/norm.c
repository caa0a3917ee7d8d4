/* RMSNorm, LayerNorm and L2 norm of float rows; sums of squares in double. */
#include <math.h>

#include "forward/kernels.h"
#include "simd.h"

QK_BODY double sum_squares_body(size_t n, const float *x, double mean)
{
    double lanes[QK_LANES] = {0};
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            double d = (double)x[i + j] - mean;
            lanes[j] += d * d;
        }
    }
    for (size_t j = 0; i + j < n; j++) {
        double d = (double)x[i + j] - mean;
        lanes[j] += d * d;
    }
    return qk_lane_sum(lanes);
}

QK_BODY double sum_body(size_t n, const float *x)
{
    double lanes[QK_LANES] = {0};
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            lanes[j] += (double)x[i + j];
        }
    }
    for (size_t j = 0; i + j < n; j++) {
        lanes[j] += (double)x[i + j];
    }
    return qk_lane_sum(lanes);
}

/* The factor stays in double until the product is rounded: one rounding per factor instead of two. */
QK_BODY void scale_body(size_t n, const float *x, const float *w, const float *b, double mean, double factor, float *y)
{
    if (w == NULL && b == NULL) {
        for (size_t i = 0; i < n; i++) {
            y[i] = (float)(((double)x[i] - mean) * factor);
        }
    } else if (b == NULL) {
        for (size_t i = 0; i < n; i++) {
            y[i] = (float)(((double)x[i] - mean) * factor * (double)w[i]);
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            double weight = w == NULL ? 1.0 : (double)w[i];
            y[i] = (float)(((double)x[i] - mean) * factor * weight + (double)b[i]);
        }
    }
}

QK_KERNEL_VALUE(static, double, sum_squares, (size_t n, const float *x, double mean), (n, x, mean))
QK_KERNEL_VALUE(static, double, sum, (size_t n, const float *x), (n, x))
QK_KERNEL(static, scale,
          (size_t n, const float *x, const float *w, const float *b, double mean, double factor, float *y),
          (n, x, w, b, mean, factor, y))

void qk_rms_norm(size_t rows, size_t n, size_t group, const float *x, const float *w, int w_per_group, double eps,
                 float *y)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t at = 0; at + group <= n && group > 0; at += group) {
            const float *from = x + r * n + at;
            double factor = 1.0 / sqrt(sum_squares(group, from, 0) / (double)group + eps);
            const float *weight = w == NULL ? NULL : w_per_group ? w : w + at;
            scale(group, from, weight, NULL, 0, factor, y + r * n + at);
        }
    }
}

void qk_layer_norm_rows(size_t rows, size_t n, const float *x, const float *w, const float *b, double eps, float *y)
{
    for (size_t r = 0; r < rows && n > 0; r++) {
        const float *from = x + r * n;
        double mean = sum(n, from) / (double)n;
        double factor = 1.0 / sqrt(sum_squares(n, from, mean) / (double)n + eps);
        scale(n, from, w, b, mean, factor, y + r * n);
    }
}

void qk_l2_norm(size_t rows, size_t n, size_t group, float *x, double eps)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t at = 0; at + group <= n && group > 0; at += group) {
            float *row = x + r * n + at;
            scale(group, row, NULL, NULL, 0, 1.0 / sqrt(sum_squares(group, row, 0) + eps), row);
        }
    }
}
