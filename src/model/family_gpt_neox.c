/* GPT-NeoX, Pythia: fused per head [q|k|v], a quarter of each head rotated. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {
        .module = "attention.query_key_value", .by_group = true, .input_norm = "input_layernorm.weight"};
    static const struct qk_rope_request rope = {.partial = 0.25};
    struct qk_dims d;
    struct qk_position position;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "gpt_neox.layers.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    return qk_build_all_fused(b, "gpt_neox.layers.", &fused, &d, &position, 0, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .norm = QK_NORM_LAYER,
        .eps = 1e-5,
        .fused = "attention.query_key_value",
        .by_group = true,
        .o = "attention.dense",
        .gate = "",
        .up = "mlp.dense_h_to_4h",
        .down = "mlp.dense_4h_to_h",
        .function = "gelu",
    };
    bool parallel = true;
    QK_TRY(qk_cfg_flag(b, "use_parallel_residual", true, &parallel, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        qk_spec_layer(spec, i)->parallel = parallel;
    }
    return QK_OK;
}

static const char *const types[] = {"gpt_neox", NULL};

const struct qk_family qk_family_gpt_neox = {
    .name = "gpt_neox",
    .title = "GPT-NeoX, Pythia",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "attention.query_key_value, rows [q|k|v] per head",
    .build = build,
    .forward = forward,
};
