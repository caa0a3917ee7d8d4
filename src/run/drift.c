/* A drift run in order: tuned checkpoint by tuned checkpoint, layer by layer; results go into the table as they come.
 */
#include "run/drift.h"

#include <stdio.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/str.h"
#include "drift_run.h"
#include "drift_table.h"
#include "layer_setup.h"
#include "num/blas.h"

struct progress_state {
    const struct qk_progress *sink;
    uint64_t done, total;
};

static uint64_t layer_bytes(const struct qk_layer *layer)
{
    uint64_t bytes = 0;
    for (size_t s = 0; s < layer->n_slices; s++) {
        const struct qk_rows *rows = &layer->slices[s].rows;
        uint64_t n = rows->tensor->n_dims < 2 ? rows->tensor->n_elements
                     : rows->transposed       ? rows->tensor->shape[rows->tensor->n_dims - 1]
                                        : rows->tensor->n_elements / rows->tensor->shape[rows->tensor->n_dims - 1];
        bytes += n == 0 ? 0 : rows->tensor->n_bytes / n * rows->count;
    }
    return bytes;
}

/* Whether the layer is to be computed now. */
static bool to_do(const struct qk_drift_options *options, const struct qk_model *model, size_t tuned, size_t layer)
{
    return qk_selection_covers(options, layer) &&
           (options->done == NULL || !options->done[tuned * model->n_layers + layer]);
}

/* Whether its numbers are wanted, not only its place in the list. */
static bool is_measured(const struct qk_drift_options *options, const struct qk_layer *layer)
{
    return qk_selection_has_kind(options, layer->kind);
}

/* The unit of a scope at column: its view, or NULL where the layer has no such head. */
static bool unit_of(const struct qk_layer_run *layer, enum qk_metric_scope scope, size_t column,
                    const struct qk_module_sum *modules, struct qk_drift_unit *ret)
{
    *ret = (struct qk_drift_unit){0};
    switch (scope) {
    case QK_SCOPE_Q:
        ret->projection = layer != NULL && column < layer->n_heads ? &layer->heads[column] : NULL;
        return ret->projection != NULL;
    case QK_SCOPE_K:
        ret->projection = layer != NULL && column < layer->n_kv ? &layer->heads[layer->n_heads + column] : NULL;
        return ret->projection != NULL;
    case QK_SCOPE_QK:
        ret->routing = layer != NULL && column < layer->n_heads ? &layer->routing[column] : NULL;
        return ret->routing != NULL;
    case QK_SCOPE_MODULE:
    case QK_SCOPE_OUTER:
        ret->module = &modules[column];
        return true;
    case QK_SCOPE_PROBE:
    case QK_SCOPE_LOSS:
        break;
    }
    return false;
}

/* All metrics of one layer into the table. */
static enum qk_code write_layer(struct qk_table *table, const struct qk_drift_run *run, size_t index,
                                const struct qk_layer_run *layer, const struct qk_module_sum *modules,
                                struct qk_err *err)
{
    for (size_t m = 0; m < run->selection.n_metrics; m++) {
        const struct qk_metric *metric = run->selection.metrics[m];
        struct qk_node *values, *state;
        if (metric->scope == QK_SCOPE_OUTER) {
            continue;
        }
        QK_TRY(qk_drift_nodes(table, run->tuned->name, metric, &values, &state, err));
        for (size_t column = 0; column < state->shape[1]; column++) {
            struct qk_drift_unit unit;
            if (unit_of(layer, metric->scope, column, modules, &unit)) {
                qk_drift_put(metric, values, state, index, column, &unit);
            } else {
                qk_drift_put_absent(state, index, column);
            }
        }
    }
    return QK_OK;
}

static enum qk_code measure_layer(struct qk_table *table, struct qk_drift_run *run, size_t index,
                                  struct qk_arena *arena, struct qk_err *err)
{
    const struct qk_layer *base = &run->base->model->layers[index];
    struct qk_layer_run layer;
    const struct qk_layer_run *heads = NULL;
    struct qk_module_sum *modules = qk_arena_alloc(arena, qk_module_count(), sizeof(*modules));
    if (modules == NULL) {
        return qk_fail_nomem(err, "modules");
    }
    if ((run->selection.needs & QK_NEED_GRAM) != 0 && base->n_heads > 0) {
        QK_TRY(qk_layer_setup(&layer, run, index, arena, err));
        QK_TRY(qk_layer_heads(&layer, err));
        heads = &layer;
    }
    if ((run->selection.needs & QK_NEED_MODULE) != 0) {
        QK_TRY(qk_layer_modules(run, index, heads, modules, err));
    }
    return write_layer(table, run, index, heads, modules, err);
}

static enum qk_code run_layer(struct qk_table *table, struct qk_drift_run *run, size_t tuned, size_t index,
                              struct qk_err *err)
{
    QK_TRY(qk_interrupt_check(err));
    if (is_measured(run->options, &run->base->model->layers[index])) {
        struct qk_arena *arena = qk_arena_new();
        if (arena == NULL) {
            return qk_fail_nomem(err, "layer");
        }
        enum qk_code code = measure_layer(table, run, index, arena, err);
        qk_arena_free(arena);
        if (code != QK_OK) {
            qk_err_context(err, "%s: layer %zu", run->tuned->name, index);
            return code;
        }
    }
    QK_TRY(qk_drift_mark_layer(table, run->tuned->name, index, err));
    return run->options->on_layer == NULL
               ? QK_OK
               : run->options->on_layer(run->options->on_layer_ctx, table, tuned, index, err);
}

/* Embedding, final norm, head: the same in every part of a run, whatever its layers. */
static enum qk_code run_outer(struct qk_table *table, struct qk_drift_run *run, struct qk_err *err)
{
    const struct qk_metric *metric = qk_metric_find("drift", "outer_rel_drift");
    struct qk_module_sum *sums = qk_arena_alloc(run->arena, qk_outer_count(), sizeof(*sums));
    struct qk_node *values, *state;
    if (sums == NULL) {
        return qk_fail_nomem(err, "modules");
    }
    QK_TRY(qk_drift_nodes(table, run->tuned->name, metric, &values, &state, err));
    QK_TRY(qk_outer_modules(run, sums, err));
    for (size_t i = 0; i < state->shape[0]; i++) {
        struct qk_drift_unit unit;
        if (unit_of(NULL, QK_SCOPE_OUTER, i, sums, &unit)) {
            qk_drift_put(metric, values, state, i, 0, &unit);
        }
    }
    return QK_OK;
}

static enum qk_code run_pair(struct qk_table *table, struct qk_drift_run *run, size_t tuned,
                             struct progress_state *progress, struct qk_err *err)
{
    const struct qk_model *model = run->base->model;
    if ((run->selection.needs & QK_NEED_OUTER) != 0) {
        QK_TRY(run_outer(table, run, err));
    }
    for (size_t l = 0; l < model->n_layers; l++) {
        if (!to_do(run->options, model, tuned, l)) {
            continue;
        }
        char label[128];
        snprintf(label, sizeof(label), "%s layer %zu", run->tuned->name, l);
        qk_progress_update(progress->sink, progress->done, progress->total, label);
        QK_TRY(run_layer(table, run, tuned, l, err));
        progress->done += layer_bytes(&model->layers[l]);
        qk_progress_update(progress->sink, progress->done, progress->total, label);
    }
    return QK_OK;
}

static enum qk_code run_all(struct qk_table *table, struct qk_drift_run *run, const struct qk_run_input *tuned,
                            size_t n_tuned, struct progress_state *progress, struct qk_err *err)
{
    QK_TRY(qk_selection_make(run->arena, run->options, &run->selection, err));
    for (size_t t = 0; t < n_tuned; t++) {
        run->tuned = &tuned[t];
        QK_TRY(qk_workers_init(run, err));
        enum qk_code code = run_pair(table, run, t, progress, err);
        qk_workers_release(run);
        if (code != QK_OK) {
            return code;
        }
    }
    return QK_OK;
}

enum qk_code qk_drift_run(struct qk_table *table, const struct qk_run_input *base, const struct qk_run_input *tuned,
                          size_t n_tuned, const struct qk_drift_options *options, struct qk_pool *pool,
                          const struct qk_progress *progress, struct qk_err *err)
{
    struct progress_state state = {.sink = progress};
    struct qk_drift_run run = {.base = base, .options = options, .pool = pool, .arena = qk_arena_new()};
    if (run.arena == NULL) {
        return qk_fail_nomem(err, "drift run");
    }
    run.n_tau = qk_tau_grid(base->model->max_position, run.tau);
    for (size_t t = 0; t < n_tuned; t++) {
        for (size_t l = 0; l < base->model->n_layers; l++) {
            state.total += to_do(options, base->model, t, l) ? layer_bytes(&base->model->layers[l]) : 0;
        }
    }
    enum qk_code code = run_all(table, &run, tuned, n_tuned, &state, err);
    qk_workers_release(&run);
    qk_arena_free(run.arena);
    return code;
}
