/* MPT: fused [q|k|v], ALiBi or learned positions. */
#include "fused.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "attn.Wqkv", .input_norm = "norm_1.weight"};
    static const struct qk_rope_request rope = {.theta_key = "attn_config.rope_theta"};
    struct qk_position position = {.kind = QK_POSITION_LEARNED};
    struct qk_dims d;
    bool alibi = false, rotary = false;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_cfg_count(b, "attn_config.kv_n_heads", d.n_heads, 1, QK_MAX_HEADS, &d.n_kv_heads, err));
    QK_TRY(qk_cfg_flag(b, "attn_config.alibi", false, &alibi, err));
    QK_TRY(qk_cfg_flag(b, "attn_config.rope", false, &rotary, err));
    if (d.n_heads % d.n_kv_heads) {
        return qk_cfg_fail(b, err, "attn_config.kv_n_heads",
                           "does not divide n_heads (expected a divisor of %zu, found %zu)", d.n_heads, d.n_kv_heads);
    }
    QK_TRY(qk_build_layers(b, "transformer.blocks.", &d, err));
    if (alibi) {
        position.kind = QK_POSITION_ALIBI;
    } else if (rotary) {
        QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    }
    return qk_build_all_fused(b, "transformer.blocks.", &fused, &d, &position, 0, err);
}

static const char *const types[] = {"mpt", NULL};

const struct qk_family qk_family_mpt = {
    .name = "mpt",
    .title = "MPT",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "attn.Wqkv, rows [q|k|v]",
    .build = build,
};
