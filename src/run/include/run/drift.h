/* A drift run: base against one or more tuned checkpoints, layer by layer, head by head, into a result table.
 *
 * Memory is a few tiles per worker, whatever the checkpoint's size; every byte is read once per pair. Results do not
 * depend on the number of threads. */
#ifndef QK_RUN_DRIFT_H
#define QK_RUN_DRIFT_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "model/model.h"

struct qk_drift_options {
    const bool *layers;       /* n_layers flags, NULL = all */
    unsigned kinds;           /* bit (1 << enum qk_layer_kind); 0 = all kinds */
    const char *const *metrics; /* names or globs, NULL = all */
    size_t n_metrics;
    /* Called after each finished (tuned, layer), in order, with the table so far; for --resume. May be NULL. */
    enum qk_code (*on_layer)(void *ctx, const struct qk_table *table, size_t tuned, size_t layer, struct qk_err *err);
    void *on_layer_ctx;
    /* Layers already in the table (from a partial run): tuned × n_layers flags, NULL = none. They are not recomputed. */
    const bool *done;
};

/* One checkpoint of a run. name is its name in results. */
struct qk_run_input {
    const char *name;
    const struct qk_ckpt *ckpt;
    const struct qk_model *model;
};

/* Refuses pairs that do not belong together (QK_EMISMATCH naming the first differences). Differences that do not touch
 * Q and K are notices through progress. */
enum qk_code qk_run_check_pair(const struct qk_run_input *base, const struct qk_run_input *tuned,
                               const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;

/* Adds /model, /checkpoints/NAME and the empty /drift/NAME/METRIC datasets of all metrics to an empty table. */
enum qk_code qk_drift_prepare(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                              size_t n_tuned, const struct qk_drift_options *options, struct qk_err *err) QK_CHECKED;
/* Fills them. */
enum qk_code qk_drift_run(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                          size_t n_tuned, const struct qk_drift_options *options, struct qk_pool *pool,
                          const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Bytes that the run will hold at most, for -v. */
size_t qk_drift_memory(const struct qk_run_input *base, size_t n_threads);

#endif
