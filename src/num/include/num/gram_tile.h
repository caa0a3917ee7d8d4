/* Delta Grams of num/gram.h, tile by tile, the fast way: a tile is packed once into the order in which the products
 * read it, multiplied by the input norm weights in place, and only what lies on or above the diagonal is computed.
 *
 * With AVX-512 the products are qkscope's own kernel; elsewhere they are xSYRK of num/blas.h. Tile and sums are opaque:
 * their layout is the kernel's. All calls of one head must be made at the same instruction set. Columns are added in
 * order, so the result depends on the width of the tiles alone. */
#ifndef QK_NUM_GRAM_TILE_H
#define QK_NUM_GRAM_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "num/gram.h"

/* Doubles of a packed tile of at most n columns, and of the sums of one head. Aligned to 64 bytes they are fastest. */
size_t qk_gram_tile_size(size_t k, size_t n);
size_t qk_gram_sums_size(size_t k);

/* [W0; W1 − W0] into tile, K rows of n values each, ld apart; w1 NULL: unchanged, Δ = 0. */
void qk_gram_tile_pack(size_t k, size_t n, const double *w0, const double *w1, size_t ld, double *tile);
/* tile := [W0 diag(g0); W1 diag(g1) − W0 diag(g0)], the lower half as Δ diag(g1) + W0 diag(g1 − g0). */
void qk_gram_tile_scale(size_t k, size_t n, const double *g0, const double *g1, double *tile);
/* Adds the tile's products to sums (first = true starts them). unchanged: Δ is zero in all tiles of the head and is not
 * read. */
void qk_gram_tile_add(size_t k, size_t n, const double *tile, bool unchanged, bool first, double *sums);
/* After the last tile: as qk_gram_finish. */
void qk_gram_tile_finish(struct qk_gram *g, const double *sums);

#endif
