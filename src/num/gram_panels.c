/* Symmetric rank-n update with AVX-512: see gram_panels.h.
 *
 * 24 × 8 elements of the result are held in 24 registers while all n columns of the tile pass by: 3 loads and 8
 * broadcasts feed 24 fused multiply-adds, so that arithmetic is the limit. The panel of the 8 columns stays in the
 * first-level cache, the panels of the rows come from the second. */
#include "gram_panels.h"

#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma,bmi2")))

bool qk_panels_available(void)
{
    return qk_simd_level() == QK_SIMD_V4;
}

/* One column l of the product: element j of the column panel times up to three row panels. */
#define COLUMN(j)                                                                                                      \
    do {                                                                                                               \
        __m512d factor = _mm512_set1_pd(b[j]);                                                                         \
        c0##j = _mm512_fmadd_pd(a0, factor, c0##j);                                                                    \
        c1##j = m > 1 ? _mm512_fmadd_pd(a1, factor, c1##j) : c1##j;                                                    \
        c2##j = m > 2 ? _mm512_fmadd_pd(a2, factor, c2##j) : c2##j;                                                    \
    } while (0)
#define LOAD(i, j) __m512d c##i##j = first || m <= (i) ? _mm512_setzero_pd() : _mm512_loadu_pd(c + ((i)*8 + (j)) * 8)
#define STORE(i, j)                                                                                                    \
    do {                                                                                                               \
        if (m > (i)) {                                                                                                 \
            _mm512_storeu_pd(c + ((i)*8 + (j)) * 8, c##i##j);                                                          \
        }                                                                                                              \
    } while (0)
#define ROW(what, i)                                                                                                   \
    what(i, 0);                                                                                                        \
    what(i, 1);                                                                                                        \
    what(i, 2);                                                                                                        \
    what(i, 3);                                                                                                        \
    what(i, 4);                                                                                                        \
    what(i, 5);                                                                                                        \
    what(i, 6);                                                                                                        \
    what(i, 7)

/* m ≤ 3 row panels from a on against the column panel b: m blocks at c. */
AVX512 static inline __attribute__((always_inline)) void block(int m, size_t n, const double *a, const double *b,
                                                               bool first, double *c)
{
    size_t stride = n * QK_PANEL;
    ROW(LOAD, 0);
    ROW(LOAD, 1);
    ROW(LOAD, 2);
    for (size_t l = 0; l < n; l++, a += QK_PANEL, b += QK_PANEL) {
        __m512d a0 = _mm512_loadu_pd(a);
        __m512d a1 = m > 1 ? _mm512_loadu_pd(a + stride) : a0;
        __m512d a2 = m > 2 ? _mm512_loadu_pd(a + 2 * stride) : a0;
        COLUMN(0);
        COLUMN(1);
        COLUMN(2);
        COLUMN(3);
        COLUMN(4);
        COLUMN(5);
        COLUMN(6);
        COLUMN(7);
    }
    ROW(STORE, 0);
    ROW(STORE, 1);
    ROW(STORE, 2);
}

AVX512 void qk_panels_add(size_t n_panels, size_t n, const double *tile, bool first, double *sums)
{
    size_t stride = n * QK_PANEL;
    for (size_t q = 0; q < n_panels; q++) {
        const double *b = tile + q * stride;
        double *c = sums + q * (q + 1) / 2 * 64;
        size_t p = 0;
        for (; p + 3 <= q + 1; p += 3) {
            block(3, n, tile + p * stride, b, first, c + p * 64);
        }
        if (q + 1 - p == 2) {
            block(2, n, tile + p * stride, b, first, c + p * 64);
        } else if (q + 1 - p == 1) {
            block(1, n, tile + p * stride, b, first, c + p * 64);
        }
    }
}

/* Arrays of vectors stay in registers only where every index is known. (clang unrolls such loops by itself.) */
#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Rows to columns. */
AVX512 static inline __attribute__((always_inline)) void transpose(__m512d r[8])
{
    __m512d t[8], u[8];
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm512_unpacklo_pd(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_pd(r[2 * i], r[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        UNROLL
        for (int j = 0; j < 2; j++) {
            u[4 * i + j] = _mm512_shuffle_f64x2(t[4 * i + j], t[4 * i + 2 + j], 0x88);
            u[4 * i + 2 + j] = _mm512_shuffle_f64x2(t[4 * i + j], t[4 * i + 2 + j], 0xdd);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        /* u[i] holds columns (i & 1) + {0, 4} resp. {2, 6} of four rows */
        int col = (i & 1) + (i & 2);
        r[col] = _mm512_shuffle_f64x2(u[i], u[4 + i], 0x88);
        r[col + 4] = _mm512_shuffle_f64x2(u[i], u[4 + i], 0xdd);
    }
}

AVX512 static inline __attribute__((always_inline)) void store_square(size_t width, const __m512d r[8], double *panel)
{
    UNROLL
    for (size_t i = 0; i < 8 && i < width; i++) {
        _mm512_storeu_pd(panel + i * 8, r[i]);
    }
}

/* width ≤ 8 columns of 8 rows (n_rows of them real): base into one panel, w1 − w0 into the other; w1 NULL: 0. */
AVX512 static inline __attribute__((always_inline)) void
pack_square(size_t n_rows, size_t width, const double *w0, const double *w1, size_t ld, double *base, double *delta)
{
    __m512d r[8], d[8];
    __mmask8 mask = (__mmask8)((1u << width) - 1);
    UNROLL
    for (size_t i = 0; i < 8; i++) {
        r[i] = d[i] = _mm512_setzero_pd();
        if (i < n_rows) {
            r[i] = _mm512_maskz_loadu_pd(mask, w0 + i * ld);
            d[i] = w1 == NULL ? d[i] : _mm512_sub_pd(_mm512_maskz_loadu_pd(mask, w1 + i * ld), r[i]);
        }
    }
    transpose(r);
    store_square(width, r, base);
    if (w1 != NULL) {
        transpose(d);
    }
    store_square(width, d, delta);
}

AVX512 void qk_panels_pack(size_t k, size_t n, const double *w0, const double *w1, size_t ld, double *tile)
{
    size_t half = qk_panels(k), stride = n * QK_PANEL;
    for (size_t p = 0; p < half; p++) {
        size_t row = p * QK_PANEL, n_rows = k - row < QK_PANEL ? k - row : QK_PANEL, l = 0;
        const double *from0 = w0 + row * ld, *from1 = w1 == NULL ? NULL : w1 + row * ld;
        double *base = tile + p * stride, *delta = tile + (half + p) * stride;
        for (; n_rows == 8 && w1 != NULL && l + 8 <= n; l += 8) {
            pack_square(8, 8, from0 + l, from1 + l, ld, base + l * 8, delta + l * 8);
        }
        for (; l < n; l += 8) {
            pack_square(n_rows, n - l < 8 ? n - l : 8, from0 + l, w1 == NULL ? NULL : from1 + l, ld, base + l * 8,
                        delta + l * 8);
        }
    }
}

AVX512 void qk_panels_scale(size_t k, size_t n, const double *g0, const double *g1, double *tile)
{
    size_t half = qk_panels(k), stride = n * QK_PANEL;
    for (size_t p = 0; p < half; p++) {
        double *w = tile + p * stride, *delta = tile + (half + p) * stride;
        for (size_t l = 0; l < n; l++) {
            __m512d base = _mm512_loadu_pd(w + l * 8), moved = _mm512_loadu_pd(delta + l * 8);
            __m512d by_change = _mm512_mul_pd(base, _mm512_set1_pd(g1[l] - g0[l]));
            _mm512_storeu_pd(delta + l * 8, _mm512_add_pd(_mm512_mul_pd(moved, _mm512_set1_pd(g1[l])), by_change));
            _mm512_storeu_pd(w + l * 8, _mm512_mul_pd(base, _mm512_set1_pd(g0[l])));
        }
    }
}

#else

bool qk_panels_available(void)
{
    return false;
}

#endif
