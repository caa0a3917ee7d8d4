/* Vectorised row operations of the softmax. */
#include "attention_softmax.h"

#include "exp_value.h"
#include "simd.h"

QK_BODY float qk_row_max_body(size_t n, const float *x, float most)
{
    float lanes[QK_LANES];
    for (size_t j = 0; j < QK_LANES; j++) {
        lanes[j] = most;
    }
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
        }
    }
    for (; i < n; i++) {
        lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    }
    for (size_t j = 0; j < QK_LANES; j++) {
        most = lanes[j] > most ? lanes[j] : most;
    }
    return most;
}

QK_BODY double qk_row_exp_body(size_t n, float *x, float most)
{
    double lanes[QK_LANES] = {0};
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        float e[QK_LANES];
        for (size_t j = 0; j < QK_LANES; j++) {
            e[j] = qk_exp_value(x[i + j] - most);
        }
        for (size_t j = 0; j < QK_LANES; j++) {
            x[i + j] = e[j];
            lanes[j] += (double)e[j];
        }
    }
    for (size_t j = 0; i + j < n; j++) {
        x[i + j] = qk_exp_value(x[i + j] - most);
        lanes[j] += (double)x[i + j];
    }
    return qk_lane_sum(lanes);
}

/* The product in double, so that a weight is rounded once. */
QK_BODY void qk_row_scale_body(size_t n, float *x, double factor)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)((double)x[i] * factor);
    }
}

QK_BODY void qk_softcap_body(size_t n, float *x, float cap)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = cap * qk_tanh_value(x[i] / cap);
    }
}

QK_KERNEL_VALUE(, float, qk_row_max, (size_t n, const float *x, float most), (n, x, most))
QK_KERNEL_VALUE(, double, qk_row_exp, (size_t n, float *x, float most), (n, x, most))
QK_KERNEL(, qk_row_scale, (size_t n, float *x, double factor), (n, x, factor))
QK_KERNEL(, qk_softcap, (size_t n, float *x, float cap), (n, x, cap))
