/* OLMo Hybrid: gated delta rule with separate projections; softmax every fourth layer, post-norm, norms over all heads.
 */
#include "qwen_hybrid.h"

#include <math.h>

static enum qk_code build_linear(struct qk_model_builder *b, size_t layer, size_t hidden,
                                 const struct qk_gated_delta *g, struct qk_err *err)
{
    uint64_t rows = (uint64_t)g->n_key_heads * g->key_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "gated_delta",
        .n_heads = g->n_key_heads,
        .n_kv_heads = g->n_key_heads,
        .n_value_heads = g->n_value_heads,
        .head_dim = g->key_dim,
        .v_head_dim = g->value_dim,
        .n_in = hidden,
        .q = {.module = "linear_attn.q_proj", .total = rows},
        .k = {.module = "linear_attn.k_proj", .total = rows},
        .input_norm = qk_layer_find(b, layer, "attention_layer_norm.weight") ? "attention_layer_norm.weight"
                                                                             : "input_layernorm.weight",
    };
    return qk_build_heads(b, layer, &heads, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {
        .input_norm = "", .q_norm = "self_attn.q_norm.weight", .k_norm = "self_attn.k_norm.weight"};
    static const struct qk_rope_request rope = {.theta = 5e5};
    struct qk_dims d;
    struct qk_gated_delta gd;
    struct qk_position position = {0};
    const enum qk_layer_kind *kinds = NULL;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_gated_delta(b, &gd, err));
    QK_TRY(qk_cfg_kinds(b, "layer_types", d.n_layers, &kinds, err));
    position.kind = QK_POSITION_NONE;
    if (qk_cfg_find(b, "rope_parameters|rope_theta")) {
        QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    }
    for (size_t i = 0; i < d.n_layers; i++) {
        if (kinds ? kinds[i] == QK_LAYER_FULL : i % 4 == 3) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, 0, err));
        } else {
            QK_TRY(build_linear(b, i, d.hidden, &gd, err));
        }
    }
    return QK_OK;
}

/* Newer checkpoints have one convolution; older ones cut it into three tensors, not always where q, k and v meet. */
static enum qk_code forward_convs(struct qk_model_builder *b, size_t i, size_t keys, size_t values,
                                  struct qk_linear_spec *s, struct qk_err *err)
{
    static const char *const one[] = {"linear_attn.conv1d"};
    static const char *const three[] = {"linear_attn.q_conv1d", "linear_attn.k_conv1d", "linear_attn.v_conv1d"};
    bool whole = qk_layer_find(b, i, "linear_attn.conv1d.weight") != NULL;
    const char *const *modules = whole ? one : three;
    size_t n = whole ? 1 : 3;
    enum qk_function act = QK_FUNCTION_NONE;
    QK_TRY(qk_spec_function(b, "hidden_act", "silu", &act, err));
    QK_TRY(qk_spec_conv_parts(b, i, modules, n, 0, keys, act, &s->q_conv, err));
    QK_TRY(qk_spec_conv_parts(b, i, modules, n, keys, keys, act, &s->k_conv, err));
    return qk_spec_conv_parts(b, i, modules, n, 2 * keys, values, act, &s->v_conv, err);
}

static enum qk_code forward_linear(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                   struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_linear_spec *s = NULL;
    size_t keys = l->n_heads * l->head_dim, values = l->n_value_heads * l->v_head_dim, d = spec->hidden;
    bool negative = false;
    QK_TRY(qk_cfg_flag(b, "linear_allow_neg_eigval", false, &negative, err));
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    *s = (struct qk_linear_spec){
        .delta = true,
        .n_heads = l->n_value_heads,
        .n_qk_heads = l->n_heads,
        .n_k_heads = l->n_heads,
        .n_v_heads = l->n_value_heads,
        .d_k = l->head_dim,
        .d_v = l->v_head_dim,
        .l2_eps = 1e-6,
        .scale = 1 / sqrt((double)l->head_dim),
        .beta_factor = negative ? 2 : 1,
        .gate = {.function = QK_FUNCTION_SILU},
    };
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(qk_spec_module(b, i, "linear_attn.v_proj", false, values, d, &s->v, err));
    QK_TRY(forward_convs(b, i, keys, values, s, err));
    QK_TRY(qk_spec_decay(b, i, "linear_attn", "linear_attn.a_proj", s->n_heads, s, err));
    QK_TRY(qk_spec_module(b, i, "linear_attn.b_proj", false, s->n_heads, d, &s->beta, err));
    /* this norm has an eps of its own, whatever the config says */
    QK_TRY(
        qk_spec_norm(b, i, "linear_attn.o_norm", QK_NORM_RMS, false, 1e-5, values, l->v_head_dim, &s->out_norm, err));
    QK_TRY(qk_spec_module(b, i, "linear_attn.g_proj", false, values, d, &s->gate.projection, err));
    return qk_spec_module(b, i, "linear_attn.o_proj", false, d, values, &s->o, err);
}

/* Linear layers have their norms in front, softmax layers behind; two spellings of both. */
static enum qk_code forward_norms(struct qk_model_builder *b, struct qk_layer_spec *l, size_t i, size_t hidden,
                                  double eps, struct qk_err *err)
{
    bool linear = b->model->layers[i].kind == QK_LAYER_LINEAR;
    const char *mlp =
        qk_layer_find(b, i, "feedforward_layer_norm.weight") ? "feedforward_layer_norm" : "post_attention_layernorm";
    const char *mixer = qk_layer_find(b, i, "attention_layer_norm.weight") ? "attention_layer_norm" : "input_layernorm";
    enum qk_norm_kind rms = QK_NORM_RMS;
    if (linear) {
        QK_TRY(qk_spec_norm(b, i, mixer, rms, false, eps, hidden, 0, &l->mixer_norm, err));
        return qk_spec_norm(b, i, mlp, rms, false, eps, hidden, 0, &l->mlp_norm, err);
    }
    QK_TRY(qk_spec_norm(b, i, mlp, rms, false, eps, hidden, 0, &l->after_mixer_norm, err));
    return qk_spec_norm(b, i, "post_feedforward_layernorm", rms, false, eps, hidden, 0, &l->after_mlp_norm, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.mixer_norm = "", .mlp_norm = ""};
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        QK_TRY(forward_norms(b, qk_spec_layer(spec, i), i, spec->hidden, eps, err));
        if (b->model->layers[i].kind == QK_LAYER_LINEAR) {
            QK_TRY(forward_linear(b, spec, i, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"olmo_hybrid", NULL};

const struct qk_family qk_family_olmo_hybrid = {
    .name = "olmo_hybrid",
    .title = "OLMo Hybrid (gated delta rule and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj, linear_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
