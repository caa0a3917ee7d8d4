/* A small made-up run file as a table, quiet: drift above rounding, nothing lost, no finding applies. Tests change
 * single numbers of it. */
#ifndef QK_TESTS_ADVISE_MADE_RUN_H
#define QK_TESTS_ADVISE_MADE_RUN_H

#include "advise/evidence.h"

/* Layers: 0 linear, 1 full with RoPE, 2 linear, 3 full without RoPE, 4 sliding with RoPE, 5 none. Four query heads,
 * two key heads; q/k norms in 1. Checkpoints "base" and "tuned". Asserts on failure. */
enum { MADE_LAYERS = 6, MADE_HEADS = 4, MADE_KV_HEADS = 2, MADE_PROBES = 2 };

#define MADE_BASE_SHA256  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MADE_TUNED_SHA256 "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

enum made_part { MADE_DRIFT = 1, MADE_PROBE = 2 };
struct qk_table *made_run(unsigned parts);

/* A node that must be there. */
struct qk_node *made_node(struct qk_table *table, const char *path);
/* Sets one value of a dataset over (layer, second axis). */
void made_set(struct qk_table *table, const char *path, size_t layer, size_t i, double value);
/* module_rel_drift of a module by name. */
void made_module(struct qk_table *table, size_t layer, const char *module, double value);
/* Takes a node out. */
void made_remove(struct qk_table *table, const char *path);

/* Opens the evidence; memory from *arena, which the caller frees. */
struct qk_evidence made_evidence(const struct qk_table *table, struct qk_arena *arena);

#endif
