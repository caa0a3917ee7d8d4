/* Storage types of checkpoints: one table row per type, with exact decoding.
 *
 * Decoding to double is exact for every type. Sources: safetensors format; OCP 8-bit floating point (E4M3FN has no
 * infinity, one NaN pattern per sign; E5M2 is IEEE-like). Little-endian input, any alignment. */
#ifndef QK_NUM_DTYPE_H
#define QK_NUM_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qk_dtype {
    QK_DTYPE_F64,
    QK_DTYPE_F32,
    QK_DTYPE_F16,
    QK_DTYPE_BF16,
    QK_DTYPE_F8_E4M3,
    QK_DTYPE_F8_E5M2,
    /* legal in a file, never decoded as weights: */
    QK_DTYPE_I64,
    QK_DTYPE_I32,
    QK_DTYPE_I16,
    QK_DTYPE_I8,
    QK_DTYPE_U64,
    QK_DTYPE_U32,
    QK_DTYPE_U16,
    QK_DTYPE_U8,
    QK_DTYPE_BOOL,
    QK_DTYPE_F8_E8M0,
    QK_DTYPE_F6_E2M3,
    QK_DTYPE_F6_E3M2,
    QK_DTYPE_F4,
    QK_DTYPE_C64,
    QK_N_DTYPES
};

struct qk_dtype_info {
    enum qk_dtype dtype;
    const char *name; /* as in the safetensors header: "BF16", "F8_E4M3" … */
    unsigned bits;    /* per element */
    bool is_float;    /* can be decoded below */
    int precision;    /* significand bits including the hidden one: BF16 8, F16 11, F32 24, F64 53, E4M3 4, E5M2 3 */
    int min_exponent; /* exponent of the smallest normal: 2^min_exponent */
    /* n elements to double / float (float: F64 rounds to nearest). NULL where !is_float. */
    void (*to_f64)(const void *src, size_t n, double *dst);
    void (*to_f32)(const void *src, size_t n, float *dst);
    /* n doubles to storage, round to nearest even, overflow to the type's infinity (E4M3: NaN). NULL where !is_float.
     */
    void (*from_f64)(const double *src, size_t n, void *dst);
};

/* The row of a type; never NULL for a valid enum value. */
const struct qk_dtype_info *qk_dtype_info(enum qk_dtype dtype);
/* By the safetensors name; NULL when unknown. Also accepts F8_E4M3FN spellings "F8_E4M3FN". */
const struct qk_dtype_info *qk_dtype_by_name(const char *name);

/* Sum over i of ulp(x_i)², where ulp is the spacing of the storage type at x_i (subnormal spacing below the smallest
 * normal, 0 for x_i = 0 exactly representable by any rounding of a tiny value: counts as the subnormal spacing).
 * Rounding an arbitrary real number to the type gives an error of variance ulp²/12. x decoded values. Fixed order. */
double qk_dtype_sum_ulp2(enum qk_dtype dtype, const double *x, size_t n);

#endif
