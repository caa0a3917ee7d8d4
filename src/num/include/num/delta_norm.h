/* ‖W0‖² and ‖Δ‖², Δ = W1 − W0, straight from storage bytes: the drift of whole modules in one streaming pass.
 *
 * Every element is decoded exactly; Δ, squares and sums are in double. Sums have a fixed shape (16 lanes inside blocks
 * of 1024 elements, blocks in a binary tree), so the result depends on the values and on n alone, not on alignment,
 * instruction set or thread. A caller that cuts a tensor into pieces must cut it the same way each time. */
#ifndef QK_NUM_DELTA_NORM_H
#define QK_NUM_DELTA_NORM_H

#include <stdbool.h>
#include <stddef.h>

#include "num/dtype.h"

/* *ret_base2 = Σ w0², *ret_delta2 = Σ (w1 − w0)² over n elements; exactly 0 where the values are equal. Any alignment.
 * False when an element of either side is NaN or Inf (or an F64 square overflows): the sums are then not finite. Both
 * dtypes must be decodable. Equal dtypes BF16, F16, F32 and F64 run at about memory bandwidth. */
bool qk_delta_sums(enum qk_dtype dtype0, const void *raw0, enum qk_dtype dtype1, const void *raw1, size_t n,
                   double *ret_base2, double *ret_delta2);

#endif
