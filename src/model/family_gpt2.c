/* GPT-2: fused [q|k|v] stored [in, out], learned positions. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "attn.c_attn", .transposed = true, .input_norm = "ln_1.weight"};
    static const struct qk_position position = {.kind = QK_POSITION_LEARNED};
    struct qk_dims d;
    QK_TRY(qk_cfg_dims(b, &d, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .norm = QK_NORM_LAYER,
        .eps = 1e-5,
        .mixer_norm = "ln_1",
        .mlp_norm = "ln_2",
        .fused = "attn.c_attn",
        .o = "attn.c_proj",
        .transposed = true,
        .gate = "",
        .up = "mlp.c_fc",
        .down = "mlp.c_proj",
        .function = "gelu_new",
    };
    bool scaled = true, by_layer = false;
    QK_TRY(qk_cfg_flag(b, "scale_attn_weights", true, &scaled, err));
    QK_TRY(qk_cfg_flag(b, "scale_attn_by_inverse_layer_idx", false, &by_layer, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_softmax_spec *s = qk_spec_softmax(spec, i);
        s->scale = (scaled ? s->scale : 1) / (by_layer ? (double)(i + 1) : 1);
    }
    return qk_spec_positions(b, spec, "wpe.weight", err);
}

static const char *const types[] = {"gpt2", NULL};

const struct qk_family qk_family_gpt2 = {
    .name = "gpt2",
    .title = "GPT-2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "attn.c_attn stored [in, out], columns [q|k|v]",
    .build = build,
    .forward = forward,
};
