/* Result tables shaped like real drift runs, small, with all node and attribute types. */
#ifndef QK_TESTS_STORE_SYNTHETIC_RUN_H
#define QK_TESTS_STORE_SYNTHETIC_RUN_H

#include "analyses/table.h"

struct synthetic_run {
    size_t n_layers, n_heads;
    size_t first, last;       /* layers computed by this part, inclusive; the others hold NaN and not_computed */
    const char *const *tuned; /* names, ends with NULL */
    const char *options;      /* goes into the configuration hash */
    int64_t base_bytes;       /* an input's property */
};

/* The whole run: 6 layers, 3 heads, one tuned checkpoint "sft". */
struct synthetic_run synthetic_whole(void);
/* Asserts on failure; the caller frees. The values depend on (name, layer, head) only. */
struct qk_table *synthetic_table(const struct synthetic_run *run);

#endif
