/* Gemma: norms that multiply by 1 + w. */
#include "model/builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.plus_one = true};
    return qk_build_plain(b, &plain, NULL, err);
}

static const char *const types[] = {"gemma", NULL};

const struct qk_family qk_family_gemma = {
    .name = "gemma",
    .title = "Gemma",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
