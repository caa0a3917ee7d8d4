/* Checked heap allocation: see base/alloc.h. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Atomic size_t fail_after; /* 0 = off, 1 = failing, n = n − 1 allocations still succeed */

void qk_alloc_fail_after(size_t n)
{
    atomic_store(&fail_after, n);
}

static bool must_fail(void)
{
    size_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
    while (n > 1) {
        if (atomic_compare_exchange_weak(&fail_after, &n, n - 1)) {
            return false;
        }
    }
    return n == 1;
}

bool qk_size_mul(size_t a, size_t b, size_t *ret)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *ret = r;
    return true;
}

bool qk_size_add(size_t a, size_t b, size_t *ret)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *ret = r;
    return true;
}

void *qk_calloc(size_t n, size_t size)
{
    if (must_fail()) {
        return NULL;
    }
    return calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);
}

void *qk_realloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (must_fail() || !qk_size_mul(n, size, &bytes)) {
        return NULL;
    }
    return realloc(p, bytes == 0 ? 1 : bytes);
}

void *qk_alloc_aligned(size_t n, size_t size)
{
    size_t bytes;
    if (must_fail() || !qk_size_mul(n, size, &bytes) || bytes > SIZE_MAX - 64) {
        return NULL;
    }
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

void qk_free(void *p)
{
    free(p);
}
