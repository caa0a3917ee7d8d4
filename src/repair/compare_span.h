/* What is known of one tensor's differences while its spans are compared, in any order and by several threads. */
#ifndef QK_REPAIR_COMPARE_SPAN_H
#define QK_REPAIR_COMPARE_SPAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt/ckpt.h"

struct qk_compare_sums {
    const struct qk_tensor *a, *b;
    bool transposed;
    uint64_t n_rows, n_cols; /* of the logical matrix */
    uint64_t n_planned_rows;
    _Atomic uint64_t *rows;       /* bit r: row r differs; qk_compare_sums_words(n_rows) words */
    _Atomic uint64_t first_byte;  /* UINT64_MAX: none */
    _Atomic uint64_t max_bits;    /* of a double that is not negative: their bits are ordered as they are */
    _Atomic uint64_t n_different; /* spans */
};

uint64_t qk_compare_sums_words(uint64_t n_rows);
/* Sets a, b and the shape; rows, zeroed, are the caller's. */
void qk_compare_sums_init(struct qk_compare_sums *sums, const struct qk_tensor *a, const struct qk_tensor *b,
                          bool transposed);
/* n bytes of the tensor from byte at on, both on borders of elements: expected against found. */
void qk_compare_sums_add(struct qk_compare_sums *sums, uint64_t at, size_t n, const unsigned char *expected,
                         const unsigned char *found);
bool qk_compare_sums_row_differs(const struct qk_compare_sums *sums, uint64_t row);
/* Differing rows among [first, first + count). */
uint64_t qk_compare_sums_count(const struct qk_compare_sums *sums, uint64_t first, uint64_t count);

#endif
