/* Qwen3.5 (text): as Qwen3-Next, with in_proj_qkv rows [all q | all k | all v] and separate z, b, a. */
#include "qwen_hybrid.h"

static enum qk_code build_linear(struct qk_model_builder *b, size_t layer, size_t hidden,
                                 const struct qk_gated_delta *g, struct qk_err *err)
{
    uint64_t keys = (uint64_t)g->n_key_heads * g->key_dim;
    uint64_t total = 2 * keys + (uint64_t)g->n_value_heads * g->value_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "gated_delta",
        .n_heads = g->n_key_heads,
        .n_kv_heads = g->n_key_heads,
        .n_value_heads = g->n_value_heads,
        .head_dim = g->key_dim,
        .v_head_dim = g->value_dim,
        .n_in = hidden,
        .q = {.module = "linear_attn.in_proj_qkv", .total = total},
        .k = {.module = "linear_attn.in_proj_qkv", .total = total, .first = keys},
        .input_norm = "input_layernorm.weight",
        .plus_one = true,
    };
    return qk_build_heads(b, layer, &heads, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    return qk_build_qwen_hybrid(b, build_linear, err);
}

static enum qk_code forward_linear(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer,
                                   struct qk_linear_spec *s, struct qk_err *err)
{
    uint64_t keys = (uint64_t)s->n_qk_heads * s->d_k;
    size_t values = s->n_heads * s->d_v, d = spec->hidden;
    struct qk_head_rows v = {.module = "linear_attn.in_proj_qkv", .total = 2 * keys + values, .first = 2 * keys};
    QK_TRY(qk_spec_head_rows(b, layer, &v, 1, values, d, &s->v, err));
    QK_TRY(qk_spec_module(b, layer, "linear_attn.in_proj_z", false, values, d, &s->gate.projection, err));
    QK_TRY(qk_spec_module(b, layer, "linear_attn.in_proj_b", false, s->n_heads, d, &s->beta, err));
    return qk_spec_module(b, layer, "linear_attn.in_proj_a", false, s->n_heads, d, &s->decay, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    return qk_forward_qwen_hybrid(b, spec, forward_linear, err);
}

static const char *const types[] = {"qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", NULL};

const struct qk_family qk_family_qwen3_5 = {
    .name = "qwen3_5",
    .title = "Qwen3.5 text models (gated delta rule and gated softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "softmax: self_attn.q_proj rows [q|gate] per head, k_proj; linear: in_proj_qkv, rows [q|k|v]",
    .build = build,
    .forward = forward,
};
