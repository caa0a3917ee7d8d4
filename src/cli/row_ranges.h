/* The stored rows that play a role in a layer, merged into ranges per tensor. Private to src/cli. */
#ifndef QK_CLI_ROW_RANGES_H
#define QK_CLI_ROW_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/model.h"

struct qk_row_range {
    uint64_t first, end; /* [first, end) */
};

struct qk_row_ranges {
    const struct qk_tensor *tensor;
    bool transposed;
    size_t n;
    struct qk_row_range *ranges; /* ascending, neither touching nor overlapping */
};

/* Which rows of a head's part. */
enum qk_part_rows { QK_PART_OWN, QK_PART_INNER, QK_PART_ADAPTER, QK_N_PART_ROWS };

/* One entry per tensor, in order of first use by the heads of role QK_ROLE_Q or QK_ROLE_K. Rows that several heads
 * share are given once. */
enum qk_code qk_row_ranges(const struct qk_layer *layer, enum qk_role role, enum qk_part_rows which,
                           struct qk_arena *arena, struct qk_row_ranges **ret, size_t *ret_n,
                           struct qk_err *err) QK_CHECKED;

/* Rows of the logical matrix that a tensor stores. */
uint64_t qk_logical_rows(const struct qk_tensor *tensor, bool transposed);

#endif
