/* The part of the result table that a drift run fills. */
#ifndef QK_RUN_DRIFT_TABLE_H
#define QK_RUN_DRIFT_TABLE_H

#include "analyses/drift.h"
#include "analyses/metric.h"
#include "analyses/table.h"
#include "run/drift.h"

/* Sizes of the axes, the largest over all layers; the same for every measurement of a model, so that files join.
 * n_heads counts the heads that mix tokens: a linear layer's value heads where it has more of them than query heads. */
struct qk_axes {
    size_t n_layers, n_heads, n_kv_heads, head_dim, n_pairs, n_tau, max_in;
};

struct qk_axes qk_axes_of(const struct qk_model *model);
/* Distances 0, 1, 2, 4 … up to the longest context, which is the last one; at most 66. Gives their number. */
size_t qk_tau_grid(size_t max_position, double *tau);

/* The group /model: axes, facts about the layers. */
enum qk_code qk_result_model(struct qk_table *table, const struct qk_model *model, struct qk_err *err) QK_CHECKED;
/* Adds /GROUP/CHECKPOINT/METRIC and its state, all cells "not computed". */
enum qk_code qk_result_metric(struct qk_table *table, const char *checkpoint, const struct qk_metric *metric,
                              struct qk_err *err) QK_CHECKED;
/* The attributes that every dataset has. */
enum qk_code qk_result_describe(struct qk_table *table, struct qk_node *node, const char *title, const char *units,
                                const char *definition, struct qk_err *err) QK_CHECKED;
/* The dataset of a metric and its state, or an internal error. */
enum qk_code qk_drift_nodes(const struct qk_table *table, const char *checkpoint, const struct qk_metric *metric,
                            struct qk_node **ret_values, struct qk_node **ret_state, struct qk_err *err) QK_CHECKED;
/* Writes one unit's values of a metric at row (layer, or the first axis) and column (ignored where there is one axis).
 */
void qk_drift_put(const struct qk_metric *metric, struct qk_node *values, struct qk_node *state, size_t row,
                  size_t column, const struct qk_drift_unit *unit);
/* Marks a cell as not applicable. */
void qk_drift_put_absent(struct qk_node *state, size_t row, size_t column);
/* Adds layer to the `layers` attribute of /drift/NAME. */
enum qk_code qk_drift_mark_layer(struct qk_table *table, const char *checkpoint, size_t layer,
                                 struct qk_err *err) QK_CHECKED;

#endif
