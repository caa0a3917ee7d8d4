/* MiniMax-M2: softmax attention in every layer, q and k norms over all heads together, partial rotation. */
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_plain plain = {.theta = 5e6};
    bool norm = true;
    QK_TRY(qk_cfg_flag(b, "use_qk_norm", true, &norm, err));
    if (norm) {
        plain.q_norm = "self_attn.q_norm.weight";
        plain.k_norm = "self_attn.k_norm.weight";
    }
    return qk_build_plain(b, &plain, NULL, err);
}

static const struct qk_moe_names moe = {
    .router = "block_sparse_moe.gate",
    .gate = "block_sparse_moe.experts.%zu.w1",
    .up = "block_sparse_moe.experts.%zu.w3",
    .down = "block_sparse_moe.experts.%zu.w2",
    .choice_bias = "block_sparse_moe.e_score_correction_bias",
    .sigmoid = true,
    .renormalise = true,
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.moe = &moe};
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"minimax_m2", NULL};

const struct qk_family qk_family_minimax_m2 = {
    .name = "minimax_m2",
    .title = "MiniMax-M2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj, norms over all heads",
    .build = build,
    .forward = forward,
};
