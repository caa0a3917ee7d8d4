/* Storage bytes to double and float, exactly.
 *
 * Every small format is widened by integer operations without branches, so that the loops vectorise: the exponent and
 * mantissa are moved to their place in a float and rebiased; a subnormal m·2^e is (2^k + m·2^e) − 2^k, both exact. */
#include <string.h>

#include "dtype_kernels.h"
#include "simd.h"

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

QK_SIMD_BODY float value_bf16(uint32_t bits)
{
    return float_of_bits(bits << 16);
}

/* bits: sign, exponent and mantissa of mant_bits as an IEEE-like format whose smallest normal is 2^(1 − bias). */
QK_SIMD_BODY float value_small(uint32_t magnitude, uint32_t sign, unsigned mant_bits, unsigned bias, uint32_t special,
                               uint32_t special_as)
{
    uint32_t wide = magnitude << (23 - mant_bits);
    uint32_t normal = wide + ((127 - bias) << 23);
    uint32_t smallest = (128 - bias) << 23;
    float subnormal = float_of_bits(smallest | wide) - float_of_bits(smallest);
    uint32_t subnormal_bits;
    memcpy(&subnormal_bits, &subnormal, sizeof subnormal_bits);
    uint32_t finite = magnitude < (1u << mant_bits) ? subnormal_bits : normal;
    uint32_t any = magnitude >= special ? (special_as | (wide & 0x7fffffu)) : finite;
    return float_of_bits(any | sign);
}

QK_SIMD_BODY float value_f16(uint32_t bits)
{
    return value_small(bits & 0x7fff, (bits & 0x8000) << 16, 10, 15, 0x7c00, 0x7f800000);
}

QK_SIMD_BODY float value_e5m2(uint32_t bits)
{
    return value_small(bits & 0x7f, (bits & 0x80) << 24, 2, 15, 0x7c, 0x7f800000);
}

QK_SIMD_BODY float value_e4m3(uint32_t bits)
{
    return value_small(bits & 0x7f, (bits & 0x80) << 24, 3, 7, 0x7f, 0x7fc00000);
}

/* The loops of one format: to double and to float. load is the storage unit. */
#define DECODE(name, load, value)                                                                                      \
    QK_SIMD_BODY void qk_dtype_##name##_to_f64_body(const void *src, size_t n, double *restrict dst)                   \
    {                                                                                                                  \
        const unsigned char *restrict p = src;                                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            load u;                                                                                                    \
            memcpy(&u, p + i * sizeof u, sizeof u);                                                                    \
            dst[i] = (double)value(u);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    QK_SIMD_BODY void qk_dtype_##name##_to_f32_body(const void *src, size_t n, float *restrict dst)                    \
    {                                                                                                                  \
        const unsigned char *restrict p = src;                                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            load u;                                                                                                    \
            memcpy(&u, p + i * sizeof u, sizeof u);                                                                    \
            dst[i] = (float)value(u);                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    QK_SIMD_KERNEL(, qk_dtype_##name##_to_f64, (const void *src, size_t n, double *dst), (src, n, dst))                \
    QK_SIMD_KERNEL(, qk_dtype_##name##_to_f32, (const void *src, size_t n, float *dst), (src, n, dst))

DECODE(bf16, uint16_t, value_bf16)
DECODE(f16, uint16_t, value_f16)
DECODE(e5m2, uint8_t, value_e5m2)
DECODE(e4m3, uint8_t, value_e4m3)
DECODE(f32, float, )

void qk_dtype_f64_to_f64(const void *src, size_t n, double *dst)
{
    memcpy(dst, src, n * sizeof *dst);
}

QK_SIMD_BODY void qk_dtype_f64_to_f32_body(const void *src, size_t n, float *restrict dst)
{
    const unsigned char *restrict p = src;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, p + i * sizeof x, sizeof x);
        dst[i] = (float)x;
    }
}

QK_SIMD_KERNEL(, qk_dtype_f64_to_f32, (const void *src, size_t n, float *dst), (src, n, dst))
