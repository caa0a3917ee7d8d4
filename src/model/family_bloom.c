/* BLOOM: fused per head [q|k|v], ALiBi. */
#include "fused.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {
        .module = "self_attention.query_key_value", .by_group = true, .input_norm = "input_layernorm.weight"};
    static const struct qk_position position = {.kind = QK_POSITION_ALIBI};
    struct qk_dims d;
    QK_TRY(qk_cfg_dims(b, &d, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static const char *const types[] = {"bloom", NULL};

const struct qk_family qk_family_bloom = {
    .name = "bloom",
    .title = "BLOOM",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attention.query_key_value, rows [q|k|v] per head",
    .build = build,
};
