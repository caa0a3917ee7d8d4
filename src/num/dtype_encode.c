/* Double to storage bytes, rounded to nearest even in one step (not through float, which would round twice). */
#include <string.h>

#include "dtype_kernels.h"
#include "simd.h"

/* A storage format as its layout: mantissa bits without the hidden one, bias, the pattern that everything too large
 * becomes (infinity, or NaN where there is none), and the NaN pattern. */
struct layout {
    unsigned mant_bits;
    unsigned bias;
    uint64_t overflow;
    uint64_t nan;
    uint64_t sign;
};

/* Normal results: the double's own bits, rounded at the last kept place and rebiased; a carry out of the mantissa
 * correctly raises the exponent. Subnormal results: adding 2^52 units of the smallest subnormal leaves the rounded
 * count in the low bits. Both are computed and one is chosen, so that the loop vectorises. */
QK_SIMD_BODY uint64_t encode_bits(double x, struct layout to)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t magnitude = bits & 0x7fffffffffffffffu;
    unsigned drop = 52 - to.mant_bits;
    uint64_t rounded = magnitude + ((uint64_t)1 << (drop - 1)) - 1 + ((magnitude >> drop) & 1);
    uint64_t normal = (rounded >> drop) - ((uint64_t)(1023 - to.bias) << to.mant_bits);

    uint64_t count_bits = (uint64_t)(1023 + 53 - to.bias - to.mant_bits) << 52;
    double count_one, absolute;
    memcpy(&count_one, &count_bits, sizeof count_one);
    memcpy(&absolute, &magnitude, sizeof absolute);
    double sum = absolute + count_one;
    uint64_t sum_bits;
    memcpy(&sum_bits, &sum, sizeof sum_bits);
    uint64_t subnormal = sum_bits - count_bits;

    uint64_t smallest_normal = (uint64_t)(1024 - to.bias) << 52;
    uint64_t finite = magnitude < smallest_normal ? subnormal : normal;
    /* infinity's rounded exponent is above every format's, so it arrives here as too large like any other */
    uint64_t capped = magnitude >= smallest_normal && finite > to.overflow ? to.overflow : finite;
    uint64_t any = magnitude > 0x7ff0000000000000u ? to.nan : capped;
    return any | (bits >> 63 ? to.sign : 0);
}

#define ENCODE(name, store, mant, bias, overflow, nan, sign)                                                           \
    QK_SIMD_BODY void qk_dtype_##name##_from_f64_body(const double *src, size_t n, void *dst)                          \
    {                                                                                                                  \
        unsigned char *restrict p = dst;                                                                               \
        for (size_t i = 0; i < n; i++) {                                                                               \
            store u = (store)encode_bits(src[i], (struct layout){mant, bias, overflow, nan, sign});                    \
            memcpy(p + i * sizeof u, &u, sizeof u);                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    QK_SIMD_KERNEL(, qk_dtype_##name##_from_f64, (const double *src, size_t n, void *dst), (src, n, dst))

ENCODE(bf16, uint16_t, 7, 127, 0x7f80, 0x7fc0, 0x8000)
ENCODE(f16, uint16_t, 10, 15, 0x7c00, 0x7e00, 0x8000)
ENCODE(e5m2, uint8_t, 2, 15, 0x7c, 0x7e, 0x80)
ENCODE(e4m3, uint8_t, 3, 7, 0x7f, 0x7f, 0x80)

QK_SIMD_BODY void qk_dtype_f32_from_f64_body(const double *src, size_t n, void *dst)
{
    unsigned char *restrict p = dst;
    for (size_t i = 0; i < n; i++) {
        float f = (float)src[i];
        memcpy(p + i * sizeof f, &f, sizeof f);
    }
}

QK_SIMD_KERNEL(, qk_dtype_f32_from_f64, (const double *src, size_t n, void *dst), (src, n, dst))

void qk_dtype_f64_from_f64(const double *src, size_t n, void *dst)
{
    memcpy(dst, src, n * sizeof *src);
}
