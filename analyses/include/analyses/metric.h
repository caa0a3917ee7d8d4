/* The metric table: one row per metric of docs/metrics.md. The row drives computing, HDF5 attributes, figures,
 * `qkscope metrics`, the generated docs and the generic property test. */
#ifndef QK_ANALYSES_METRIC_H
#define QK_ANALYSES_METRIC_H

#include <stddef.h>

enum qk_invariance {
    QK_INV_GL_K = 1,         /* NoPE, no q/k norm: W_Q → G W_Q, W_K → G⁻ᵀ W_K per KV group */
    QK_INV_ROPE_SCALAR = 2,  /* RoPE: one complex scalar per frequency pair on Q, its inverse conjugate on K */
    QK_INV_NORM_SCALE = 4,   /* q/k norm: positive scaling per head of W_Q and of W_K separately */
    QK_INV_SYMMETRIC = 8,    /* unchanged when base and tuned are swapped */
    QK_INV_BASIS = 16,       /* unchanged when both sides are rotated by one orthogonal matrix in head space */
    QK_INV_COMMON_SCALE = 32, /* unchanged when both sides are multiplied by one number */
};

struct qk_metric {
    const char *name;       /* "q_rel_drift" */
    const char *group;      /* "drift": the dataset is /drift/NAME/<name> */
    const char *title;      /* for figures: "Relative drift of W_Q" */
    const char *units;      /* "1", "rad", "tokens" … */
    double lo, hi;          /* closed range; hi may be INFINITY */
    const char *dims[4];    /* axis names of /model, NULL-terminated: "layer", "head", "angle" */
    const char *definition; /* formula in plain text (UTF-8), one line */
    const char *meaning;    /* one sentence: what large and small mean */
    const char *source;     /* paper or standard */
    unsigned invariances;   /* enum qk_invariance bits */
};

/* All metrics of all analyses, in table order. */
size_t qk_metric_count(void);
const struct qk_metric *qk_metric_at(size_t i);
/* NULL when unknown. */
const struct qk_metric *qk_metric_find(const char *group, const char *name);

#endif
