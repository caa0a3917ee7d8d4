/* Products with packed panels: see num/float_panels.h.
 *
 * Eight rows times a panel's 32 columns are held in 16 registers of AVX-512 while 256 of the k products pass by: two
 * loads and eight broadcasts feed 16 fused multiply-adds. That piece of a panel (32 KiB) and of eight rows stay in the
 * first-level cache while all rows pass. */
#include "num/float_panels.h"

#include <stdint.h>
#include <string.h>

#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PANEL = 32, HALF = PANEL / 2, BLOCK_K = 256, BLOCK_ROWS = 8, SQUARE = 16 };
/* Rows of the left factor are copied together where they lie at least FAR_ROWS floats apart. */
enum { FAR_ROWS = 1024, COPY_ROWS = 64, COPY_LD = BLOCK_K + 16 };

/* Arrays of vectors stay in registers only where every index is known. (clang unrolls such loops by itself.) */
#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* One product as the blocks see it. */
struct block {
    size_t k, lda, ldc, width; /* width: columns to store, at most 32 */
    float alpha;
    bool add;
};

size_t qk_float_panels_count(size_t n)
{
    return n / PANEL + (n % PANEL != 0);
}

size_t qk_float_panels_size(size_t k, size_t n)
{
    size_t panels = qk_float_panels_count(n);
    return k > SIZE_MAX / (PANEL * sizeof(float)) / (panels > 0 ? panels : 1) ? SIZE_MAX : panels * PANEL * k;
}

/* ---- plain C ---------------------------------------------------------------------------------------------------- */

static void block_plain(size_t rows, const struct block *p, const float *a, const float *b, float *c)
{
    for (size_t r = 0; r < rows; r++) {
        float sum[PANEL] = {0};
        for (size_t l = 0; l < p->k; l++) {
            for (size_t j = 0; j < PANEL; j++) {
                sum[j] += a[r * p->lda + l] * b[l * PANEL + j];
            }
        }
        for (size_t j = 0; j < p->width; j++) {
            c[r * p->ldc + j] = p->alpha * sum[j] + (p->add ? c[r * p->ldc + j] : 0.0f);
        }
    }
}

static void rows_plain(size_t m, const struct block *p, const float *a, const float *b, float *c)
{
    block_plain(m, p, a, b, c);
}

#if defined(__x86_64__)
#define V3 __attribute__((target("avx2,fma,bmi2")))
#define V4 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2")))

/* ---- AVX-512 ---------------------------------------------------------------------------------------------------- */

V4 INLINE void store_v4(const struct block *p, size_t from, __m512 sum, float *c)
{
    size_t n = p->width - from;
    __mmask16 mask = n >= HALF ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
    sum = _mm512_mul_ps(_mm512_set1_ps(p->alpha), sum);
    if (p->add) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, c + from));
    }
    _mm512_mask_storeu_ps(c + from, mask, sum);
}

/* rows and halves are constants. */
V4 INLINE void block_v4(int rows, int halves, const struct block *p, const float *a, const float *b, float *c)
{
    __m512 sum[BLOCK_ROWS][2];
    UNROLL
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    }
    for (size_t l = 0; l < p->k; l++, b += PANEL) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = halves > 1 ? _mm512_loadu_ps(b + HALF) : b0;
        UNROLL
        for (int r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(a[(size_t)r * p->lda + l]);
            sum[r][0] = _mm512_fmadd_ps(x, b0, sum[r][0]);
            if (halves > 1) {
                sum[r][1] = _mm512_fmadd_ps(x, b1, sum[r][1]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        store_v4(p, 0, sum[r][0], c + (size_t)r * p->ldc);
        if (halves > 1) {
            store_v4(p, HALF, sum[r][1], c + (size_t)r * p->ldc);
        }
    }
}

V4 INLINE void rows_of_v4(int halves, size_t m, const struct block *p, const float *a, const float *b, float *c)
{
    size_t r = 0;
    for (; r + 8 <= m; r += 8) {
        block_v4(8, halves, p, a + r * p->lda, b, c + r * p->ldc);
    }
    if (m - r >= 4) {
        block_v4(4, halves, p, a + r * p->lda, b, c + r * p->ldc);
        r += 4;
    }
    if (m - r >= 2) {
        block_v4(2, halves, p, a + r * p->lda, b, c + r * p->ldc);
        r += 2;
    }
    if (m > r) {
        block_v4(1, halves, p, a + r * p->lda, b, c + r * p->ldc);
    }
}

V4 static void rows_v4(size_t m, const struct block *p, const float *a, const float *b, float *c)
{
    if (p->width > HALF) {
        rows_of_v4(2, m, p, a, b, c);
    } else {
        rows_of_v4(1, m, p, a, b, c);
    }
}

/* ---- AVX2 ------------------------------------------------------------------------------------------------------- */

enum { ROWS_V3 = 4, LANES_V3 = 8 };

/* 16 columns of a panel from `from` on. rows is a constant. */
V3 INLINE void block_v3(int rows, size_t from, const struct block *p, const float *a, const float *b, float *c)
{
    __m256 sum[ROWS_V3][2];
    UNROLL
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = _mm256_setzero_ps();
    }
    b += from;
    for (size_t l = 0; l < p->k; l++, b += PANEL) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + LANES_V3);
        UNROLL
        for (int r = 0; r < rows; r++) {
            __m256 x = _mm256_set1_ps(a[(size_t)r * p->lda + l]);
            sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        float y[HALF];
        _mm256_storeu_ps(y, sum[r][0]);
        _mm256_storeu_ps(y + LANES_V3, sum[r][1]);
        float *to = c + (size_t)r * p->ldc + from;
        for (size_t j = 0; j < HALF && from + j < p->width; j++) {
            to[j] = p->alpha * y[j] + (p->add ? to[j] : 0.0f);
        }
    }
}

V3 static void rows_v3(size_t m, const struct block *p, const float *a, const float *b, float *c)
{
    for (size_t from = 0; from < p->width; from += HALF) {
        size_t r = 0;
        for (; r + ROWS_V3 <= m; r += ROWS_V3) {
            block_v3(ROWS_V3, from, p, a + r * p->lda, b, c + r * p->ldc);
        }
        for (; r < m; r++) {
            block_v3(1, from, p, a + r * p->lda, b, c + r * p->ldc);
        }
    }
}
#endif

/* ---- all -------------------------------------------------------------------------------------------------------- */

static void multiply_rows(size_t m, const struct block *p, const float *a, const float *b, float *c)
{
#if defined(__x86_64__)
    enum qk_simd level = qk_simd_level();
    if (level == QK_SIMD_V4) {
        rows_v4(m, p, a, b, c);
        return;
    }
    if (level == QK_SIMD_V3) {
        rows_v3(m, p, a, b, c);
        return;
    }
#endif
    rows_plain(m, p, a, b, c);
}

/* All panels times a piece of A that is k ≤ 256 long. */
static void multiply_panels(size_t m, size_t n, struct block *p, const float *a, const float *panels, size_t stride,
                            float *c)
{
    for (size_t j = 0; j < n; j += PANEL) {
        p->width = n - j < PANEL ? n - j : PANEL;
        multiply_rows(m, p, a, panels + j / PANEL * stride, c + j);
    }
}

/* The same through a copy of A. */
static void multiply_copied(size_t m, size_t n, struct block *p, const float *a, const float *panels, size_t stride,
                            float *c)
{
    float copy[COPY_ROWS * COPY_LD];
    size_t lda = p->lda;
    p->lda = COPY_LD;
    for (size_t r = 0; r < m; r += COPY_ROWS) {
        size_t rows = m - r < COPY_ROWS ? m - r : COPY_ROWS;
        for (size_t i = 0; i < rows; i++) {
            memcpy(copy + i * COPY_LD, a + (r + i) * lda, p->k * sizeof *copy);
        }
        multiply_panels(rows, n, p, copy, panels, stride, c + r * p->ldc);
    }
    p->lda = lda;
}

void qk_float_panels_product(size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda, const float *panels,
                             size_t stride, bool add, float *c, size_t ldc)
{
    /* eight rows a multiple of a page apart fall into the same lines of the cache, and push the panel out of them */
    bool copied = m >= BLOCK_ROWS && n > PANEL && k >= HALF && lda >= FAR_ROWS;
    for (size_t l = 0; l == 0 || l < k; l += BLOCK_K) {
        struct block p = {.k = k - l < BLOCK_K ? k - l : BLOCK_K, .lda = lda, .ldc = ldc, .alpha = alpha};
        p.add = add || l > 0;
        (copied ? multiply_copied : multiply_panels)(m, n, &p, a + l, panels + l * PANEL, stride, c);
    }
}

/* Up to 16 rows of w to columns: in squares, so that both sides are read and written by whole cache lines. */
QK_SIMD_BODY void pack_square_body(size_t k, size_t n, const float *w, size_t ldw, float *panel)
{
    float square[SQUARE * SQUARE];
    for (size_t j = 0; j < n; j++) {
        for (size_t l = 0; l < k; l++) {
            square[l * SQUARE + j] = w[j * ldw + l];
        }
    }
    for (size_t l = 0; l < k; l++) {
        memcpy(panel + l * PANEL, square + l * SQUARE, n * sizeof *panel);
        memset(panel + l * PANEL + n, 0, (SQUARE - n) * sizeof *panel);
    }
}

#if defined(__x86_64__)
/* A whole square: interleaving twice by 4 within, then across, the quarters of registers. */
V4 static void pack_square_v4(const float *w, size_t ldw, float *panel)
{
    __m512 r[SQUARE], t[SQUARE];
    UNROLL
    for (int i = 0; i < SQUARE; i++) {
        r[i] = _mm512_loadu_ps(w + (size_t)i * ldw);
    }
    UNROLL
    for (int i = 0; i < SQUARE; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < SQUARE; i += 4) {
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
    /* r[4g + c] holds in quarter h column 4h + c of rows 4g … 4g + 3 */
    UNROLL
    for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
        t[4 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
        t[8 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
        t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
    }
    UNROLL
    for (int c = 0; c < 4; c++) {
        _mm512_storeu_ps(panel + (size_t)c * PANEL, _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88));
        _mm512_storeu_ps(panel + (size_t)(8 + c) * PANEL, _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd));
        _mm512_storeu_ps(panel + (size_t)(4 + c) * PANEL, _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88));
        _mm512_storeu_ps(panel + (size_t)(12 + c) * PANEL, _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd));
    }
}
#endif

void qk_float_panels_pack_transposed(size_t k, size_t n, const float *w, size_t ldw, size_t stride, float *panels)
{
    for (size_t j = 0; j < n; j += SQUARE) {
        size_t width = n - j < SQUARE ? n - j : SQUARE;
        float *panel = panels + j / PANEL * stride + j % PANEL;
        for (size_t l = 0; l < k; l += SQUARE) {
            size_t height = k - l < SQUARE ? k - l : SQUARE;
#if defined(__x86_64__)
            if (width == SQUARE && height == SQUARE && qk_simd_level() == QK_SIMD_V4) {
                pack_square_v4(w + j * ldw + l, ldw, panel + l * PANEL);
                continue;
            }
#endif
            pack_square_body(height, width, w + j * ldw + l, ldw, panel + l * PANEL);
        }
    }
    if (n % PANEL != 0 && n % PANEL <= HALF) { /* the second half, which no square has touched */
        float *panel = panels + n / PANEL * stride + HALF;
        for (size_t l = 0; l < k; l++) {
            memset(panel + l * PANEL, 0, HALF * sizeof *panel);
        }
    }
}

void qk_float_panels_pack(size_t k, size_t n, const float *b, size_t ldb, size_t stride, float *panels)
{
    for (size_t j = 0; j < n; j += PANEL) {
        size_t width = n - j < PANEL ? n - j : PANEL;
        float *panel = panels + j / PANEL * stride;
        for (size_t l = 0; l < k; l++) {
            memcpy(panel + l * PANEL, b + l * ldb + j, width * sizeof *panel);
            memset(panel + l * PANEL + width, 0, (PANEL - width) * sizeof *panel);
        }
    }
}
