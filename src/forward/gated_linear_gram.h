/* Products inside one chunk of a gated linear recurrence, each times the decay between its two tokens. */
#ifndef QK_FORWARD_GATED_LINEAR_GRAM_H
#define QK_FORWARD_GATED_LINEAR_GRAM_H

#include <stddef.h>

#define QK_CHUNK ((size_t)64)

struct qk_chunk {
    size_t n, d_k, d_v; /* n ≤ QK_CHUNK tokens */
    size_t n_decays;    /* 1 (per head) or d_k (per key channel) */
    float *q, *k;       /* (n, d_k), q times the scale */
    float *beta;        /* n */
    double *total;      /* (n + 1, n_decays): sum of the log decays of the first i tokens */
};

/* x (d_k) ⊙= e^{total[to] − total[from]}, from ≤ to. */
void qk_chunk_fade(const struct qk_chunk *chunk, size_t from, size_t to, float *x);
/* Rows of the state (d_k, d_v) times the decay of the whole chunk, in double: a rounded factor would add up over the
 * chunks of a head that hardly forgets. */
void qk_chunk_fade_state(const struct qk_chunk *chunk, float *state);
/* gram[i · ld + j] = Σ_d x_id k_jd e^{G_id − G_jd} for j ≤ i, 0 above. x (n, d_k). work: qk_decayed_gram_work floats.
 */
void qk_decayed_gram(const struct qk_chunk *chunk, const float *x, float *gram, size_t ld, float *work);
size_t qk_decayed_gram_work(size_t d_k);

#endif
