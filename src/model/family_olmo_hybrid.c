/* OLMo Hybrid: gated delta rule with separate projections; softmax every fourth layer, post-norm, norms over all heads.
 */
#include "qwen_hybrid.h"

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

static const char *const types[] = {"olmo_hybrid", NULL};

const struct qk_family qk_family_olmo_hybrid = {
    .name = "olmo_hybrid",
    .title = "OLMo Hybrid (gated delta rule and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj, linear_attn.{q,k}_proj",
    .build = build,
};
