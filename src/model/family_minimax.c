/* MiniMax-Text-01 and M1: lightning attention with one fused qkv per head, softmax attention with RoPE now and then. */
#include "model/forward_builder.h"

#include <math.h>
#include <string.h>

/* layer_types (transformers), attn_type_list (published: 1 softmax, 0 lightning), else alternating from softmax. */
static enum qk_code read_linear(struct qk_model_builder *b, size_t n, bool *linear, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    const char *const *list = NULL;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, &kinds, err));
    QK_TRY(qk_cfg_names(b, "attn_type_list", n, &list, err));
    for (size_t i = 0; i < n; i++) {
        linear[i] = kinds ? kinds[i] == QK_LAYER_LINEAR : list ? !strcmp(list[i], "0") : i % 2 == 1;
        if (!kinds && list && !linear[i] && strcmp(list[i], "1") != 0) {
            return qk_cfg_fail(b, err, "attn_type_list", "layer %zu is neither 0 nor 1 (found %s)", i, list[i]);
        }
    }
    return QK_OK;
}

static enum qk_code build_lightning(struct qk_model_builder *b, size_t i, const struct qk_dims *d, struct qk_err *err)
{
    uint64_t total = 3 * (uint64_t)d->n_heads * d->head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "lightning",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_heads,
        .head_dim = d->head_dim,
        .n_in = d->hidden,
        .q = {.module = "self_attn.qkv_proj", .total = total, .stride = 3 * d->head_dim},
        .k = {.module = "self_attn.qkv_proj", .total = total, .first = d->head_dim, .stride = 3 * d->head_dim},
        .input_norm = "input_layernorm.weight",
    };
    return qk_build_heads(b, i, &heads, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    static const struct qk_rope_request rope = {.theta = 1e6};
    struct qk_dims d;
    struct qk_position position;
    size_t window = 0;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_window(b, "sliding_window", &window, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    bool *linear = qk_arena_alloc(b->arena, d.n_layers, sizeof *linear);
    if (!linear) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_linear(b, d.n_layers, linear, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (linear[i]) {
            QK_TRY(build_lightning(b, i, &d, err));
        } else {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, window, err));
        }
    }
    return QK_OK;
}

static enum qk_code forward_lightning(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                      struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_linear_spec *s = NULL;
    double *slopes = NULL;
    size_t n = l->n_heads, dim = l->head_dim, d = spec->hidden;
    /* the rate falls with the layer's index */
    double factor = 1 - (double)i / ((double)spec->n_layers - 1 + 1e-5) + 1e-5;
    struct qk_head_rows v = {
        .module = "self_attn.qkv_proj", .total = 3 * (uint64_t)n * dim, .first = 2 * dim, .stride = 3 * dim};
    QK_TRY(qk_spec_slopes(spec, n, &slopes, err));
    for (size_t h = 0; h < n; h++) {
        slopes[h] = exp2(-8.0 * (double)(h + 1) / (double)n) * factor;
    }
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    *s = (struct qk_linear_spec){
        .n_heads = n,
        .n_qk_heads = n,
        .n_k_heads = n,
        .n_v_heads = n,
        .d_k = dim,
        .d_v = dim,
        .scale = 1,
        .slope = slopes,
        .gate = {.function = QK_FUNCTION_SIGMOID},
    };
    QK_TRY(qk_spec_function(b, "hidden_act", "silu", &s->v_function, err));
    s->q_function = s->k_function = s->v_function;
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(qk_spec_head_rows(b, i, &v, n, dim, d, &s->v, err));
    /* this norm keeps its default eps, whatever the config says */
    QK_TRY(qk_spec_norm(b, i, "self_attn.norm", QK_NORM_RMS, false, 1e-6, n * dim, 0, &s->out_norm, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.output_gate", false, n * dim, d, &s->gate.projection, err));
    return qk_spec_module(b, i, "self_attn.out_proj", false, d, n * dim, &s->o, err);
}

/* Weights of residual and branch; the published configs and transformers spell them differently. */
static enum qk_code read_residual(struct qk_model_builder *b, struct qk_layer_spec *l, bool linear, struct qk_err *err)
{
    const char *alpha = linear ? "linear_attn_alpha_factor|layernorm_linear_attention_alpha"
                               : "full_attn_alpha_factor|layernorm_full_attention_alpha";
    const char *beta = linear ? "linear_attn_beta_factor|layernorm_linear_attention_beta"
                              : "full_attn_beta_factor|layernorm_full_attention_beta";
    QK_TRY(qk_cfg_number(b, alpha, 1, &l->mixer_alpha, err));
    QK_TRY(qk_cfg_number(b, beta, 1, &l->mixer_beta, err));
    QK_TRY(qk_cfg_number(b, "mlp_alpha_factor|layernorm_mlp_alpha", 1, &l->mlp_alpha, err));
    QK_TRY(qk_cfg_number(b, "mlp_beta_factor|layernorm_mlp_beta", 1, &l->mlp_beta, err));
    return qk_cfg_flag(b, "postnorm", true, &l->residual_after_norm, err);
}

static const struct qk_moe_names moe = {
    .router = "block_sparse_moe.gate",
    .gate = "block_sparse_moe.experts.%zu.w1",
    .up = "block_sparse_moe.experts.%zu.w3",
    .down = "block_sparse_moe.experts.%zu.w2",
    .renormalise = true,
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.eps = 1e-5, .moe = &moe};
    size_t shared = 0;
    QK_TRY(qk_cfg_count(b, "shared_intermediate_size", 0, 0, QK_MAX_HIDDEN, &shared, err));
    if (shared > 0) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: shared_intermediate_size: no forward pass with a shared expert (found %zu)", b->source,
                       shared);
    }
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        bool linear = b->model->layers[i].kind == QK_LAYER_LINEAR;
        QK_TRY(read_residual(b, qk_spec_layer(spec, i), linear, err));
        if (linear) {
            QK_TRY(forward_lightning(b, spec, i, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"minimax", "minimax_text_01", "minimax_m1", "minimax_text01", NULL};

const struct qk_family qk_family_minimax = {
    .name = "minimax",
    .title = "MiniMax-Text-01, MiniMax-M1 (lightning and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "softmax: self_attn.{q,k}_proj; lightning: self_attn.qkv_proj, rows [q|k|v] per head",
    .build = build,
    .forward = forward,
};
