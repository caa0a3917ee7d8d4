/* Heap allocation with checked sizes, and the hook by which the alloc tests make the k-th allocation fail.
 *
 * All heap memory of qkscope's own code comes from here or from an arena (which comes from here). */
#ifndef QK_BASE_ALLOC_H
#define QK_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* n × size zeroed bytes; NULL when out of memory or on overflow. Release with qk_free. */
void *qk_calloc(size_t n, size_t size);
/* Grows (or shrinks) p to n × size bytes; the new part is not zeroed; p stays valid on failure. */
void *qk_realloc(void *p, size_t n, size_t size);
/* n × size bytes, 64-byte aligned, not zeroed: for matrices and tiles. */
void *qk_alloc_aligned(size_t n, size_t size);
void qk_free(void *p);

/* *ret = a × b, resp. a + b. False (and *ret untouched) on overflow. */
bool qk_size_mul(size_t a, size_t b, size_t *ret);
bool qk_size_add(size_t a, size_t b, size_t *ret);

/* For tests: the n-th allocation from now (1 = the next) fails, and all after it; 0 switches that off. Process-wide. */
void qk_alloc_fail_after(size_t n);

#endif
