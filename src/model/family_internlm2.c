/* InternLM2: fused per KV group [its q heads | k | v]. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {
        .module = "attention.wqkv", .by_group = true, .input_norm = "attention_norm.weight"};
    static const struct qk_rope_request rope = {0};
    struct qk_dims d;
    struct qk_position position;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    return qk_build_all_fused(b, "model.layers.", &fused, &d, &position, 0, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .mixer_norm = "attention_norm",
        .mlp_norm = "ffn_norm",
        .fused = "attention.wqkv",
        .by_group = true,
        .o = "attention.wo",
        .gate = "feed_forward.w1",
        .up = "feed_forward.w3",
        .down = "feed_forward.w2",
    };
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"internlm2", NULL};

const struct qk_family qk_family_internlm2 = {
    .name = "internlm2",
    .title = "InternLM2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "attention.wqkv, rows [q…|k|v] per KV group",
    .build = build,
    .forward = forward,
};
