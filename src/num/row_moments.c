/* Sums over a stretch of a row: see num/row_moments.h. */
#include "num/row_moments.h"

#include <stdint.h>
#include <string.h>

#include "simd.h"

enum { LANES = 8 };

typedef float lanes_f32 __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_i32 __attribute__((vector_size(LANES * 4)));
typedef double lanes_f64 __attribute__((vector_size(LANES * 8)));

/* Pairs of lanes, so that the order does not depend on how wide the registers are. */
#define FOLD(x) (((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])))

/* *y = ln *x for positive normal x: x = m 2^e with m in [√½, √2), ln m by the minimax polynomial of Cephes' logf (S.
 * Moshier), ln 2 in two parts so that e ln 2 is exact to the last place. Pointers, because passing vectors by value
 * would depend on the instruction set. */
QK_SIMD_BODY void log_lanes(const lanes_f32 *x, lanes_f32 *y)
{
    lanes_i32 bits, e, m_bits;
    lanes_f32 m;
    memcpy(&bits, x, sizeof(bits));
    /* 0x3f3504f3 is √½: what is above it keeps its exponent's power of two in e */
    bits -= 0x3f3504f3;
    e = bits >> 23;
    m_bits = (bits & 0x007fffff) + 0x3f3504f3;
    memcpy(&m, &m_bits, sizeof(m));
    lanes_f32 f = m - 1.0f, z = f * f, k = __builtin_convertvector(e, lanes_f32);
    lanes_f32 p = f * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * z;
    p = p + k * -2.12194440e-4f;
    p = p - 0.5f * z;
    *y = (f + p) + k * 0.693359375f;
}

struct moment_lanes {
    lanes_f64 sum, ramp, weighted, a_log_a, index;
};

QK_SIMD_BODY void add_lanes(struct moment_lanes *m, const float *a, const float *w)
{
    lanes_f32 a32, w32, log32;
    memcpy(&a32, a, sizeof(a32));
    memcpy(&w32, w, sizeof(w32));
    log_lanes(&a32, &log32);
    lanes_f64 a64 = __builtin_convertvector(a32, lanes_f64), w64 = __builtin_convertvector(w32, lanes_f64);
    m->sum += a64;
    m->ramp += a64 * m->index;
    m->weighted += a64 * w64;
    m->a_log_a += __builtin_convertvector(a32 * log32, lanes_f64);
    m->index += (double)LANES;
}

QK_SIMD_BODY void qk_row_moments_body(size_t n, const float *a, const float *w, struct qk_row_moments *ret)
{
    struct moment_lanes m = {.index = {0, 1, 2, 3, 4, 5, 6, 7}};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        add_lanes(&m, a + i, w + i);
    }
    if (i < n) {
        float last_a[LANES] = {0}, last_w[LANES] = {0};
        memcpy(last_a, a + i, (n - i) * sizeof(*a));
        memcpy(last_w, w + i, (n - i) * sizeof(*w));
        add_lanes(&m, last_a, last_w);
    }
    *ret = (struct qk_row_moments){
        .sum = FOLD(m.sum), .ramp = FOLD(m.ramp), .weighted = FOLD(m.weighted), .a_log_a = FOLD(m.a_log_a)};
}

QK_SIMD_KERNEL(, qk_row_moments, (size_t n, const float *a, const float *w, struct qk_row_moments *ret), (n, a, w, ret))

QK_SIMD_BODY void qk_row_sum_body(size_t n, const float *a, double *ret)
{
    lanes_f64 sum = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes_f32 a32;
        memcpy(&a32, a + i, sizeof(a32));
        sum += __builtin_convertvector(a32, lanes_f64);
    }
    for (size_t lane = 0; i + lane < n; lane++) {
        sum[lane] += (double)a[i + lane];
    }
    *ret = FOLD(sum);
}

QK_SIMD_KERNEL(, qk_row_sum, (size_t n, const float *a, double *ret), (n, a, ret))
