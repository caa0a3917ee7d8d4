/* Attention distance of linear layers: the token-to-token mixing that a recurrence implies, taken by absolute value and
 * normalised per row, added up like rows of softmax attention (analyses/attention_distance.h).
 *
 * An implied row costs O(t · d_k), so only sampled queries are taken. */
#ifndef QK_ANALYSES_IMPLICIT_MIXING_H
#define QK_ANALYSES_IMPLICIT_MIXING_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/attention_distance.h"
#include "forward/linear_mixer.h"

/* At most n of the selected queries, spread evenly, the last one among them: sampled (n_tokens) is selected thinned. */
void qk_implicit_sample(size_t n_tokens, const bool *selected, size_t n, bool *sampled);

/* Bytes of scratch for sequences of n_tokens and keys of d_k. */
size_t qk_implicit_scratch(size_t n_tokens, size_t d_k);
/* Adds one head's rows over a whole sequence (mixer starts at position 0): those that plan selects, the answer's for
 * the needle alone, and the decay. value_scale (n_tokens, n_heads), or NULL: mixer->v is this times the value that the
 * mixing is over. A row that is zero throughout counts for nothing. */
void qk_implicit_add_head(const struct qk_linear_mixer *mixer, const float *value_scale, size_t head,
                          const struct qk_distance_plan *plan, void *scratch, struct qk_distance_sums *sums);

#endif
