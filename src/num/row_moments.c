/* Sums over a stretch of a row: see num/row_moments.h. */
#include "num/row_moments.h"

#include <stdint.h>
#include <string.h>

#include "simd.h"

enum { LANES = 16, TERMS = 8, HALF = LANES / 2 };

typedef float lanes_f32 __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_i32 __attribute__((vector_size(LANES * 4)));
typedef float half_f32 __attribute__((vector_size(HALF * 4)));
typedef double half_f64 __attribute__((vector_size(HALF * 8)));

/* ln m = f P(f), f = m − 1 in [√½ − 1, √2 − 1]: least largest relative error of all P of degree 7, 1.8e-7. */
static const float log_p[] = {0.999999945f, -0.500003651f, 0.333350589f, -0.249699088f,
                              0.199001653f, -0.17250833f,  0.16222584f,  -0.101068893f};

/* *y = ln *x for positive normal x = m 2^e. Pointers, because passing vectors by value would depend on the instruction
 * set. */
QK_SIMD_BODY void log_lanes(const lanes_f32 *x, lanes_f32 *y)
{
    lanes_i32 bits, m_bits;
    lanes_f32 m;
    memcpy(&bits, x, sizeof(bits));
    /* 0x3f3504f3 is √½: taken off first, it leaves e above the mantissa's bits for m in [√½, √2) */
    bits -= 0x3f3504f3;
    m_bits = (bits & 0x007fffff) + 0x3f3504f3;
    memcpy(&m, &m_bits, sizeof(m));
    lanes_f32 f = m - 1.0f, e = __builtin_convertvector(bits >> 23, lanes_f32);
    lanes_f32 p = f * log_p[7] + log_p[6];
    p = p * f + log_p[5];
    p = p * f + log_p[4];
    p = p * f + log_p[3];
    p = p * f + log_p[2];
    p = p * f + log_p[1];
    p = p * f + log_p[0];
    *y = p * f + e * 0.693147181f;
}

/* Sums of at most TERMS terms a lane, and of all before. */
struct moment_lanes {
    lanes_f32 sum, distance, weighted, a_log_a;
};

struct moment_totals {
    double sum[LANES], distance[LANES], weighted[LANES], a_log_a[LANES];
};

QK_SIMD_BODY void add_lanes(struct moment_lanes *m, const float *a, const float *w, const lanes_f32 *d)
{
    lanes_f32 a32, w32, log32;
    memcpy(&a32, a, sizeof(a32));
    memcpy(&w32, w, sizeof(w32));
    log_lanes(&a32, &log32);
    m->sum += a32;
    m->distance += a32 * *d;
    m->weighted += a32 * w32;
    m->a_log_a += a32 * log32;
}

QK_SIMD_BODY void add_total(const lanes_f32 *part, double *total)
{
    for (size_t lane = 0; lane < LANES; lane++) {
        total[lane] += (double)(*part)[lane];
    }
}

QK_SIMD_BODY void close_part(struct moment_lanes *m, struct moment_totals *t)
{
    add_total(&m->sum, t->sum);
    add_total(&m->distance, t->distance);
    add_total(&m->weighted, t->weighted);
    add_total(&m->a_log_a, t->a_log_a);
    *m = (struct moment_lanes){0};
}

/* Pairs of lanes, so that the order does not depend on how wide the registers are. */
QK_SIMD_BODY double fold(const double *x)
{
    double y[HALF];
    for (size_t lane = 0; lane < HALF; lane++) {
        y[lane] = x[lane] + x[lane + HALF];
    }
    return ((y[0] + y[4]) + (y[2] + y[6])) + ((y[1] + y[5]) + (y[3] + y[7]));
}

QK_SIMD_BODY void qk_row_moments_body(size_t n, const float *a, const float *w, size_t far, struct qk_row_moments *ret)
{
    static const float lane_numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct moment_lanes m = {0};
    struct moment_totals t = {0};
    lanes_f32 d;
    size_t i = 0;
    memcpy(&d, lane_numbers, sizeof(d));
    d = (float)far - d;
    while (i + LANES <= n) {
        for (size_t term = 0; term < TERMS && i + LANES <= n; term++, i += LANES) {
            add_lanes(&m, a + i, w + i, &d);
            d -= (float)LANES;
        }
        close_part(&m, &t);
    }
    if (i < n) {
        float last_a[LANES] = {0}, last_w[LANES] = {0};
        memcpy(last_a, a + i, (n - i) * sizeof(*a));
        memcpy(last_w, w + i, (n - i) * sizeof(*w));
        add_lanes(&m, last_a, last_w, &d);
        close_part(&m, &t);
    }
    *ret = (struct qk_row_moments){
        .sum = fold(t.sum), .distance = fold(t.distance), .weighted = fold(t.weighted), .a_log_a = fold(t.a_log_a)};
}

QK_SIMD_KERNEL(, qk_row_moments, (size_t n, const float *a, const float *w, size_t far, struct qk_row_moments *ret),
               (n, a, w, far, ret))

/* Sums of a part, and what is spread, of one stretch of LANES weights. */
QK_SIMD_BODY void spread_lanes(const float *a, float factor, const lanes_f32 *d, float *profile, lanes_f32 *sum,
                               lanes_f32 *distance)
{
    lanes_f32 a32, p32;
    memcpy(&a32, a, sizeof(a32));
    memcpy(&p32, profile, sizeof(p32));
    p32 += a32 * factor;
    *sum += a32;
    *distance += a32 * *d;
    memcpy(profile, &p32, sizeof(p32));
}

QK_SIMD_BODY void qk_row_spread_body(size_t n, const float *a, float factor, size_t far, float *profile,
                                     double *ret_sum, double *ret_distance)
{
    static const float lane_numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    double sums[LANES] = {0}, distances[LANES] = {0};
    lanes_f32 d, sum = {0}, distance = {0};
    size_t i = 0;
    memcpy(&d, lane_numbers, sizeof(d));
    d = (float)far - d;
    while (i + LANES <= n) {
        for (size_t term = 0; term < TERMS && i + LANES <= n; term++, i += LANES) {
            spread_lanes(a + i, factor, &d, profile + i, &sum, &distance);
            d -= (float)LANES;
        }
        add_total(&sum, sums);
        add_total(&distance, distances);
        sum = distance = (lanes_f32){0};
    }
    if (i < n) {
        float last_a[LANES] = {0}, last_profile[LANES] = {0};
        memcpy(last_a, a + i, (n - i) * sizeof(*a));
        memcpy(last_profile, profile + i, (n - i) * sizeof(*a));
        spread_lanes(last_a, factor, &d, last_profile, &sum, &distance);
        memcpy(profile + i, last_profile, (n - i) * sizeof(*a));
        add_total(&sum, sums);
        add_total(&distance, distances);
    }
    *ret_sum = fold(sums);
    *ret_distance = fold(distances);
}

QK_SIMD_KERNEL(, qk_row_spread,
               (size_t n, const float *a, float factor, size_t far, float *profile, double *ret_sum,
                double *ret_distance),
               (n, a, factor, far, profile, ret_sum, ret_distance))

QK_SIMD_BODY void qk_row_sum_body(size_t n, const float *a, double *ret)
{
    half_f64 low = {0}, high = {0};
    double sums[LANES];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        half_f32 x, y;
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, a + i + HALF, sizeof(y));
        low += __builtin_convertvector(x, half_f64);
        high += __builtin_convertvector(y, half_f64);
    }
    memcpy(sums, &low, sizeof(low));
    memcpy(sums + HALF, &high, sizeof(high));
    for (size_t lane = 0; i + lane < n; lane++) {
        sums[lane] += (double)a[i + lane];
    }
    *ret = fold(sums);
}

QK_SIMD_KERNEL(, qk_row_sum, (size_t n, const float *a, double *ret), (n, a, ret))
