/* Ling and Ring (Bailing MoE), Ring-linear 2.0, Ling/Ring 2.5: fused [q|k|v]; the linear ones have softmax attention
 * (2.0) or latent attention (2.5) in every layer_group_size-th layer and in the last incomplete group. */
#include "fused.h"

#include <string.h>

static bool is_softmax(size_t i, size_t n_layers, size_t group)
{
    return group <= 1 || (i + 1) % group == 0 || i >= n_layers / group * group;
}

static bool has_mla(const struct qk_model_builder *b, size_t layer)
{
    return qk_layer_find(b, layer, "attention.kv_a_proj_with_mqa.weight") != NULL;
}

static enum qk_code build_mla_layer(struct qk_model_builder *b, size_t layer, const struct qk_dims *d,
                                    struct qk_err *err)
{
    struct qk_mla mla;
    struct qk_position position;
    struct qk_rope_request rope = {0};
    QK_TRY(qk_cfg_mla(b, d, &mla, err));
    mla.module = "attention";
    rope.first = mla.nope;
    rope.dim = mla.rope;
    QK_TRY(qk_cfg_flag(b, "rope_interleave", true, &rope.interleaved, err));
    QK_TRY(qk_position_rope(b, &rope, mla.nope + mla.rope, &position, err));
    mla.position = &position;
    return qk_build_mla(b, layer, &mla, err);
}

static enum qk_code build_fused_layer(struct qk_model_builder *b, size_t layer, struct qk_dims d,
                                      const struct qk_position *position, bool linear, struct qk_err *err)
{
    struct qk_fused fused = {.module = "attention.query_key_value", .input_norm = "input_layernorm.weight"};
    if (qk_layer_find(b, layer, "attention.query_layernorm.weight")) {
        fused.q_norm = "attention.query_layernorm.weight";
        fused.k_norm = "attention.key_layernorm.weight";
    }
    /* linear layers have a key head per query head in some releases, whatever the config says: the rows tell */
    const struct qk_tensor *qkv = linear ? qk_layer_find(b, layer, "attention.query_key_value.weight") : NULL;
    if (qkv && qkv->n_dims == 2 && qkv->shape[0] == 3 * (uint64_t)d.n_heads * d.head_dim) {
        d.n_kv_heads = d.n_heads;
    }
    QK_TRY(qk_build_fused(b, layer, &fused, &d, position, 0, err));
    if (linear) {
        b->layers[layer].kind = QK_LAYER_LINEAR;
        b->layers[layer].mixer = "lightning";
    }
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_rope_request rope = {.theta = 600000};
    struct qk_dims d;
    struct qk_position position;
    size_t group = 1;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    QK_TRY(qk_cfg_count(b, "layer_group_size", 1, 1, QK_MAX_LAYERS, &group, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        bool softmax = is_softmax(i, d.n_layers, group);
        if (softmax && has_mla(b, i)) {
            QK_TRY(build_mla_layer(b, i, &d, err));
        } else {
            QK_TRY(build_fused_layer(b, i, d, &position, !softmax, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"bailing_moe",
                                    "bailing_moe_v2",
                                    "bailing_moe_linear",
                                    "bailing_moe_linear_v2",
                                    "bailing_moe_v2_5",
                                    "bailing_hybrid",
                                    NULL};

const struct qk_family qk_family_bailing = {
    .name = "bailing",
    .title = "Ling, Ring (Bailing MoE; linear and latent attention in 2.0-linear and 2.5)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "attention.query_key_value, rows [q|k|v]; MLA layers: attention.{q_b,kv_b}_proj",
    .build = build,
};
