/* The short answer of a drift run, read from its table: which kinds of layers moved, which heads most, routing or
 * extraction. */
#ifndef QK_RUN_DRIFT_SUMMARY_H
#define QK_RUN_DRIFT_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "analyses/table.h"
#include "base/err.h"
#include "model/model.h"

enum { QK_SUMMARY_TOP = 5, QK_SUMMARY_MODULES = 32 };
/* What is summarised per kind of layer: medians over heads. */
enum qk_summary_column {
    QK_SUMMARY_Q, /* relative drift of W_Q, W_K and of the routing form */
    QK_SUMMARY_K,
    QK_SUMMARY_QK,
    QK_SUMMARY_Q_ANGLE, /* largest principal angle, radians */
    QK_SUMMARY_K_ANGLE,
    QK_SUMMARY_Q_ALIGNABLE, /* share of the drift that a rotation of the head's basis explains */
    QK_SUMMARY_K_ALIGNABLE,
    QK_SUMMARY_FLOOR, /* rounding floor of W_Q's relative drift */
    QK_N_SUMMARY_COLUMNS
};

struct qk_summary_place {
    size_t layer, head;
    double value;
};

struct qk_drift_summary {
    /* per kind of layer: layers measured, and the median of each column over their heads (NaN: not measured) */
    size_t n_layers[QK_N_LAYER_KINDS];
    double median[QK_N_LAYER_KINDS][QK_N_SUMMARY_COLUMNS];
    /* most drifted first, by qk_rel_drift, else q_rel_drift */
    const char *ranked_by; /* NULL: neither was measured */
    size_t n_top_heads, n_top_layers;
    struct qk_summary_place top_heads[QK_SUMMARY_TOP], top_layers[QK_SUMMARY_TOP]; /* layers: median over heads */
    /* median over layers of module_rel_drift, in the order of the module axis; NaN: not there */
    size_t n_modules;
    double modules[QK_SUMMARY_MODULES];
    /* heads of W_Q and W_K together, by q_/k_at_noise_floor */
    size_t n_heads, n_at_floor, n_identical;
    size_t n_undefined; /* heads without a relative drift: NaN or Inf in the weights, zero base */
};

/* name: the tuned checkpoint's. Works on whatever metrics the table has. */
enum qk_code qk_drift_summarise(const struct qk_table *table, const char *name, struct qk_drift_summary *ret,
                                struct qk_err *err) QK_CHECKED;

#endif
