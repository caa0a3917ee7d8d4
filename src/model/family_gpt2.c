/* GPT-2: fused [q|k|v] stored [in, out], learned positions. */
#include "fused.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "attn.c_attn", .transposed = true, .input_norm = "ln_1.weight"};
    static const struct qk_position position = {.kind = QK_POSITION_LEARNED};
    struct qk_dims d;
    QK_TRY(qk_cfg_dims(b, &d, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static const char *const types[] = {"gpt2", NULL};

const struct qk_family qk_family_gpt2 = {
    .name = "gpt2",
    .title = "GPT-2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "attn.c_attn stored [in, out], columns [q|k|v]",
    .build = build,
};
