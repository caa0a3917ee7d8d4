/* Sorting of names: stable, O(n log n) whatever the input, O(n) when it is sorted already (as headers and indices
 * mostly are), and few comparisons for the sorted runs that shards put one after another. */
#ifndef QK_CKPT_ORDER_H
#define QK_CKPT_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qk_named {
    const char *name;
    size_t index;
};

/* Sorts v[n] by name in byte order. Fails only for want of memory; v is then unchanged. */
enum qk_code qk_order_names(struct qk_named *v, size_t n, struct qk_err *err) QK_CHECKED;

struct qk_extent {
    uint64_t begin, end;
    size_t index;
};

/* The same for byte ranges, by begin, then end. */
enum qk_code qk_order_extents(struct qk_extent *v, size_t n, struct qk_err *err) QK_CHECKED;

#endif
