/* Qwen3-Next: gated delta rule with q, k, v and z fused per key head in in_proj_qkvz, b and a in in_proj_ba. */
#include "qwen_hybrid.h"

static enum qk_code build_linear(struct qk_model_builder *b, size_t layer, size_t hidden,
                                 const struct qk_gated_delta *g, struct qk_err *err)
{
    uint64_t repeat = g->n_value_heads / g->n_key_heads;
    uint64_t group = 2 * g->key_dim + 2 * repeat * g->value_dim;
    const struct qk_tensor *qkvz = NULL, *ba = NULL;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "gated_delta",
        .n_heads = g->n_key_heads,
        .n_kv_heads = g->n_key_heads,
        .n_value_heads = g->n_value_heads,
        .head_dim = g->key_dim,
        .v_head_dim = g->value_dim,
        .n_in = hidden,
        .q = {.module = "linear_attn.in_proj_qkvz", .total = g->n_key_heads * group, .stride = group},
        .k = {.module = "linear_attn.in_proj_qkvz",
              .total = g->n_key_heads * group,
              .first = g->key_dim,
              .stride = group},
        .input_norm = "input_layernorm.weight",
        .plus_one = true,
    };
    QK_TRY(qk_build_heads(b, layer, &heads, err));
    QK_TRY(qk_layer_tensor(b, layer, "linear_attn.in_proj_qkvz.weight", &qkvz, err));
    QK_TRY(qk_claim_strided(b, qkvz, false, 2 * g->key_dim + repeat * g->value_dim, repeat * g->value_dim, group,
                            g->n_key_heads, QK_ROLE_GATE, err));
    QK_TRY(qk_layer_tensor(b, layer, "linear_attn.in_proj_ba.weight", &ba, err));
    QK_TRY(qk_check_matrix(b, ba, false, 2 * (uint64_t)g->n_value_heads, hidden, err));
    QK_TRY(qk_claim_strided(b, ba, false, 0, repeat, 2 * repeat, g->n_key_heads, QK_ROLE_BETA, err));
    return qk_claim_strided(b, ba, false, repeat, repeat, 2 * repeat, g->n_key_heads, QK_ROLE_DECAY, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    return qk_build_qwen_hybrid(b, build_linear, err);
}

/* Rows of in_proj_qkvz and in_proj_ba lie by key head: [q | k | v of its value heads | z of them], [b | a]. */
static enum qk_code forward_linear(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer,
                                   struct qk_linear_spec *s, struct qk_err *err)
{
    uint64_t repeat = s->n_heads / s->n_qk_heads, values = repeat * s->d_v, group = 2 * s->d_k + 2 * values;
    size_t n = s->n_qk_heads, d = spec->hidden;
    struct qk_head_rows v = {.module = "linear_attn.in_proj_qkvz",
                             .total = n * group,
                             .first = 2 * s->d_k,
                             .stride = group},
                        z = v;
    struct qk_head_rows beta = {.module = "linear_attn.in_proj_ba", .total = 2 * n * repeat, .stride = 2 * repeat},
                        decay = beta;
    z.first += values;
    decay.first = repeat;
    QK_TRY(qk_spec_head_rows(b, layer, &v, n, (size_t)values, d, &s->v, err));
    QK_TRY(qk_spec_head_rows(b, layer, &z, n, (size_t)values, d, &s->gate.projection, err));
    QK_TRY(qk_spec_head_rows(b, layer, &beta, n, (size_t)repeat, d, &s->beta, err));
    return qk_spec_head_rows(b, layer, &decay, n, (size_t)repeat, d, &s->decay, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    return qk_forward_qwen_hybrid(b, spec, forward_linear, err);
}

static const char *const types[] = {"qwen3_next", NULL};

const struct qk_family qk_family_qwen3_next = {
    .name = "qwen3_next",
    .title = "Qwen3-Next (gated delta rule and gated softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout =
        "softmax: self_attn.q_proj rows [q|gate] per head, k_proj; linear: in_proj_qkvz, rows [q|k|v|z] per key head",
    .build = build,
    .forward = forward,
};
