/* Inside of a runner: one layer on one sequence, embedding and scores. */
#ifndef QK_FORWARD_MODEL_RUN_H
#define QK_FORWARD_MODEL_RUN_H

#include "mixer.h"

enum { QK_MIXERS_PER_LAYER = 2 };

struct qk_runner {
    struct qk_forward_spec *spec;
    struct qk_pool *pool;
    struct qk_weights weights;
    struct qk_scratch scratch;
};

/* Tokens that pass through an MLP together: enough that converting its weights costs little. */
size_t qk_mlp_block(size_t n_tokens);

/* x (n_tokens, hidden) := layer(x). states: one per mixer. (block.c) */
enum qk_code qk_layer_run(struct qk_runner *runner, const struct qk_forward_hooks *hooks,
                          const struct qk_forward_place *place, struct qk_mixer_state *states, float *x,
                          struct qk_err *err) QK_CHECKED;
/* Floats of scratch per token of a sequence, and per token of an MLP block. */
void qk_layer_floats(const struct qk_forward_spec *spec, size_t layer, size_t *ret_per_token, size_t *ret_per_block);

/* x := embedding of ids, the first at position first. (embedding.c) */
enum qk_code qk_embed(struct qk_runner *runner, size_t n, const uint32_t *ids, size_t first, float *x,
                      struct qk_err *err) QK_CHECKED;

/* Tokens whose logits are held at once. (logits.c) */
size_t qk_logits_block(const struct qk_forward_spec *spec);
/* logits (n, vocab) and final (n, hidden) of residual rows x. */
enum qk_code qk_logits(struct qk_runner *runner, size_t n, const float *x, float *final, float *logits,
                       struct qk_err *err) QK_CHECKED;
/* Hooks logits and token for the tokens of a sequence from position from on. */
enum qk_code qk_score(struct qk_runner *runner, const struct qk_forward_hooks *hooks, size_t sequence,
                      const struct qk_sequence *ids, size_t from, const float *x, struct qk_err *err) QK_CHECKED;

#endif
