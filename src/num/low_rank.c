/* Low-rank products of single rows: see num/low_rank.h. */
#include "num/low_rank.h"

#include "simd.h"

enum { TILE = 64 };

/* A tile of sums stays in registers or the nearest cache while the rank runs. */
QK_SIMD_BODY void tile_body(size_t n, size_t rank, double scale, const float *left, const float *right, size_t ld,
                            double *w)
{
    double sum[TILE] = {0};
    for (size_t k = 0; k < rank; k++) {
        double factor = left[k];
        const float *row = right + k * ld;
        for (size_t j = 0; j < n; j++) {
            sum[j] += factor * (double)row[j];
        }
    }
    for (size_t j = 0; j < n; j++) {
        w[j] += scale * sum[j];
    }
}

QK_SIMD_BODY void add_body(size_t n, size_t rank, double scale, const float *left, const float *right, size_t ld,
                           double *w)
{
    size_t at = 0;
    for (; at + TILE <= n; at += TILE) {
        tile_body(TILE, rank, scale, left, right + at, ld, w + at);
    }
    tile_body(n - at, rank, scale, left, right + at, ld, w + at);
}

QK_SIMD_KERNEL(static, add,
               (size_t n, size_t rank, double scale, const float *left, const float *right, size_t ld, double *w),
               (n, rank, scale, left, right, ld, w))

void qk_low_rank_add(size_t n, size_t rank, double scale, const float *left, const float *right, size_t ld, double *w)
{
    add(n, rank, scale, left, right, ld, w);
}
