/* The parts of a linear mixer that its inputs are made of. */
#ifndef QK_FORWARD_MIXER_LINEAR_H
#define QK_FORWARD_MIXER_LINEAR_H

#include "mixer.h"

struct qk_linear_inputs {
    float *q, *k, *v; /* repeated to n_qk_heads and n_heads; v as convolved, before Δ */
    float *g, *beta;  /* NULL where the mixer has none */
    float *dt;        /* Δ of Mamba 2 (n_tokens, n_heads), or NULL */
};

/* q, k, v: projected, convolved, activated, normalised, rotated. */
enum qk_code qk_linear_qkv(struct qk_mixer_call *call, const struct qk_linear_spec *spec, struct qk_linear_inputs *ret,
                           struct qk_err *err) QK_CHECKED;
/* g, β and Δ. */
enum qk_code qk_linear_gates(struct qk_mixer_call *call, const struct qk_linear_spec *spec,
                             struct qk_linear_inputs *ret, struct qk_err *err) QK_CHECKED;

#endif
