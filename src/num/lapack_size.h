/* size_t to LAPACK's integer. Every matrix here is a head or a tile of one; a size beyond 2^31 is a defect. */
#ifndef QK_NUM_LAPACK_SIZE_H
#define QK_NUM_LAPACK_SIZE_H

#include <assert.h>
#include <lapacke.h>
#include <limits.h>
#include <stddef.h>

static inline lapack_int qk_lapack_size(size_t n)
{
    assert(n <= INT_MAX);
    return (lapack_int)n;
}

#endif
