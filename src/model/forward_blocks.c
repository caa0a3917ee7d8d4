/* The blocks that most families share: embedding, pre- or post-norm layers of softmax attention and MLP, head. */
#include "model/forward_builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *either(const char *name, const char *usual)
{
    return name ? name : usual;
}

enum qk_code qk_spec_eps(const struct qk_model_builder *b, const struct qk_block_names *names, double *ret,
                         struct qk_err *err)
{
    const char *keys = either(names->eps_key, "rms_norm_eps|layer_norm_eps|norm_eps|layer_norm_epsilon");
    double eps = 0;
    if (!keys[0]) {
        *ret = names->eps;
        return QK_OK;
    }
    QK_TRY(qk_cfg_number(b, keys, names->eps > 0 ? names->eps : 1e-6, &eps, err));
    if (!(eps >= 0 && eps < 1)) {
        return qk_cfg_fail(b, err, keys, "out of range (found %g)", eps);
    }
    *ret = eps;
    return QK_OK;
}

static const struct {
    const char *name;
    enum qk_function function;
} functions[] = {
    {"silu", QK_FUNCTION_SILU},           {"swish", QK_FUNCTION_SILU},
    {"gelu", QK_FUNCTION_GELU},           {"gelu_new", QK_FUNCTION_GELU_TANH},
    {"gelu_fast", QK_FUNCTION_GELU_TANH}, {"gelu_pytorch_tanh", QK_FUNCTION_GELU_TANH},
    {"relu", QK_FUNCTION_RELU},           {"relu2", QK_FUNCTION_RELU2},
};

enum qk_code qk_spec_function(const struct qk_model_builder *b, const char *keys, const char *dflt,
                              enum qk_function *ret, struct qk_err *err)
{
    const char *name = NULL;
    QK_TRY(qk_cfg_string(b, keys, dflt, &name, err));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (qk_streq(functions[i].name, name)) {
            *ret = functions[i].function;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: %.*s: no such activation here (found '%s')", b->source,
                   (int)strcspn(keys, "|"), keys, name);
}

static const struct qk_tensor *outer(const struct qk_model_builder *b, const char *role, const char *end)
{
    for (size_t i = 0; i < b->model->n_outer; i++) {
        const struct qk_outer *o = &b->model->outer[i];
        if (!strcmp(o->role, role) && qk_str_ends(o->tensor->name, end)) {
            return o->tensor;
        }
    }
    return NULL;
}

static enum qk_code whole(const struct qk_model_builder *b, const struct qk_tensor *t, size_t n_in,
                          struct qk_projection *ret, struct qk_err *err)
{
    uint64_t rows = 0, cols = 0;
    qk_tensor_matrix(t, false, &rows, &cols);
    QK_TRY(qk_check_matrix(b, t, false, rows, n_in, err));
    if (rows == 0 || rows > ((uint64_t)1 << 31)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not one row per token", b->ckpt->path, t->name);
    }
    struct qk_rows *block = qk_arena_alloc(b->arena, 1, sizeof *block);
    if (!block) {
        return qk_fail_nomem(err, "projection");
    }
    *block = (struct qk_rows){t, 0, rows, false};
    *ret = (struct qk_projection){.n_blocks = 1, .blocks = block, .n_out = (size_t)rows, .n_in = n_in};
    return QK_OK;
}

static enum qk_code read_outer(struct qk_model_builder *b, struct qk_forward_spec *spec,
                               const struct qk_block_names *names, double eps, struct qk_err *err)
{
    const struct qk_tensor *embedding = outer(b, "embedding", ".weight"), *norm = outer(b, "final_norm", ".weight");
    const struct qk_tensor *head = outer(b, "lm_head", ".weight"), *bias = outer(b, "lm_head", ".bias");
    const char *path = b->ckpt->path;
    if (!embedding || (!norm && !names->bare_norms) || (!head && !b->model->tied_embeddings)) {
        return qk_fail(err, QK_EFORMAT, "%s: no tensor for the %s", path,
                       !embedding ? "token embedding"
                       : !norm    ? "final norm"
                                  : "head (lm_head)");
    }
    spec->hidden = b->model->hidden_size;
    QK_TRY(whole(b, embedding, spec->hidden, &spec->embedding, err));
    spec->head = spec->embedding;
    if (head) { /* what is stored counts, whatever tie_word_embeddings says */
        QK_TRY(whole(b, head, spec->hidden, &spec->head, err));
    }
    if (bias) {
        struct qk_rows *rows = qk_arena_alloc(b->arena, 1, sizeof *rows);
        if (!rows) {
            return qk_fail_nomem(err, "head");
        }
        QK_TRY(qk_check_matrix(b, bias, false, spec->head.n_out, 1, err));
        *rows = (struct qk_rows){bias, 0, spec->head.n_out, false};
        spec->head.bias = rows;
        spec->head.n_bias = 1;
    }
    spec->vocab = spec->head.n_out;
    spec->embedding_multiplier = 1;
    const struct qk_tensor *norm_bias = outer(b, "final_norm", ".bias");
    const struct qk_tensor *both[2] = {norm, norm_bias};
    for (size_t i = 0; i < 2; i++) {
        if (both[i] && both[i]->n_elements != spec->hidden) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %zu, found %llu)", path,
                           both[i]->name, spec->hidden, (unsigned long long)both[i]->n_elements);
        }
    }
    spec->final_norm = (struct qk_norm_spec){.kind = names->norm ? names->norm : QK_NORM_RMS,
                                             .weight = norm,
                                             .bias = names->norm == QK_NORM_LAYER ? norm_bias : NULL,
                                             .plus_one = names->plus_one,
                                             .eps = eps,
                                             .n = spec->hidden};
    return QK_OK;
}

enum qk_code qk_spec_outer_norm(const struct qk_model_builder *b, const struct qk_forward_spec *spec, const char *end,
                                enum qk_norm_kind kind, double eps, struct qk_norm_spec *ret, struct qk_err *err)
{
    struct qk_norm_spec norm = {.kind = kind, .eps = eps, .n = spec->hidden};
    const struct qk_tensor **parts[2] = {&norm.weight, &norm.bias};
    for (size_t i = 0; i < b->model->n_outer; i++) {
        const struct qk_tensor *t = b->model->outer[i].tensor;
        bool bias = qk_str_ends(t->name, ".bias");
        size_t stem = strlen(t->name) - strlen(bias ? ".bias" : ".weight");
        if ((bias || qk_str_ends(t->name, ".weight")) && stem >= strlen(end) &&
            !strncmp(t->name + stem - strlen(end), end, strlen(end))) {
            QK_TRY(qk_check_matrix(b, t, false, spec->hidden, 1, err));
            *parts[bias] = t;
        }
    }
    if (!norm.weight) {
        return qk_fail(err, QK_EFORMAT, "%s: no tensor for the norm %s", b->ckpt->path, end);
    }
    *ret = norm;
    return QK_OK;
}

enum qk_code qk_spec_positions(struct qk_model_builder *b, struct qk_forward_spec *spec, const char *end,
                               struct qk_err *err)
{
    for (size_t i = 0; i < b->model->n_outer; i++) {
        const struct qk_tensor *t = b->model->outer[i].tensor;
        if (qk_str_ends(t->name, end)) {
            QK_TRY(qk_check_matrix(b, t, false, t->n_elements / spec->hidden, spec->hidden, err));
            spec->positions = t;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EFORMAT, "%s: no tensor for the learned positions (expected a name that ends in %s)",
                   b->ckpt->path, end);
}

static enum qk_code read_v(struct qk_model_builder *b, size_t layer, const struct qk_block_names *names,
                           const struct qk_layer *l, struct qk_projection *ret, struct qk_err *err)
{
    uint64_t dim = l->head_dim, group = l->n_heads / l->n_kv_heads;
    struct qk_head_rows rows = {.module = either(names->v, "self_attn.v_proj"),
                                .total = (uint64_t)l->n_kv_heads * l->v_head_dim,
                                .transposed = names->transposed};
    if (names->fused) {
        rows.module = names->fused;
        rows.total = ((uint64_t)l->n_heads + 2 * (uint64_t)l->n_kv_heads) * dim;
        rows.first = names->by_group ? (group + 1) * dim : ((uint64_t)l->n_heads + l->n_kv_heads) * dim;
        rows.stride = names->by_group ? (group + 2) * dim : dim;
    }
    return qk_spec_head_rows(b, layer, &rows, l->n_kv_heads, l->v_head_dim, l->n_in, ret, err);
}

static enum qk_code add_softmax(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                const struct qk_block_names *names, double eps, struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_layer_spec *layer = qk_spec_layer(spec, i);
    struct qk_softmax_spec *s = qk_arena_alloc(b->arena, 1, sizeof *s);
    if (!s) {
        return qk_fail_nomem(err, "attention");
    }
    *s = (struct qk_softmax_spec){
        .n_heads = l->n_heads,
        .n_kv_heads = l->n_kv_heads,
        .head_dim = l->head_dim,
        .v_head_dim = l->v_head_dim,
        .window = l->window,
        .position = &l->position,
        .scale = 1 / sqrt((double)l->head_dim),
    };
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(read_v(b, i, names, l, &s->v, err));
    QK_TRY(qk_spec_module(b, i, either(names->o, "self_attn.o_proj"), names->transposed, spec->hidden,
                          l->n_heads * l->v_head_dim, &s->o, err));
    qk_spec_qk_norms(l, eps, &s->q_norm, &s->k_norm);
    layer->n_mixers = 1;
    layer->mixers[0] = (struct qk_mixer_spec){.kind = QK_MIXER_SOFTMAX, .softmax = s};
    return QK_OK;
}

static enum qk_code add_layer(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                              const struct qk_block_names *names, double eps, struct qk_err *err)
{
    struct qk_layer_spec *l = qk_spec_layer(spec, i);
    enum qk_norm_kind kind = names->norm ? names->norm : QK_NORM_RMS;
    bool one = names->plus_one;
    size_t n = spec->hidden;
    l->mixer_alpha = l->mixer_beta = l->mlp_alpha = l->mlp_beta = 1;
    if (names->bare_norms) {
        l->mixer_norm = l->mlp_norm = (struct qk_norm_spec){.kind = kind, .eps = eps, .n = n};
        QK_TRY(add_softmax(b, spec, i, names, eps, err));
        return qk_spec_mlp(b, names, i, l, err);
    }
    QK_TRY(qk_spec_norm(b, i, either(names->mixer_norm, "input_layernorm"), kind, one, eps, n, 0, &l->mixer_norm, err));
    QK_TRY(qk_spec_norm(b, i, names->after_mixer_norm, kind, one, eps, n, 0, &l->after_mixer_norm, err));
    QK_TRY(qk_spec_norm(b, i, either(names->mlp_norm, "post_attention_layernorm"), kind, one, eps, n, 0, &l->mlp_norm,
                        err));
    QK_TRY(qk_spec_norm(b, i, names->after_mlp_norm, kind, one, eps, n, 0, &l->after_mlp_norm, err));
    if (!strcmp(b->model->layers[i].mixer, "attention")) {
        QK_TRY(add_softmax(b, spec, i, names, eps, err));
    }
    return qk_spec_mlp(b, names, i, l, err);
}

enum qk_code qk_spec_blocks(struct qk_model_builder *b, struct qk_forward_spec *spec,
                            const struct qk_block_names *names, struct qk_err *err)
{
    double eps = 0;
    QK_TRY(qk_spec_eps(b, names, &eps, err));
    struct qk_layer_spec *layers = qk_arena_alloc(b->arena, b->n_layers, sizeof *layers);
    if (!layers) {
        return qk_fail_nomem(err, "layers");
    }
    spec->layers = layers;
    spec->n_layers = b->n_layers;
    QK_TRY(read_outer(b, spec, names, eps, err));
    for (size_t i = 0; i < b->n_layers; i++) {
        QK_TRY(add_layer(b, spec, i, names, eps, err));
    }
    return QK_OK;
}
