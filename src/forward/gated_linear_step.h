/* One token of a gated linear recurrence as it is written: what decoding runs. */
#ifndef QK_FORWARD_GATED_LINEAR_STEP_H
#define QK_FORWARD_GATED_LINEAR_STEP_H

#include "gated_linear_gram.h"

/* chunk of one token. u (d_v): v on entry, overwritten. state (d_k, d_v); out (d_v). */
void qk_linear_step(const struct qk_chunk *chunk, int delta, float *u, float *state, float *out);

#endif
