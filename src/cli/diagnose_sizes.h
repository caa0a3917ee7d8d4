/* How much a diagnosis measures: steps of size, and the largest that fits into a time. Private to src/cli. */
#ifndef QK_CLI_DIAGNOSE_SIZES_H
#define QK_CLI_DIAGNOSE_SIZES_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct qk_diagnose_size {
    const char *name;            /* "xs" … "xl" */
    const char *tasks, *lengths; /* of niah */
    size_t depths, samples;
    const char *probe_length;
    size_t probes;
    const char *measure_lengths; /* of recommend --measure */
    size_t measure_depths, measure_samples, test_samples, passes;
};

size_t qk_diagnose_n_sizes(void);
/* "xs", "s", "m", "l", "xl"; NULL when there is none of that name. */
const struct qk_diagnose_size *qk_diagnose_size_find(const char *name);
/* Tokens to run through models for all of it; n_reasoning: tokens of the problems. */
double qk_diagnose_size_tokens(const struct qk_diagnose_size *size, double reasoning_tokens);
/* The largest that needs at most this many tokens, else the smallest. */
const struct qk_diagnose_size *qk_diagnose_size_within(double tokens, double reasoning_tokens);
/* Leaves lengths above longest out of a list ("512,1k"), but never all; longest 0: none is left out. NULL when out of
 * memory. */
const char *qk_diagnose_lengths_within(const char *lengths, size_t longest, struct qk_arena *arena);
/* "recall of 72 cases (s1,s2,s3 at 512,1k,2k) …", for the user. */
void qk_diagnose_size_add(const struct qk_diagnose_size *size, struct qk_str *out);

#endif
