/* Adding a low-rank product to a row of weights.
 *
 *   w_j += scale · Σ_k left_k · right_kj
 *
 * The sum runs over k in order, in double precision (the products of floats are exact there), element by element: the
 * bits of an element depend neither on n nor on the instruction set. */
#ifndef QK_NUM_LOW_RANK_H
#define QK_NUM_LOW_RANK_H

#include <stddef.h>

/* w (n); left (rank); right (rank, n), row k at right + k·ld. O(n · rank). */
void qk_low_rank_add(size_t n, size_t rank, double scale, const float *left, const float *right, size_t ld, double *w);

#endif
