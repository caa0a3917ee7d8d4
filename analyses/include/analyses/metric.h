/* The metric table: one row per metric of docs/metrics.md. The row drives computing, HDF5 attributes, figures,
 * `qkscope metrics`, the generated docs and the generic property test. */
#ifndef QK_ANALYSES_METRIC_H
#define QK_ANALYSES_METRIC_H

#include <stddef.h>

#include "analyses/table.h"

struct qk_drift_unit; /* analyses/drift.h */

/* What a metric is a property of: which units the run visits to fill its dataset. */
enum qk_metric_scope {
    QK_SCOPE_Q,      /* a query head's W_Q */
    QK_SCOPE_K,      /* a key head's W_K */
    QK_SCOPE_QK,     /* a query head and the key head it reads */
    QK_SCOPE_MODULE, /* one role of a layer */
    QK_SCOPE_OUTER,  /* one role outside the layers */
    QK_SCOPE_PROBE,  /* a query head's attention on probe sequences (analyses/attention_distance.h) */
    QK_SCOPE_LOSS,   /* the same head's attention in two checkpoints (analyses/routing_loss.h) */
};

/* What has to be computed for a metric beyond sums over the Gram matrices; the run does the union of what is asked. */
enum qk_metric_need {
    QK_NEED_SPECTRAL = 1,
    QK_NEED_ANGLES = 2,
    QK_NEED_PROCRUSTES = 4,
    QK_NEED_NOISE = 8,      /* Σ ulp² of both storages */
    QK_NEED_ROUTING = 16,   /* the form M of weights as stored */
    QK_NEED_EFFECTIVE = 32, /* the form with norm weights folded in */
    QK_NEED_DISTANCE = 64,
    QK_NEED_BAND = 128,
    QK_NEED_MODULE = 256,
    QK_NEED_OUTER = 512,
    QK_NEED_GRAM = 1024, /* the head's Gram matrices */
};

enum qk_invariance {
    QK_INV_GL_K = 1,          /* NoPE, no q/k norm: W_Q → G W_Q, W_K → G⁻ᵀ W_K per KV group */
    QK_INV_ROPE_SCALAR = 2,   /* RoPE: one complex scalar per frequency pair on Q, its inverse conjugate on K */
    QK_INV_NORM_SCALE = 4,    /* q/k norm: positive scaling per head of W_Q and of W_K separately */
    QK_INV_SYMMETRIC = 8,     /* unchanged when base and tuned are swapped */
    QK_INV_BASIS = 16,        /* unchanged when both sides are rotated by one orthogonal matrix in head space */
    QK_INV_COMMON_SCALE = 32, /* unchanged when both sides are multiplied by one number */
};

struct qk_metric {
    const char *name;         /* "q_rel_drift" */
    const char *group;        /* "drift": the dataset is /drift/NAME/<name> */
    const char *title;        /* for figures: "Relative drift of W_Q" */
    const char *units;        /* "1", "rad", "tokens" … */
    double lo, hi;            /* closed range; hi may be INFINITY */
    const char *dims[4];      /* axis names of /model, NULL-terminated: "layer", "head", "angle" */
    const char *definition;   /* formula in plain text (UTF-8), one line */
    const char *meaning;      /* one sentence: what large and small mean */
    const char *source;       /* paper or standard */
    unsigned invariances;     /* enum qk_invariance bits */
    const char *const *flags; /* NULL: float64. Else the dataset is uint8, value i means flags[i]; NULL-terminated */
    enum qk_metric_scope scope;
    unsigned needs; /* enum qk_metric_need bits */
    /* Writes the unit's values along the trailing axes (those after the first two; one value when there are none) to
     * dst, which comes filled with NaN; gives their common state. */
    enum qk_state (*value)(const struct qk_drift_unit *unit, double *dst);
};

/* What a uint8 metric holds where it has no value. */
#define QK_FLAG_MISSING 255

/* One analyses/<name>.c: a family of metrics. Its name in analyses/meson.build puts its rows into the table. */
struct qk_analysis {
    const char *name;
    const char *title;
    size_t n_metrics;
    const struct qk_metric *metrics;
};
extern const struct qk_analysis *const qk_analyses[];
extern const unsigned qk_analyses_count;

/* All metrics of all analyses, in table order. */
size_t qk_metric_count(void);
const struct qk_metric *qk_metric_at(size_t i);
/* NULL when unknown. */
const struct qk_metric *qk_metric_find(const char *group, const char *name);

#endif
