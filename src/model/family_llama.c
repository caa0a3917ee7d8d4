/* Llama. */
#include "model/builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    return qk_build_plain(b, &plain, NULL, err);
}

static const char *const types[] = {"llama", NULL};

const struct qk_family qk_family_llama = {
    .name = "llama",
    .title = "Llama 1 to 3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
