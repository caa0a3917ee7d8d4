/* What every fuzz target of a checkpoint parser checks: parsing to the first violation and collecting all agree. */
#ifndef QK_FUZZ_BOTH_WAYS_H
#define QK_FUZZ_BOTH_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct qk_fuzz_first {
    char text[4096]; /* the first violation as opening would word it */
    size_t n;
};

/* Aborts, so that the fuzzer keeps the input. */
void qk_fuzz_require(bool holds, const char *what);
/* A qk_violation_fn for a struct qk_fuzz_first. */
void qk_fuzz_collect(void *ctx, const struct qk_violation *violation);
/* code and err of the run without a report against what was collected. */
void qk_fuzz_agree(enum qk_code code, const struct qk_err *err, const struct qk_fuzz_first *first);

#endif
