/* Falcon 7B, 40B, 180B and RW: three orders of one fused projection. */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_fused fused = {.module = "self_attention.query_key_value", .by_group = true};
    struct qk_position position = {.kind = QK_POSITION_ALIBI};
    struct qk_rope_request rope = {0};
    struct qk_dims d;
    bool grouped = false, multi_query = true, alibi = false;
    QK_TRY(qk_cfg_flag(b, "new_decoder_architecture", false, &grouped, err));
    QK_TRY(qk_cfg_flag(b, "multi_query", true, &multi_query, err));
    QK_TRY(qk_cfg_flag(b, "alibi", false, &alibi, err));
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "transformer.h.", &d, err));
    d.n_kv_heads = d.n_heads;
    if (grouped) {
        QK_TRY(qk_cfg_count(b, "num_kv_heads|n_head_kv", d.n_heads, 1, QK_MAX_HEADS, &d.n_kv_heads, err));
        if (d.n_heads % d.n_kv_heads) {
            return qk_cfg_fail(b, err, "num_kv_heads",
                               "does not divide num_attention_heads (expected a divisor of %zu, found %zu)", d.n_heads,
                               d.n_kv_heads);
        }
    } else if (multi_query) {
        d.n_kv_heads = 1;
        fused.by_group = false;
    }
    if (!alibi) {
        QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    }
    fused.input_norm = qk_layer_find(b, 0, "ln_attn.weight") ? "ln_attn.weight" : "input_layernorm.weight";
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

/* With the new architecture's two norms, attention and MLP have one each; else both read the same. */
static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    struct qk_block_names names = {
        .norm = QK_NORM_LAYER,
        .eps = 1e-5,
        .mlp_norm = "input_layernorm",
        .fused = "self_attention.query_key_value",
        .o = "self_attention.dense",
        .gate = "",
        .up = "mlp.dense_h_to_4h",
        .down = "mlp.dense_4h_to_h",
        .function_key = "activation",
        .function = "gelu",
    };
    bool parallel = true, multi_query = true, alibi = false;
    QK_TRY(qk_cfg_flag(b, "alibi", false, &alibi, err));
    QK_TRY(qk_cfg_flag(b, "parallel_attn", true, &parallel, err));
    QK_TRY(qk_cfg_flag(b, "multi_query", true, &multi_query, err));
    QK_TRY(qk_cfg_flag(b, "new_decoder_architecture", false, &names.by_group, err));
    if (alibi) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: alibi: no forward pass with this position encoding", b->source);
    }
    parallel = parallel || names.by_group;
    names.by_group = names.by_group || !multi_query;
    if (qk_layer_find(b, 0, "ln_attn.weight")) {
        names.mixer_norm = "ln_attn";
        names.mlp_norm = "ln_mlp";
    } else if (!parallel) {
        names.mlp_norm = "post_attention_layernorm";
    }
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        qk_spec_layer(spec, i)->parallel = parallel;
    }
    return QK_OK;
}

static const char *const types[] = {"falcon", "RefinedWeb", "RefinedWebModel", NULL};

const struct qk_family qk_family_falcon = {
    .name = "falcon",
    .title = "Falcon",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attention.query_key_value: per group [q…|k|v], multi-query [q…|k|v], or per head [q|k|v]",
    .build = build,
    .forward = forward,
};
