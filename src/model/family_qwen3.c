/* Qwen3 and its mixture of experts: an RMSNorm per head on q and k. */
#include "qwen.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.q_norm = "self_attn.q_norm.weight", .k_norm = "self_attn.k_norm.weight"};
    return qk_build_qwen(b, &plain, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    return qk_forward_qwen(b, spec, err);
}

static const char *const types[] = {"qwen3", "qwen3_moe", NULL};

const struct qk_family qk_family_qwen3 = {
    .name = "qwen3",
    .title = "Qwen3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj, norms per head",
    .build = build,
    .forward = forward,
};
