/* exp and expm1 of one float, without branches, so that loops over them vectorise.
 *
 * x = n·ln 2 + r, |r| ≤ ln 2 / 2, with ln 2 in two parts of which n times the first is exact (Cody & Waite 1980);
 * e^r − 1 = r + r²·P(r) with the coefficients of Cephes' expf (S. Moshier). n is found by adding 1.5·2^23, whose last
 * bit has the weight 1; the low bits of that sum, moved up, are the exponent of 2^n. */
#ifndef QK_FORWARD_EXP_VALUE_H
#define QK_FORWARD_EXP_VALUE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

#define QK_EXP_LEAST -87.0f
#define QK_EXP_MOST  88.0f

/* e^x = *ret_scale · (1 + value); x in [−87, 88]. */
QK_BODY float qk_exp_split(float x, float *ret_scale)
{
    const float to_integer = 12582912.0f;
    float shifted = x * 1.44269504088896341f + to_integer;
    float n = shifted - to_integer;
    float r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(ret_scale, &bits, sizeof bits);
    return r * r * p + r;
}

/* Relative error ≤ 2^-22 on [−87, 88]; 0 below, +inf above, NaN for NaN. */
QK_BODY float qk_exp_value(float x)
{
    float scale;
    float less_one = qk_exp_split(x, &scale);
    float y = scale + scale * less_one;
    y = x < QK_EXP_LEAST ? 0.0f : y;
    return x > QK_EXP_MOST ? INFINITY : y;
}

/* tanh by e^{−2|x|} − 1, which does not cancel near 0. */
QK_BODY float qk_tanh_value(float x)
{
    float twice = -2.0f * fabsf(x);
    float scale;
    float less_one = qk_exp_split(twice < -80.0f ? -80.0f : twice, &scale);
    float e = (scale - 1.0f) + scale * less_one;
    return copysignf(e / (e + 2.0f), x);
}

#endif
