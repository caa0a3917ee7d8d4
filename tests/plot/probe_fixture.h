/* Adds to a made-up drift run what `qkscope probe` makes of the same checkpoints: histograms of attention distance and
 * the routing losses that follow from them. */
#ifndef QK_TESTS_PROBE_FIXTURE_H
#define QK_TESTS_PROBE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "drift_fixture.h"

/* A run with /drift, /probe, /routing and a /recommend about the first tuned checkpoint; names as in drift_fixture.
 * Tuned checkpoint 1 lost far attention in about one head of five, above all in softmax layers; later ones lost less
 * and less. Linear layers have implied histograms. Asserts on failure. Free with qk_table_free. */
struct qk_table *run_fixture(const struct drift_shape *shape, const char *const *names, size_t n);
/* The same without /drift. */
struct qk_table *probe_fixture(const struct drift_shape *shape, const char *const *names, size_t n);

#endif
