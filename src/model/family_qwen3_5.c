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

static const char *const types[] = {"qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", NULL};

const struct qk_family qk_family_qwen3_5 = {
    .name = "qwen3_5",
    .title = "Qwen3.5 text models (gated delta rule and gated softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "softmax: self_attn.q_proj rows [q|gate] per head, k_proj; linear: in_proj_qkv, rows [q|k|v]",
    .build = build,
};
