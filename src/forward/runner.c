/* Layer-major forward pass over a batch of sequences. */
#include "forward/runner.h"

#include <stdio.h>

#include "base/alloc.h"
#include "model_run.h"

enum qk_code qk_runner_new(const struct qk_model *model, struct qk_pool *pool,
                           const struct qk_weight_override *override, struct qk_runner **ret, struct qk_err *err)
{
    struct qk_runner *r = qk_calloc(1, sizeof *r);
    if (!r) {
        return qk_fail_nomem(err, "runner");
    }
    r->pool = pool;
    r->weights.ckpt = model->ckpt;
    r->weights.pool = pool;
    r->weights.panels.limit = qk_panel_cache_limit(model->ckpt);
    if (override) {
        r->weights.override = *override;
    }
    enum qk_code code = qk_forward_spec_open(model, &r->spec, err);
    if (code != QK_OK) {
        qk_free(r);
        return code;
    }
    *ret = r;
    return QK_OK;
}

void qk_runner_free(struct qk_runner *r)
{
    if (r) {
        qk_weights_release(&r->weights);
        qk_scratch_release(&r->scratch);
        qk_forward_spec_free(r->spec);
        qk_free(r);
    }
}

const struct qk_forward_spec *qk_runner_spec(const struct qk_runner *r)
{
    return r->spec;
}

void qk_runner_forget(struct qk_runner *r)
{
    qk_weights_release(&r->weights);
}

/* A batch on its way through the layers. */
struct batch {
    struct qk_runner *runner;
    size_t n;
    const struct qk_sequence *sequences;
    struct qk_forward_hooks hooks;
    struct qk_forward_options options;
    float **x; /* per sequence (n_tokens, hidden) */
};

static enum qk_code show_hidden(const struct batch *b, const struct qk_forward_place *place, struct qk_err *err)
{
    return b->hooks.hidden ? b->hooks.hidden(b->hooks.ctx, place, b->x[place->sequence], err) : QK_OK;
}

static enum qk_code run_layer(struct batch *b, size_t layer, size_t sequence, struct qk_err *err)
{
    struct qk_forward_place place = {.sequence = sequence, .layer = layer, .n_tokens = b->sequences[sequence].n};
    struct qk_mixer_state states[QK_MIXERS_PER_LAYER] = {{.capacity = place.n_tokens}, {.capacity = place.n_tokens}};
    struct qk_forward_hooks hooks = b->hooks;
    if (b->options.layers && !b->options.layers[layer]) {
        hooks = (struct qk_forward_hooks){0};
    }
    QK_TRY(show_hidden(b, &place, err));
    enum qk_code code = qk_layer_run(b->runner, &hooks, &place, states, b->x[sequence], err);
    for (size_t i = 0; i < QK_MIXERS_PER_LAYER; i++) {
        qk_mixer_state_release(&states[i]);
    }
    if (code != QK_OK) {
        qk_err_context(err, "layer %zu", layer);
    }
    return code;
}

static enum qk_code run_layers(struct batch *b, struct qk_err *err)
{
    size_t n_layers = b->runner->spec->n_layers, first = b->options.first_layer;
    char label[64];
    for (size_t l = first; l < n_layers; l++) {
        for (size_t s = 0; s < b->n; s++) {
            snprintf(label, sizeof label, "layer %zu", l);
            qk_progress_update(b->options.progress, (l - first) * b->n + s, (n_layers - first) * b->n, label);
            QK_TRY(run_layer(b, l, s, err));
        }
    }
    for (size_t s = 0; s < b->n; s++) {
        struct qk_forward_place place = {.sequence = s, .layer = n_layers, .n_tokens = b->sequences[s].n};
        QK_TRY(show_hidden(b, &place, err));
    }
    qk_progress_update(b->options.progress, (n_layers - first) * b->n, (n_layers - first) * b->n, "scores");
    return QK_OK;
}

/* The residual stream that the batch starts with. */
static enum qk_code begin(struct batch *b, size_t s, struct qk_err *err)
{
    struct qk_forward_place place = {.sequence = s, .layer = b->options.first_layer, .n_tokens = b->sequences[s].n};
    return place.layer == 0 ? qk_embed(b->runner, b->sequences[s].n, b->sequences[s].ids, 0, b->x[s], err)
                            : b->hooks.start(b->hooks.ctx, &place, b->x[s], err);
}

static enum qk_code begin_all(struct batch *b, struct qk_err *err)
{
    b->runner->scratch.n = 0;
    for (size_t s = 0; s < b->n; s++) {
        size_t n = 0;
        if (b->sequences[s].n == 0) {
            return qk_fail(err, QK_EUSAGE, "sequence %zu is empty", s);
        }
        if (!qk_size_mul(b->sequences[s].n, b->runner->spec->hidden, &n)) {
            return qk_fail_nomem(err, "activations");
        }
        b->x[s] = qk_alloc_aligned(n, sizeof **b->x);
        if (!b->x[s]) {
            return qk_fail_nomem(err, "activations");
        }
        QK_TRY(begin(b, s, err));
    }
    return QK_OK;
}

static enum qk_code run_batch(struct batch *b, struct qk_err *err)
{
    QK_TRY(begin_all(b, err));
    QK_TRY(run_layers(b, err));
    for (size_t s = 0; (b->hooks.logits || b->hooks.token) && s < b->n; s++) {
        size_t from = b->options.scores_from ? b->options.scores_from[s] : 0;
        QK_TRY(qk_score(b->runner, &b->hooks, s, &b->sequences[s], from, b->x[s], err));
    }
    return QK_OK;
}

enum qk_code qk_runner_forward(struct qk_runner *r, size_t n, const struct qk_sequence *sequences,
                               const struct qk_forward_hooks *hooks, const struct qk_forward_options *options,
                               struct qk_err *err)
{
    struct batch b = {.runner = r, .n = n, .sequences = sequences};
    b.hooks = hooks ? *hooks : b.hooks;
    b.options = options ? *options : b.options;
    if (b.options.first_layer > r->spec->n_layers || (b.options.first_layer > 0 && !b.hooks.start)) {
        return qk_fail(err, QK_EINTERNAL, "a run cannot start at layer %zu", b.options.first_layer);
    }
    b.x = qk_calloc(n > 0 ? n : 1, sizeof *b.x);
    if (!b.x) {
        return qk_fail_nomem(err, "activations");
    }
    enum qk_code code = run_batch(&b, err);
    for (size_t s = 0; s < n; s++) {
        qk_free(b.x[s]);
    }
    qk_free(b.x);
    return code;
}

static size_t attention_scratch(const struct qk_runner *r, size_t layer, size_t longest)
{
    size_t most = 0;
    for (size_t i = 0; i < r->spec->layers[layer].n_mixers; i++) {
        const struct qk_mixer_spec *m = &r->spec->layers[layer].mixers[i];
        if (m->kind == QK_MIXER_SOFTMAX) {
            struct qk_attention a = {.n_queries = longest,
                                     .n_keys = longest,
                                     .n_heads = m->softmax->n_heads,
                                     .n_kv_heads = m->softmax->n_kv_heads,
                                     .head_dim = m->softmax->head_dim,
                                     .v_head_dim = m->softmax->v_head_dim,
                                     .window = m->softmax->window};
            size_t bytes = qk_attention_scratch(&a, qk_pool_size(r->pool));
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

size_t qk_runner_memory(const struct qk_runner *r, size_t n, const size_t *lengths)
{
    size_t total = 0, longest = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        total += lengths[i];
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    for (size_t l = 0; l < r->spec->n_layers; l++) {
        size_t per_token = 0, per_block = 0;
        qk_layer_floats(r->spec, l, &per_token, &per_block);
        size_t bytes = (per_token * longest + per_block * qk_mlp_block(longest)) * sizeof(float);
        bytes += attention_scratch(r, l, longest);
        most = bytes > most ? bytes : most;
    }
    size_t scores = qk_logits_block(r->spec) * (r->spec->vocab + r->spec->hidden);
    return (total * r->spec->hidden + scores) * sizeof(float) + most + qk_panel_cache_plan(r->weights.ckpt);
}
