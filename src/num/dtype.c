/* The table of storage types, and how finely each resolves a value. */
#include "num/dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "dtype_kernels.h"
#include "pairwise.h"
#include "simd.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints are little-endian and are read in place: this machine's byte order is not supported"
#endif

enum { ULP_LANES = 16, ULP_BLOCK = 4096 };

/* 2^(2e) for x in [2^e, 2^(e+1)); floor_field is the exponent field of the smallest normal, which resolves all below it
 * and zero. NaN and Inf have the highest field, which reads as Inf. */
QK_SIMD_BODY double binade2(double x, uint64_t floor_field)
{
    uint64_t field;
    memcpy(&field, &x, sizeof field);
    field &= 0x7ff0000000000000u;
    field = field < floor_field ? floor_field : field;
    double binade;
    memcpy(&binade, &field, sizeof binade);
    return binade * binade;
}

QK_SIMD_BODY void binade2_block_body(const double *x, size_t n, uint64_t floor_field, double *ret)
{
    double lanes[ULP_LANES] = {0};
    size_t whole = n / ULP_LANES * ULP_LANES;
    for (size_t i = 0; i < whole; i += ULP_LANES) {
        for (size_t j = 0; j < ULP_LANES; j++) {
            lanes[j] += binade2(x[i + j], floor_field);
        }
    }
    for (size_t j = 0; j < n - whole; j++) {
        lanes[j] += binade2(x[whole + j], floor_field);
    }
    *ret = qk_lanes_sum(lanes, ULP_LANES);
}

QK_SIMD_KERNEL(static, binade2_block, (const double *x, size_t n, uint64_t floor_field, double *ret),
               (x, n, floor_field, ret))

double qk_dtype_sum_ulp2(enum qk_dtype dtype, const double *x, size_t n)
{
    const struct qk_dtype_info *info = qk_dtype_info(dtype);
    assert(info->is_float);
    /* 2^min_exponent of F64 is the smallest normal double, so the field is never below 1 */
    uint64_t floor_field = (uint64_t)(info->min_exponent + 1023) << 52;
    struct qk_pairwise sum = {0};
    for (size_t i = 0; i < n; i += ULP_BLOCK) {
        double block;
        binade2_block(x + i, n - i < ULP_BLOCK ? n - i : ULP_BLOCK, floor_field, &block);
        qk_pairwise_add(&sum, block);
    }
    return ldexp(qk_pairwise_sum(&sum), -2 * (info->precision - 1));
}

#define KERNELS(name) qk_dtype_##name##_to_f64, qk_dtype_##name##_to_f32, qk_dtype_##name##_from_f64

static const struct qk_dtype_info dtypes[QK_N_DTYPES] = {
    {QK_DTYPE_F64, "F64", 64, true, 53, -1022, KERNELS(f64)},
    {QK_DTYPE_F32, "F32", 32, true, 24, -126, KERNELS(f32)},
    {QK_DTYPE_F16, "F16", 16, true, 11, -14, KERNELS(f16)},
    {QK_DTYPE_BF16, "BF16", 16, true, 8, -126, KERNELS(bf16)},
    {QK_DTYPE_F8_E4M3, "F8_E4M3", 8, true, 4, -6, KERNELS(e4m3)},
    {QK_DTYPE_F8_E5M2, "F8_E5M2", 8, true, 3, -14, KERNELS(e5m2)},
    {QK_DTYPE_I64, "I64", 64, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_I32, "I32", 32, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_I16, "I16", 16, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_I8, "I8", 8, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_U64, "U64", 64, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_U32, "U32", 32, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_U16, "U16", 16, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_U8, "U8", 8, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_BOOL, "BOOL", 8, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_F8_E8M0, "F8_E8M0", 8, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_F6_E2M3, "F6_E2M3", 6, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_F6_E3M2, "F6_E3M2", 6, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_F4, "F4", 4, false, 0, 0, NULL, NULL, NULL},
    {QK_DTYPE_C64, "C64", 64, false, 0, 0, NULL, NULL, NULL},
};

const struct qk_dtype_info *qk_dtype_info(enum qk_dtype dtype)
{
    assert((size_t)dtype < QK_N_DTYPES && dtypes[dtype].dtype == dtype);
    return &dtypes[dtype];
}

const struct qk_dtype_info *qk_dtype_by_name(const char *name)
{
    if (strcmp(name, "F8_E4M3FN") == 0) {
        return &dtypes[QK_DTYPE_F8_E4M3];
    }
    for (size_t i = 0; i < QK_N_DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            return &dtypes[i];
        }
    }
    return NULL;
}
