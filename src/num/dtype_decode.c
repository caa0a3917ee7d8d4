/* Storage bytes to double and float, exactly. */
#include <string.h>

#include "dtype_kernels.h"
#include "dtype_value.h"
#include "simd.h"

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

DECODE(bf16, uint16_t, qk_value_bf16)
DECODE(f16, uint16_t, qk_value_f16)
DECODE(e5m2, uint8_t, qk_value_e5m2)
DECODE(e4m3, uint8_t, qk_value_e4m3)
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
