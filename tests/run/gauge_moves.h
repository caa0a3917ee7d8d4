/* Moves of the made pair's weights (made_run.h) that some metrics must not see, each on one layer. */
#ifndef QK_TESTS_GAUGE_MOVES_H
#define QK_TESTS_GAUGE_MOVES_H

#include <stddef.h>

#include "base/rng.h"

/* Tuned only, per KV group: W_Q → G W_Q, W_K → G⁻ᵀ W_K with any G. */
void move_gl_k(struct qk_rng *rng, size_t l);
/* … with a G that is one complex number per frequency pair. */
void move_rope_scalar(struct qk_rng *rng, size_t l);
/* Tuned only: a positive factor per head of W_Q and of W_K. */
void move_norm_scale(struct qk_rng *rng, size_t l);
/* Both sides: one orthogonal matrix per KV group on W_Q and W_K. */
void move_basis(struct qk_rng *rng, size_t l);
/* All layers at once, when l is 0: base and tuned exchanged; both multiplied by one number. */
void move_symmetric(struct qk_rng *rng, size_t l);
void move_common_scale(struct qk_rng *rng, size_t l);

#endif
