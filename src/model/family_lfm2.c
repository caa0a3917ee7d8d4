/* LFM2: short convolutions, and softmax attention with norms per head. */
#include "model/forward_builder.h"

static enum qk_code read_full(struct qk_model_builder *b, size_t n, bool *full, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    bool found = false;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, &kinds, err));
    if (!kinds) {
        QK_TRY(qk_cfg_index_set(b, "full_attn_idxs", 0, n, full, &found, err));
    }
    for (size_t i = 0; i < n && !found; i++) {
        full[i] = kinds ? kinds[i] == QK_LAYER_FULL : qk_layer_find(b, i, "self_attn.q_proj.weight") != NULL;
    }
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.input_norm = "operator_norm.weight",
                                          .q_norm = "self_attn.q_layernorm.weight",
                                          .k_norm = "self_attn.k_layernorm.weight"};
    static const struct qk_rope_request rope = {.theta = 1e6};
    struct qk_dims d;
    struct qk_position position;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    bool *full = qk_arena_alloc(b->arena, d.n_layers, sizeof *full);
    if (!full) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_full(b, d.n_layers, full, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (full[i]) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, 0, err));
        } else {
            qk_build_no_heads(b, i, QK_LAYER_NONE, "short_conv");
        }
    }
    return QK_OK;
}

static enum qk_code forward_conv(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i, struct qk_err *err)
{
    struct qk_layer_spec *l = qk_spec_layer(spec, i);
    struct qk_short_conv_spec *s = qk_arena_alloc(b->arena, 1, sizeof *s);
    size_t d = spec->hidden;
    struct qk_head_rows rows = {.module = "conv.in_proj", .total = 3 * (uint64_t)d};
    if (!s) {
        return qk_fail_nomem(err, "mixer");
    }
    struct qk_projection *parts[3] = {&s->b, &s->c, &s->u};
    for (size_t p = 0; p < 3; p++) {
        rows.first = p * d;
        QK_TRY(qk_spec_head_rows(b, i, &rows, 1, d, d, parts[p], err));
    }
    QK_TRY(qk_spec_conv(b, i, "conv.conv", 0, d, QK_FUNCTION_NONE, &s->conv, err));
    QK_TRY(qk_spec_module(b, i, "conv.out_proj", false, d, d, &s->o, err));
    l->n_mixers = 1;
    l->mixers[0] = (struct qk_mixer_spec){.kind = QK_MIXER_SHORT_CONV, .short_conv = s};
    return QK_OK;
}

static const struct qk_moe_names moe = {
    .router = "feed_forward.gate",
    .gate = "feed_forward.experts.%zu.w1",
    .up = "feed_forward.experts.%zu.w3",
    .down = "feed_forward.experts.%zu.w2",
    .choice_bias = "feed_forward.expert_bias",
    .sigmoid = true,
    .renormalise_key = "norm_topk_prob",
    .renormalise = true,
    .scale_key = "routed_scaling_factor",
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .eps_key = "norm_eps|block_norm_eps",
        .eps = 1e-5,
        .mixer_norm = "operator_norm",
        .mlp_norm = "ffn_norm",
        .o = "self_attn.out_proj",
        .gate = "feed_forward.w1",
        .up = "feed_forward.w3",
        .down = "feed_forward.w2",
        .moe = &moe,
    };
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        if (qk_spec_layer(spec, i)->n_mixers == 0) {
            QK_TRY(forward_conv(b, spec, i, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"lfm2", "lfm2_moe", NULL};

const struct qk_family qk_family_lfm2 = {
    .name = "lfm2",
    .title = "LFM2 (short convolutions and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj, norms per head",
    .build = build,
    .forward = forward,
};
