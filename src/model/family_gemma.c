/* Gemma: norms that multiply by 1 + w. */
#include "model/forward_builder.h"

#include <math.h>

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.plus_one = true};
    return qk_build_plain(b, &plain, NULL, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .plus_one = true,
        .function_key = "hidden_activation|hidden_act",
        .function = "gelu_pytorch_tanh",
    };
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    spec->embedding_multiplier = sqrt((double)spec->hidden);
    return QK_OK;
}

static const char *const types[] = {"gemma", NULL};

const struct qk_family qk_family_gemma = {
    .name = "gemma",
    .title = "Gemma",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
