/* Running a model: all sequences of a batch pass through one layer's weights, then the next (layer-major), or one
 * sequence grows token by token with a cache (session). Both ways run the same code and give the same numbers up to
 * rounding.
 *
 *   h_0 = embedding(ids) · multiplier + positions;  h_{l+1} = layer_l(h_l);  logits = cap( head · final_norm(h_L) )
 *
 * Activations are float32, (n_tokens, hidden) per sequence, all sequences of a batch held at once; one layer's
 * intermediates of one sequence at a time. Weights stay on disk and are converted tile by tile inside the products, all
 * through one function (weights.h), where a caller may put others in their place. Norms, convolutions and the like are
 * kept in memory once read, and all weights of a model that takes at most 256 MiB as floats.
 *
 * A runner is used by one thread at a time; it spreads its work over the pool. Hooks are called from the calling
 * thread, except for rows of an attention observer. An error of a hook ends the run and is passed on. */
#ifndef QK_FORWARD_RUNNER_H
#define QK_FORWARD_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "forward/attention.h"
#include "forward/linear_mixer.h"
#include "model/forward_spec.h"

struct qk_runner;

/* Other weights in the place of the model's (Q and K of another checkpoint swapped in). find is asked for every block
 * of rows: true, and *ret_ckpt, *ret_rows (same count and columns) name what is read instead. */
struct qk_weight_override {
    void *ctx;
    bool (*find)(void *ctx, const struct qk_rows *rows, const struct qk_ckpt **ret_ckpt, struct qk_rows *ret_rows);
};

/* model and pool are borrowed. override may be NULL; it is copied. */
enum qk_code qk_runner_new(const struct qk_model *model, struct qk_pool *pool,
                           const struct qk_weight_override *override, struct qk_runner **ret,
                           struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_runner_free(struct qk_runner *runner);
const struct qk_forward_spec *qk_runner_spec(const struct qk_runner *runner);
/* Forgets the weights that were kept, for when the override's answers or the bytes behind them change. */
void qk_runner_forget(struct qk_runner *runner);

struct qk_sequence {
    size_t n; /* at least 1 */
    const uint32_t *ids;
};

/* Where a hook is called: sequence of the batch, layer, position of the first of n_tokens tokens. */
struct qk_forward_place {
    size_t sequence, layer, first_position, n_tokens;
};

/* A finished linear mixing: mixer as it ran (q, k, v, g, beta after all activations; the final state), before output
 * norm and gate. value_scale (n_tokens, n_heads), or NULL: mixer->v is this times the value v_s that the mixing is over
 * (Δ of Mamba 2), so an implied row of qk_implicit_row times value_scale[s] is over v_s. */
struct qk_linear_view {
    const struct qk_linear_mixer *mixer;
    const float *value_scale;
};

/* Each may be NULL. */
struct qk_forward_hooks {
    void *ctx;
    /* Fills x (n_tokens, hidden), the residual stream in front of options.first_layer = place->layer, where that is not
     * 0: what hidden showed there in a run whose layers below had the same weights. The rest gives the same bits. */
    enum qk_code (*start)(void *ctx, const struct qk_forward_place *place, float *x, struct qk_err *err);
    /* Before softmax attention of a layer: the observer to use; leave *ret zero for none. */
    enum qk_code (*attention)(void *ctx, const struct qk_forward_place *place, const struct qk_attention *attention,
                              struct qk_attention_observer *ret, struct qk_err *err);
    enum qk_code (*attention_done)(void *ctx, const struct qk_forward_place *place, struct qk_err *err);
    enum qk_code (*linear)(void *ctx, const struct qk_forward_place *place, const struct qk_linear_view *view,
                           struct qk_err *err);
    /* The residual stream x (n_tokens, hidden) in front of layer place->layer (n_layers: behind the last). */
    enum qk_code (*hidden)(void *ctx, const struct qk_forward_place *place, const float *x, struct qk_err *err);
    /* Blocks of tokens: final (n_tokens, hidden) is what the head reads, logits (n_tokens, vocab). Called for the
     * tokens from scores_from on, in order, in blocks of some tokens. */
    enum qk_code (*logits)(void *ctx, const struct qk_forward_place *place, const float *final, const float *logits,
                           struct qk_err *err);
    /* Of token at position t ≥ scores_from: the best next id, and nll = −ln p of the id at t + 1 (NaN for the last). */
    enum qk_code (*token)(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err);
};

struct qk_forward_options {
    /* Per sequence the first position whose logits are wanted; NULL = all when logits or token is set. */
    const size_t *scores_from;
    const bool *layers; /* (n_layers) hooks attention and linear only there; NULL = all */
    size_t first_layer; /* at most n_layers: layers below are not run, and the hook start must be there */
    const struct qk_progress *progress;
};

/* Runs n sequences. hooks and options may be NULL. QK_EFORMAT for an id out of the vocabulary. */
enum qk_code qk_runner_forward(struct qk_runner *runner, size_t n, const struct qk_sequence *sequences,
                               const struct qk_forward_hooks *hooks, const struct qk_forward_options *options,
                               struct qk_err *err) QK_CHECKED;
/* Bytes that it holds at most for sequences of these lengths (weights' page cache not counted). */
size_t qk_runner_memory(const struct qk_runner *runner, size_t n, const size_t *lengths);

/* One growing sequence with its keys, values and recurrent states. */
struct qk_session;
/* capacity: tokens it may hold in all. */
enum qk_code qk_session_new(struct qk_runner *runner, size_t capacity, struct qk_session **ret,
                            struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_session_free(struct qk_session *session);
/* Feeds n ≥ 1 more tokens. logits (vocab) of the last of them, or NULL. A failed feed leaves the session unusable. */
enum qk_code qk_session_feed(struct qk_session *session, size_t n, const uint32_t *ids, float *logits,
                             struct qk_err *err) QK_CHECKED;
/* The same with the logits (n_logits, vocab) of the last n_logits ≤ n of them, which are all held at once. */
enum qk_code qk_session_feed_scored(struct qk_session *session, size_t n, const uint32_t *ids, size_t n_logits,
                                    float *logits, struct qk_err *err) QK_CHECKED;
size_t qk_session_length(const struct qk_session *session);

/* A place in a session that it can go back to, so that a beginning which several continuations share is computed once.
 * Feeding the same tokens in the same pieces after going back gives the same bits. A mark costs a copy of the recurrent
 * states; keys and values stay in the session, so a mark is valid until the session goes back to an earlier place. */
struct qk_session_mark;
enum qk_code qk_session_mark_new(const struct qk_session *session, struct qk_session_mark **ret,
                                 struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_session_mark_free(struct qk_session_mark *mark);
/* Forgets all tokens after the mark; NULL: all. */
void qk_session_rewind(struct qk_session *session, const struct qk_session_mark *mark);
size_t qk_session_mark_length(const struct qk_session_mark *mark);

#endif
