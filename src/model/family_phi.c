/* Phi-1, Phi-1.5, Phi-2: separate projections with bias (transformers), or fused mixer.Wqkv (as first published). */
#include "fused.h"

static enum qk_code build_separate(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_plain plain = {.partial = 0.5};
    bool norm = false;
    QK_TRY(qk_cfg_flag(b, "qk_layernorm", false, &norm, err));
    if (norm) {
        plain.q_norm = "self_attn.q_layernorm.weight";
        plain.k_norm = "self_attn.k_layernorm.weight";
    }
    return qk_build_plain(b, &plain, NULL, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "mixer.Wqkv", .input_norm = "ln.weight"};
    static const struct qk_rope_request rope = {.partial = 0.5};
    struct qk_dims d;
    struct qk_position position;
    if (!qk_ckpt_find(b->ckpt, "transformer.h.0.mixer.Wqkv.weight")) {
        return build_separate(b, err);
    }
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "transformer.h.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static const char *const types[] = {"phi", "phi-msft", NULL};

const struct qk_family qk_family_phi = {
    .name = "phi",
    .title = "Phi-1, Phi-2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj with bias, or mixer.Wqkv, rows [q|k|v]",
    .build = build,
};
