/* MPT: fused [q|k|v], ALiBi or learned positions. */
#include "fused.h"
#include "model/forward_builder.h"

#include <math.h>

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "attn.Wqkv", .input_norm = "norm_1.weight"};
    static const struct qk_rope_request rope = {.theta_key = "attn_config.rope_theta"};
    struct qk_position position = {.kind = QK_POSITION_LEARNED};
    struct qk_dims d;
    bool alibi = false, rotary = false;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_cfg_count(b, "attn_config.kv_n_heads", d.n_heads, 1, QK_MAX_HEADS, &d.n_kv_heads, err));
    QK_TRY(qk_cfg_flag(b, "attn_config.alibi", false, &alibi, err));
    QK_TRY(qk_cfg_flag(b, "attn_config.rope", false, &rotary, err));
    if (d.n_heads % d.n_kv_heads) {
        return qk_cfg_fail(b, err, "attn_config.kv_n_heads",
                           "does not divide n_heads (expected a divisor of %zu, found %zu)", d.n_heads, d.n_kv_heads);
    }
    QK_TRY(qk_build_layers(b, "transformer.blocks.", &d, err));
    if (alibi) {
        position.kind = QK_POSITION_ALIBI;
    } else if (rotary) {
        QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    }
    return qk_build_all_fused(b, "transformer.blocks.", &fused, &d, &position, 0, err);
}

/* Slopes of the next power of 2 of heads; for other numbers every second of them, then the rest. */
static enum qk_code read_slopes(struct qk_model_builder *b, size_t n, double **ret, struct qk_err *err)
{
    double most = 8;
    size_t power = 1;
    double *slopes = qk_arena_alloc(b->arena, n, sizeof *slopes);
    if (!slopes) {
        return qk_fail_nomem(err, "slopes");
    }
    QK_TRY(qk_cfg_number(b, "attn_config.alibi_bias_max", 8, &most, err));
    if (most != 8) { /* the first implementation and transformers do not agree on what it means */
        return qk_fail(err, QK_EUNSUPPORTED, "%s: attn_config.alibi_bias_max: no forward pass with %g (expected 8)",
                       b->source, most);
    }
    while (power < n) {
        power *= 2;
    }
    for (size_t h = 0; h < n; h++) {
        size_t at = power == n ? h : h < power / 2 ? 2 * h + 1 : 2 * (h - power / 2);
        slopes[h] = exp2(-most * (double)(at + 1) / (double)power);
    }
    *ret = slopes;
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .norm = QK_NORM_LAYER,
        .eps = 1e-5,
        .eps_key = "",
        .mixer_norm = "norm_1",
        .mlp_norm = "norm_2",
        .fused = "attn.Wqkv",
        .o = "attn.out_proj",
        .gate = "",
        .up = "ffn.up_proj",
        .down = "ffn.down_proj",
        .function_key = "activation_function", /* fixed, whatever hidden_act says */
        .function = "gelu",
    };
    double *slopes = NULL, clip = 0, scale = 0;
    bool alibi = false;
    QK_TRY(qk_cfg_flag(b, "attn_config.alibi", false, &alibi, err));
    QK_TRY(qk_spec_only_flag(b, "attn_config.qk_ln", false, err));
    QK_TRY(qk_spec_only_flag(b, "attn_config.prefix_lm", false, err));
    if (!alibi || qk_cfg_find(b, "logit_scale")) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %s", b->source,
                       alibi ? "logit_scale: no forward pass with it (expected null)"
                             : "attn_config.alibi: no forward pass without it (expected true)");
    }
    QK_TRY(qk_cfg_number(b, "attn_config.clip_qkv", 0, &clip, err));
    QK_TRY(qk_cfg_number(b, "attn_config.softmax_scale", 0, &scale, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    QK_TRY(read_slopes(b, b->model->layers[0].n_heads, &slopes, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_softmax_spec *s = qk_spec_softmax(spec, i);
        s->alibi = slopes;
        s->clip = clip;
        s->scale = scale > 0 ? scale : s->scale;
    }
    return QK_OK;
}

static const char *const types[] = {"mpt", NULL};

const struct qk_family qk_family_mpt = {
    .name = "mpt",
    .title = "MPT",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "attn.Wqkv, rows [q|k|v]",
    .build = build,
    .forward = forward,
};
