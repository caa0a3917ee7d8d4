/* Phi-3, Phi-3.5, Phi-4: fused qkv, optional window in every layer, longrope. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "self_attn.qkv_proj", .input_norm = "input_layernorm.weight"};
    static const struct qk_rope_request rope = {0};
    struct qk_dims d;
    struct qk_position position;
    size_t window = 0;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_window(b, "sliding_window", &window, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    return qk_build_all_fused(b, "model.layers.", &fused, &d, &position, window, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.fused = "self_attn.qkv_proj", .gate_up = "mlp.gate_up_proj"};
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"phi3", NULL};

const struct qk_family qk_family_phi3 = {
    .name = "phi3",
    .title = "Phi-3, Phi-4",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.qkv_proj, rows [q|k|v]",
    .build = build,
    .forward = forward,
};
