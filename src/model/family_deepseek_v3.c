/* DeepSeek-V2, V3, R1, Kimi K2: latent attention, the rotary part behind the rest of each head, pairs interleaved. */
#include "model/builder.h"

static const struct qk_role_rule rules[] = {{"self_attn.indexer.*", QK_ROLE_OTHER}};

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_mla mla;
    struct qk_position position;
    struct qk_rope_request rope = {0};
    b->rules = rules;
    b->n_rules = sizeof rules / sizeof *rules;
    b->defaults.head_dim = 1; /* latent attention has its own */
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_mla(b, &d, &mla, err));
    rope.first = mla.nope;
    rope.dim = mla.rope;
    QK_TRY(qk_cfg_flag(b, "rope_interleave", true, &rope.interleaved, err));
    QK_TRY(qk_position_rope(b, &rope, mla.nope + mla.rope, &position, err));
    mla.position = &position;
    for (size_t i = 0; i < d.n_layers; i++) {
        QK_TRY(qk_build_mla(b, i, &mla, err));
    }
    return QK_OK;
}

static const char *const types[] = {"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", NULL};

const struct qk_family qk_family_deepseek_v3 = {
    .name = "deepseek_v3",
    .title = "DeepSeek-V2, V3, R1, Kimi K2 (latent attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "q_b_proj through q_a_proj (or q_proj); kv_b_proj through kv_a_proj_with_mqa, and its rotary rows",
    .build = build,
};
