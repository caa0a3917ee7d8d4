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
    const bool *layers;         /* n_layers flags, NULL = all */
    unsigned kinds;             /* bit (1 << enum qk_layer_kind); 0 = all kinds */
    const char *const *metrics; /* names or globs, NULL = all */
    size_t n_metrics;
    /* Called after each finished (tuned, layer), in order, with the table so far; for --resume. May be NULL. */
    enum qk_code (*on_layer)(void *ctx, const struct qk_table *table, size_t tuned, size_t layer, struct qk_err *err);
    void *on_layer_ctx;
    /* Layers already in the table (from a partial run): tuned × n_layers flags, NULL = none. They are not recomputed.
     */
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

/* Adds root attributes, /model, /checkpoints/NAME and the /drift/NAME/METRIC datasets of the selected metrics, all
 * states "not computed", to an empty table.
 *
 * What makes parts of a run joinable: /drift/NAME has the attributes config_hash (SHA-256 over program version,
 * --kinds,
 * --metrics and both inputs; not --layers, not threads) and layers (int64, ascending: the layers that this run covered;
 * those of a kind that --kinds excludes count as covered, with state "not computed"). Root attribute history holds, per
 * tuned checkpoint, the command line rebuilt from the configuration, without --layers, --threads, -o and the like;
 * created holds the time of SOURCE_DATE_EPOCH and otherwise says that it was not recorded. So a joined run and a run in
 * one piece are the same bytes. */
enum qk_code qk_drift_prepare(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                              size_t n_tuned, const struct qk_drift_options *options, struct qk_err *err) QK_CHECKED;
/* Takes over what a partial run has computed: copies the values under /drift/NAME from partial into the prepared table
 * and sets done (tuned × n_layers flags, zeroed by the caller). QK_EMISMATCH when a configuration hash differs. */
enum qk_code qk_drift_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *tuned,
                             size_t n_tuned, size_t n_layers, bool *done, struct qk_err *err) QK_CHECKED;
/* Fills them. */
enum qk_code qk_drift_run(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                          size_t n_tuned, const struct qk_drift_options *options, struct qk_pool *pool,
                          const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Bytes that the run will hold at most, for -v. */
size_t qk_drift_memory(const struct qk_run_input *base, size_t n_threads);

#endif
