/* BLOOM: fused per head [q|k|v], ALiBi. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {
        .module = "self_attention.query_key_value", .by_group = true, .input_norm = "input_layernorm.weight"};
    static const struct qk_position position = {.kind = QK_POSITION_ALIBI};
    struct qk_dims d;
    QK_TRY(qk_cfg_dims(b, &d, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .norm = QK_NORM_LAYER,
        .eps = 1e-5,
        .fused = "self_attention.query_key_value",
        .by_group = true,
        .o = "self_attention.dense",
        .gate = "",
        .up = "mlp.dense_h_to_4h",
        .down = "mlp.dense_4h_to_h",
        .function_key = "activation_function", /* fixed, whatever hidden_act says */
        .function = "gelu_new",
    };
    double *slopes = NULL, eps = 0;
    bool behind_norm = false;
    QK_TRY(qk_cfg_flag(b, "apply_residual_connection_post_layernorm", false, &behind_norm, err));
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    QK_TRY(qk_spec_outer_norm(b, spec, "word_embeddings_layernorm", QK_NORM_LAYER, eps, &spec->embedding_norm, err));
    QK_TRY(qk_spec_slopes(spec, b->model->layers[0].n_heads, &slopes, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        qk_spec_softmax(spec, i)->alibi = slopes;
        qk_spec_layer(spec, i)->residual_after_norm = behind_norm;
    }
    return QK_OK;
}

static const char *const types[] = {"bloom", NULL};

const struct qk_family qk_family_bloom = {
    .name = "bloom",
    .title = "BLOOM",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attention.query_key_value, rows [q|k|v] per head",
    .build = build,
    .forward = forward,
};
