/* Preparation of one layer of a drift run. */
#ifndef QK_RUN_LAYER_SETUP_H
#define QK_RUN_LAYER_SETUP_H

#include "drift_run.h"

/* Fills layer for the pair at hand; memory from arena, which outlives it. The layer must have heads. */
enum qk_code qk_layer_setup(struct qk_layer_run *layer, struct qk_drift_run *run, size_t index, struct qk_arena *arena,
                            struct qk_err *err) QK_CHECKED;

#endif
