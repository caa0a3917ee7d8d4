/* The value of one stored element as float, exact for every format of 16 bits and less.
 *
 * Every small format is widened by integer operations without branches, so that the loops vectorise: the exponent and
 * mantissa are moved to their place in a float and rebiased; a subnormal m·2^e is (2^k + m·2^e) − 2^k, both exact. */
#ifndef QK_NUM_DTYPE_VALUE_H
#define QK_NUM_DTYPE_VALUE_H

#include <stdint.h>
#include <string.h>

#include "simd.h"

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

QK_SIMD_BODY float qk_value_bf16(uint32_t bits)
{
    return float_of_bits(bits << 16);
}

/* bits: sign, exponent and mantissa of mant_bits as an IEEE-like format whose smallest normal is 2^(1 − bias). */
QK_SIMD_BODY float qk_value_small(uint32_t magnitude, uint32_t sign, unsigned mant_bits, unsigned bias,
                                  uint32_t special, uint32_t special_as)
{
    uint32_t wide = magnitude << (23 - mant_bits);
    uint32_t normal = wide + ((127 - bias) << 23);
    uint32_t smallest = (128 - bias) << 23;
    float subnormal = float_of_bits(smallest | wide) - float_of_bits(smallest);
    uint32_t subnormal_bits;
    memcpy(&subnormal_bits, &subnormal, sizeof subnormal_bits);
    /* masks, since a choice between expressions of which one is floating-point becomes a branch */
    uint32_t is_subnormal = -(uint32_t)(magnitude < (1u << mant_bits)), is_special = -(uint32_t)(magnitude >= special);
    uint32_t finite = (subnormal_bits & is_subnormal) | (normal & ~is_subnormal);
    uint32_t any = ((special_as | (wide & 0x7fffffu)) & is_special) | (finite & ~is_special);
    return float_of_bits(any | sign);
}

QK_SIMD_BODY float qk_value_f16(uint32_t bits)
{
    return qk_value_small(bits & 0x7fff, (bits & 0x8000) << 16, 10, 15, 0x7c00, 0x7f800000);
}

QK_SIMD_BODY float qk_value_e5m2(uint32_t bits)
{
    return qk_value_small(bits & 0x7f, (bits & 0x80) << 24, 2, 15, 0x7c, 0x7f800000);
}

QK_SIMD_BODY float qk_value_e4m3(uint32_t bits)
{
    return qk_value_small(bits & 0x7f, (bits & 0x80) << 24, 3, 7, 0x7f, 0x7fc00000);
}

#endif
