/* Streaming sums of squares: see num/delta_norm.h. */
#include "num/delta_norm.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "dtype_value.h"
#include "pairwise.h"
#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2")))
#endif

enum { LANES = 16, BLOCK = 1024 };

/* The two sums of one block of at most BLOCK elements of the same type, and the kernel over many blocks. */
#define DELTA(name, load, value)                                                                                       \
    QK_SIMD_BODY void name##_add(const unsigned char *p0, const unsigned char *p1, double *base, double *delta)        \
    {                                                                                                                  \
        load u0, u1;                                                                                                   \
        memcpy(&u0, p0, sizeof u0);                                                                                    \
        memcpy(&u1, p1, sizeof u1);                                                                                    \
        double w0 = (double)value(u0), d = (double)value(u1) - w0;                                                     \
        *base += w0 * w0;                                                                                              \
        *delta += d * d;                                                                                               \
    }                                                                                                                  \
    QK_SIMD_BODY void name##_block(const unsigned char *p0, const unsigned char *p1, size_t n, double *ret0,           \
                                   double *ret1)                                                                       \
    {                                                                                                                  \
        double base[LANES] = {0}, delta[LANES] = {0};                                                                  \
        size_t whole = n / LANES * LANES;                                                                              \
        for (size_t i = 0; i < whole; i += LANES) {                                                                    \
            for (size_t j = 0; j < LANES; j++) {                                                                       \
                name##_add(p0 + (i + j) * sizeof(load), p1 + (i + j) * sizeof(load), &base[j], &delta[j]);             \
            }                                                                                                          \
        }                                                                                                              \
        for (size_t j = 0; j < n - whole; j++) {                                                                       \
            name##_add(p0 + (whole + j) * sizeof(load), p1 + (whole + j) * sizeof(load), &base[j], &delta[j]);         \
        }                                                                                                              \
        *ret0 = qk_lanes_sum(base, LANES);                                                                             \
        *ret1 = qk_lanes_sum(delta, LANES);                                                                            \
    }                                                                                                                  \
    QK_SIMD_BODY void name##_body(const void *raw0, const void *raw1, size_t n, struct qk_pairwise *base,              \
                                  struct qk_pairwise *delta)                                                           \
    {                                                                                                                  \
        const unsigned char *p0 = raw0, *p1 = raw1;                                                                    \
        for (size_t i = 0; i < n; i += BLOCK) {                                                                        \
            double b, d;                                                                                               \
            name##_block(p0 + i * sizeof(load), p1 + i * sizeof(load), n - i < BLOCK ? n - i : BLOCK, &b, &d);         \
            qk_pairwise_add(base, b);                                                                                  \
            qk_pairwise_add(delta, d);                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    QK_SIMD_KERNEL(                                                                                                    \
        static, name,                                                                                                  \
        (const void *raw0, const void *raw1, size_t n, struct qk_pairwise *base, struct qk_pairwise *delta),           \
        (raw0, raw1, n, base, delta))

DELTA(delta_bf16, uint16_t, qk_value_bf16)
DELTA(delta_f16, uint16_t, qk_value_f16)
DELTA(delta_f32, float, )
DELTA(delta_f64, double, )

#if defined(__x86_64__)
/* 16 lanes of one block: as delta_bf16_block, with the same bits. (A bf16 square is exact in double, so that one fused
 * step rounds like two; that of a difference is not.) The compiler's own loop spills half of its sums. */
AVX512 static void bf16_block(const unsigned char *p0, const unsigned char *p1, size_t n, double *ret0, double *ret1)
{
    double base[LANES], delta[LANES];
    __m512d base0 = _mm512_setzero_pd(), base1 = base0, delta0 = base0, delta1 = base0;
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        __m256i u0 = _mm256_loadu_si256((const __m256i *)(const void *)(p0 + 2 * i));
        __m256i u1 = _mm256_loadu_si256((const __m256i *)(const void *)(p1 + 2 * i));
        __m512 w0 = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(u0), 16));
        __m512 w1 = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(u1), 16));
        __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(w0)),
                high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(w0, 1));
        __m512d d0 = _mm512_sub_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(w1)), low);
        __m512d d1 = _mm512_sub_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(w1, 1)), high);
        base0 = _mm512_fmadd_pd(low, low, base0);
        base1 = _mm512_fmadd_pd(high, high, base1);
        delta0 = _mm512_add_pd(delta0, _mm512_mul_pd(d0, d0));
        delta1 = _mm512_add_pd(delta1, _mm512_mul_pd(d1, d1));
    }
    _mm512_storeu_pd(base, base0);
    _mm512_storeu_pd(base + 8, base1);
    _mm512_storeu_pd(delta, delta0);
    _mm512_storeu_pd(delta + 8, delta1);
    for (size_t j = 0; j < n - whole; j++) {
        delta_bf16_add(p0 + (whole + j) * 2, p1 + (whole + j) * 2, &base[j], &delta[j]);
    }
    *ret0 = qk_lanes_sum(base, LANES);
    *ret1 = qk_lanes_sum(delta, LANES);
}

AVX512 static void bf16_avx512(const unsigned char *p0, const unsigned char *p1, size_t n, struct qk_pairwise *base,
                               struct qk_pairwise *delta)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        double b, d;
        bf16_block(p0 + i * 2, p1 + i * 2, n - i < BLOCK ? n - i : BLOCK, &b, &d);
        qk_pairwise_add(base, b);
        qk_pairwise_add(delta, d);
    }
}
#endif

static void delta_bf16_best(const void *raw0, const void *raw1, size_t n, struct qk_pairwise *base,
                            struct qk_pairwise *delta)
{
#if defined(__x86_64__)
    if (qk_simd_level() == QK_SIMD_V4) {
        bf16_avx512(raw0, raw1, n, base, delta);
        return;
    }
#endif
    delta_bf16(raw0, raw1, n, base, delta);
}

struct delta_kernel {
    enum qk_dtype dtype;
    void (*add)(const void *raw0, const void *raw1, size_t n, struct qk_pairwise *base, struct qk_pairwise *delta);
};

static const struct delta_kernel kernels[] = {
    {QK_DTYPE_BF16, delta_bf16_best},
    {QK_DTYPE_F16, delta_f16},
    {QK_DTYPE_F32, delta_f32},
    {QK_DTYPE_F64, delta_f64},
};

/* Types without a kernel of their own, and pairs of different types: decoded block by block. */
static void delta_any(const struct qk_dtype_info *info0, const unsigned char *p0, const struct qk_dtype_info *info1,
                      const unsigned char *p1, size_t n, struct qk_pairwise *base, struct qk_pairwise *delta)
{
    double w0[BLOCK], w1[BLOCK];
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t width = n - i < BLOCK ? n - i : BLOCK;
        info0->to_f64(p0 + i * (info0->bits / 8), width, w0);
        info1->to_f64(p1 + i * (info1->bits / 8), width, w1);
        delta_f64(w0, w1, width, base, delta);
    }
}

bool qk_delta_sums(enum qk_dtype dtype0, const void *raw0, enum qk_dtype dtype1, const void *raw1, size_t n,
                   double *ret_base2, double *ret_delta2)
{
    struct qk_pairwise base = {0}, delta = {0};
    const struct delta_kernel *kernel = NULL;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (dtype0 == dtype1 && kernels[i].dtype == dtype0) {
            kernel = &kernels[i];
        }
    }
    if (kernel != NULL) {
        kernel->add(raw0, raw1, n, &base, &delta);
    } else {
        const struct qk_dtype_info *info0 = qk_dtype_info(dtype0), *info1 = qk_dtype_info(dtype1);
        assert(info0->is_float && info1->is_float);
        delta_any(info0, raw0, info1, raw1, n, &base, &delta);
    }
    *ret_base2 = qk_pairwise_sum(&base);
    *ret_delta2 = qk_pairwise_sum(&delta);
    return isfinite(*ret_base2) && isfinite(*ret_delta2);
}
