/* What figures read from a result table: the layers of /model and the metrics of /drift/NAME, /probe/NAME and
 * /routing/NAME, checked once here so that a table of another shape gives "no data" and never a wild read.
 *
 * Borrows the table. */
#ifndef QK_PLOT_RUN_VIEW_H
#define QK_PLOT_RUN_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"

struct qk_run_view {
    const struct qk_table *table;
    size_t n_layers;
    const char *group;        /* of the entries: "drift", "probe", "routing" */
    size_t n_checkpoints;     /* entries of the group, in order of creation */
    const char **checkpoints; /* names; owned */
    const char *base;         /* name of the base checkpoint */
    size_t current;           /* the checkpoint being drawn */
};

/* A metric as (layer, head, depth); v NULL and n_* 0 when the table has no such array of doubles over layers. */
struct qk_values {
    const double *v;
    size_t n_layers, n_heads, n_depth;
    const struct qk_node *node;
};

/* A table without /model/layer or the group gives a view without layers or checkpoints. Borrows group. */
enum qk_code qk_run_view_init(const struct qk_table *table, const char *group, struct qk_run_view *ret,
                              struct qk_err *err) QK_CHECKED;
/* The name of the next entry of a group; start with *at 0; NULL behind the last. */
const char *qk_run_view_next(const struct qk_table *table, const char *group, size_t *at);
void qk_run_view_release(struct qk_run_view *view);

/* A metric of a checkpoint's entry in the view's own group, resp. in another one. */
struct qk_values qk_run_view_values(const struct qk_run_view *view, size_t checkpoint, const char *metric);
struct qk_values qk_table_values(const struct qk_table *table, const char *group, const char *checkpoint,
                                 const char *metric);
/* An entry's dataset of any shape, or the entry itself (leaf NULL); NULL when there is none. */
const struct qk_node *qk_table_entry(const struct qk_table *table, const char *group, const char *checkpoint,
                                     const char *leaf);
/* NaN outside. */
double qk_values_at(const struct qk_values *values, size_t layer, size_t head, size_t depth);
bool qk_values_any_finite(const struct qk_values *values);

/* "full", "sliding", "linear", "ssm", "none" as the run says; "" when it does not. */
const char *qk_run_view_kind(const struct qk_run_view *view, size_t layer);
/* Query heads, resp. key heads, of a layer; the largest size_t when the run does not say. */
size_t qk_run_view_n_heads(const struct qk_run_view *view, size_t layer, bool key);
/* True when the attention of a layer in an entry of /probe is what a linear mixer implies, not a softmax. */
bool qk_run_view_is_implied(const struct qk_table *table, const char *checkpoint, size_t layer);

/* The scale of a node's axis; NULL when it has none of that length. node may be NULL. */
const struct qk_node *qk_node_scale(const struct qk_run_view *view, const struct qk_node *node, size_t dim);
/* Coordinate i of a node's axis; the index itself when there is no scale of numbers. */
double qk_node_coordinate(const struct qk_run_view *view, const struct qk_node *node, size_t dim, size_t i);

/* Quartiles and extremes of the finite values of n; false when there are none. Sorts v. */
struct qk_spread {
    double min, q25, median, q75, max;
    size_t n;
};
bool qk_spread_of(double *v, size_t n, struct qk_spread *ret);
/* Over the heads of one layer at one depth. scratch holds n_heads values. */
bool qk_values_spread(const struct qk_values *values, size_t layer, size_t depth, double *scratch,
                      struct qk_spread *ret);

#endif
