/* Llama. */
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    return qk_build_plain(b, &plain, NULL, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {0};
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"llama", NULL};

const struct qk_family qk_family_llama = {
    .name = "llama",
    .title = "Llama 1 to 3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
