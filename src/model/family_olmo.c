/* OLMo: Llama names, LayerNorm without weights. */
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.input_norm = ""};
    return qk_build_plain(b, &plain, NULL, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.norm = QK_NORM_LAYER, .bare_norms = true, .eps = 1e-5, .eps_key = ""};
    double clip = 0;
    QK_TRY(qk_cfg_number(b, "clip_qkv", 0, &clip, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        qk_spec_softmax(spec, i)->clip = clip;
    }
    return QK_OK;
}

static const char *const types[] = {"olmo", NULL};

const struct qk_family qk_family_olmo = {
    .name = "olmo",
    .title = "OLMo",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
