/* A part of a run that is split by its pieces (sequences, cases, problems): every n-th of them. */
#ifndef QK_RUN_PART_H
#define QK_RUN_PART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct qk_part {
    size_t i, n; /* part i (from 1) of n: pieces k with k mod n = i − 1; n = 0 or 1: all */
};

/* "i/n" with 1 ≤ i ≤ n; QK_EUSAGE else. */
enum qk_code qk_part_parse(const char *text, struct qk_part *ret, struct qk_err *err) QK_CHECKED;
/* Whether the part has piece k, and how many of n pieces it has. */
bool qk_part_has(const struct qk_part *shard, size_t k);
size_t qk_part_count(const struct qk_part *shard, size_t n);

#endif
