/* OLMo: Llama names, LayerNorm without weights. */
#include "model/builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.input_norm = ""};
    return qk_build_plain(b, &plain, NULL, err);
}

static const char *const types[] = {"olmo", NULL};

const struct qk_family qk_family_olmo = {
    .name = "olmo",
    .title = "OLMo",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
