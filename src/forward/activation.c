/* Activation functions, alone and times another factor: one loop per function, by table. */
#include <assert.h>
#include <math.h>

#include "exp_value.h"
#include "forward/kernels.h"

QK_BODY float value_none(float x)
{
    return x;
}

QK_BODY float value_sigmoid(float x)
{
    return 1.0f / (1.0f + qk_exp_value(-x));
}

QK_BODY float value_silu(float x)
{
    return x / (1.0f + qk_exp_value(-x));
}

/* x Φ(x) with Φ(−|x|) = ½ erfc(z), z = |x|/√2, and erfc(z) = t e^{−z² + P(t)}, t = 1/(1 + z/2): a Chebyshev fit that is
 * right to 1.2e-7 relative at any distance (Press et al., Numerical Recipes, section 6.2). */
QK_BODY float value_gelu(float x)
{
    float z = fabsf(x) * 0.707106781186547524f;
    float t = 1.0f / (1.0f + 0.5f * z);
    float p = 0.17087277f;
    p = p * t - 0.82215223f;
    p = p * t + 1.48851587f;
    p = p * t - 1.13520398f;
    p = p * t + 0.27886807f;
    p = p * t - 0.18628806f;
    p = p * t + 0.09678418f;
    p = p * t + 0.37409196f;
    p = p * t + 1.00002368f;
    p = p * t - 1.26551223f;
    float tail = 0.5f * t * qk_exp_value(p - z * z);
    float below = x * tail, above = x * (1.0f - tail);
    return x < 0.0f ? below : above;
}

/* ½x(1 + tanh u) = x σ(2u), u = √(2/π)(x + 0.044715 x³): no cancellation for x ≪ 0. */
QK_BODY float value_gelu_tanh(float x)
{
    float twice = 1.59576912160573071f * (x + 0.044715f * (x * x * x));
    return x / (1.0f + qk_exp_value(-twice));
}

QK_BODY float value_relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

QK_BODY float value_relu2(float x)
{
    float y = x < 0.0f ? 0.0f : x;
    return y * y;
}

#define ACTIVATION(name)                                                                                               \
    QK_BODY void name##_body(size_t n, float *x)                                                                       \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + QK_LANES <= n; i += QK_LANES) {                                                                     \
            for (size_t j = 0; j < QK_LANES; j++) {                                                                    \
                x[i + j] = value_##name(x[i + j]);                                                                     \
            }                                                                                                          \
        }                                                                                                              \
        for (; i < n; i++) {                                                                                           \
            x[i] = value_##name(x[i]);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    QK_KERNEL(static, name, (size_t n, float *x), (n, x))                                                              \
    QK_BODY void name##_mul_body(size_t n, float *restrict x, const float *restrict y)                                 \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
        for (; i + QK_LANES <= n; i += QK_LANES) {                                                                     \
            for (size_t j = 0; j < QK_LANES; j++) {                                                                    \
                x[i + j] = value_##name(x[i + j]) * y[i + j];                                                          \
            }                                                                                                          \
        }                                                                                                              \
        for (; i < n; i++) {                                                                                           \
            x[i] = value_##name(x[i]) * y[i];                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    QK_KERNEL(static, name##_mul, (size_t n, float *x, const float *y), (n, x, y))

ACTIVATION(none)
ACTIVATION(sigmoid)
ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(relu)
ACTIVATION(relu2)

static const struct activation {
    void (*apply)(size_t n, float *x);
    void (*apply_mul)(size_t n, float *x, const float *y);
} activations[] = {
    [QK_ACT_NONE] = {none, none_mul},          [QK_ACT_SILU] = {silu, silu_mul},
    [QK_ACT_GELU] = {gelu, gelu_mul},          [QK_ACT_GELU_TANH] = {gelu_tanh, gelu_tanh_mul},
    [QK_ACT_SIGMOID] = {sigmoid, sigmoid_mul}, [QK_ACT_RELU] = {relu, relu_mul},
    [QK_ACT_RELU2] = {relu2, relu2_mul},
};

void qk_activate(enum qk_activation act, size_t n, float *x)
{
    assert((size_t)act < sizeof activations / sizeof *activations);
    activations[act].apply(n, x);
}

void qk_activate_mul(enum qk_activation act, size_t n, float *x, const float *y)
{
    assert((size_t)act < sizeof activations / sizeof *activations);
    activations[act].apply_mul(n, x, y);
}
