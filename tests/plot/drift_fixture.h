/* Result tables as `qkscope drift` makes them, filled with made-up but realistic numbers: the input of the plot tests.
 */
#ifndef QK_TESTS_DRIFT_FIXTURE_H
#define QK_TESTS_DRIFT_FIXTURE_H

#include <stddef.h>

#include "analyses/table.h"

struct drift_shape {
    const char *name;
    size_t n_layers, n_heads, n_kv_heads, head_dim;
    const size_t *full;     /* softmax layers, ends with SIZE_MAX; NULL = all */
    size_t linear_kv_heads; /* key heads of the other layers */
    size_t n_none;          /* the last layers have no Q and K */
    double level;           /* typical relative drift */
};

extern const struct drift_shape shape_amnesia; /* 8 layers, 6 heads; softmax in 2, 5, 7 with 3 key heads */
extern const struct drift_shape shape_hypenet; /* HypeNet-9B: 36 layers, 32 heads */
extern const struct drift_shape shape_single;  /* 1 layer, 1 head */
extern const struct drift_shape shape_large;   /* 80 softmax layers, 64 heads, 8 key heads; drift over five decades */
extern const struct drift_shape shape_widest;  /* 94 layers, 128 heads, the last layers without Q and K */

/* names: the base first, then n − 1 tuned checkpoints. Asserts on failure. Free with qk_table_free. */
struct qk_table *drift_fixture(const struct drift_shape *shape, const char *const *names, size_t n);
/* Sets all values of a metric of a checkpoint to value. */
void drift_fixture_fill(struct qk_table *table, const char *checkpoint, const char *metric, double value);

#endif
