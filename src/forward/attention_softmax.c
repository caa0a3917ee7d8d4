/* Vectorised row operations of the softmax. */
#include "attention_softmax.h"

#include "exp_value.h"
#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

enum { TERMS = 8 };

QK_BODY void row_exp_body(size_t n, float *x, float most, struct qk_row_sums *ret)
{
    double sums[QK_LANES] = {0}, weighted[QK_LANES] = {0};
    for (size_t i = 0; i < n;) {
        float part[QK_LANES] = {0}, weighted_part[QK_LANES] = {0};
        for (size_t term = 0; term < TERMS && i < n; term++) {
            size_t lanes = n - i < QK_LANES ? n - i : QK_LANES;
            for (size_t j = 0; j < lanes; j++) {
                float v = x[i + j] - most, e = qk_exp_value(v);
                x[i + j] = e;
                part[j] += e;
                weighted_part[j] += e * (v < QK_EXP_LEAST ? QK_EXP_LEAST : v);
            }
            i += lanes;
        }
        for (size_t j = 0; j < QK_LANES; j++) {
            sums[j] += (double)part[j];
            weighted[j] += (double)weighted_part[j];
        }
    }
    *ret = (struct qk_row_sums){qk_lane_sum(sums), qk_lane_sum(weighted)};
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma,bmi2"))) static void row_exp_v3(size_t n, float *x, float most, struct qk_row_sums *ret)
{
    row_exp_body(n, x, most, ret);
}

#define V4 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2")))

/* exp_value.h's polynomial with fused multiply-adds; v is not below QK_EXP_LEAST, or a NaN. */
V4 static inline __attribute__((always_inline)) __m512 exp_v4(__m512 v)
{
    const __m512 to_integer = _mm512_set1_ps(12582912.0f);
    __m512 shifted = _mm512_fmadd_ps(v, _mm512_set1_ps(1.44269504088896341f), to_integer);
    __m512 n = _mm512_sub_ps(shifted, to_integer);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), v);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.9875691500e-4f), r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r);
    __m512i bits = _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23), _mm512_set1_epi32(0x3f800000));
    __m512 scale = _mm512_castsi512_ps(bits);
    return _mm512_fmadd_ps(scale, p, scale);
}

V4 static inline __attribute__((always_inline)) __m512d low_half(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}

V4 static inline __attribute__((always_inline)) __m512d high_half(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}

V4 static void row_exp_v4(size_t n, float *x, float most, struct qk_row_sums *ret)
{
    const __m512 largest = _mm512_set1_ps(most), least = _mm512_set1_ps(QK_EXP_LEAST);
    __m512d sums = _mm512_setzero_pd(), weighted = sums;
    for (size_t i = 0; i < n;) {
        __m512 part = _mm512_setzero_ps(), weighted_part = part;
        for (size_t term = 0; term < TERMS && i < n; term++, i += QK_LANES) {
            __mmask16 in = n - i >= QK_LANES ? (__mmask16)0xffff : (__mmask16)((1u << (n - i)) - 1);
            __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(in, x + i), largest);
            __mmask16 counts = _mm512_mask_cmp_ps_mask(in, v, least, _CMP_NLT_UQ); /* a NaN does */
            v = _mm512_max_ps(least, v);                                           /* and stays */
            __m512 e = _mm512_maskz_mov_ps(counts, exp_v4(v));
            _mm512_mask_storeu_ps(x + i, in, e);
            part = _mm512_add_ps(part, e);
            weighted_part = _mm512_fmadd_ps(e, v, weighted_part);
        }
        sums = _mm512_add_pd(sums, _mm512_add_pd(low_half(part), high_half(part)));
        weighted = _mm512_add_pd(weighted, _mm512_add_pd(low_half(weighted_part), high_half(weighted_part)));
    }
    *ret = (struct qk_row_sums){_mm512_reduce_add_pd(sums), _mm512_reduce_add_pd(weighted)};
}
#endif

void qk_row_exp(size_t n, float *x, float most, struct qk_row_sums *ret)
{
#if defined(__x86_64__)
    if (QK_HAS_V4) {
        row_exp_v4(n, x, most, ret);
        return;
    }
    if (QK_HAS_V3) {
        row_exp_v3(n, x, most, ret);
        return;
    }
#endif
    row_exp_body(n, x, most, ret);
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
QK_KERNEL(, qk_row_scale, (size_t n, float *x, double factor), (n, x, factor))
QK_KERNEL(, qk_softcap, (size_t n, float *x, float cap), (n, x, cap))
