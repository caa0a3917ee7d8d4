/* HypeNet (arXiv 2601.22156): lightning attention with RoPE, and softmax attention without, told by mixer_types. */
#include "model/builder.h"

#include <string.h>

struct shape {
    struct qk_dims attn, lightning;
    bool lightning_norm;
    struct qk_position attn_position, lightning_position;
};

static enum qk_code read_shape(struct qk_model_builder *b, struct shape *s, struct qk_err *err)
{
    bool attn_rope = false, lightning_rope = true;
    struct qk_rope_request attn = {0}, lightning = {.scaling_key = "lightning_rope_scaling"};
    s->lightning = s->attn;
    QK_TRY(qk_cfg_count(b, "lightning_nh", s->attn.n_heads, 1, QK_MAX_HEADS, &s->lightning.n_heads, err));
    QK_TRY(qk_cfg_count(b, "lightning_nkv", s->lightning.n_heads, 1, QK_MAX_HEADS, &s->lightning.n_kv_heads, err));
    QK_TRY(qk_cfg_count(b, "lightning_head_dim", s->attn.head_dim, 1, QK_MAX_HEAD_DIM, &s->lightning.head_dim, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_qk_norm", true, &s->lightning_norm, err));
    QK_TRY(qk_cfg_flag(b, "attn_use_rope", false, &attn_rope, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_rope", true, &lightning_rope, err));
    if (attn_rope) {
        QK_TRY(qk_position_rope(b, &attn, s->attn.head_dim, &s->attn_position, err));
    }
    if (lightning_rope) {
        QK_TRY(qk_position_rope(b, &lightning, s->lightning.head_dim, &s->lightning_position, err));
    }
    return QK_OK;
}

static enum qk_code layer_is_lightning(struct qk_model_builder *b, const char *const *mixers, size_t i, bool *ret,
                                       struct qk_err *err)
{
    if (!mixers) {
        *ret = qk_layer_find(b, i, "self_attn.z_proj.weight") != NULL;
        return QK_OK;
    }
    *ret = !strcmp(mixers[i], "lightning-attn") || !strcmp(mixers[i], "lightning_attn");
    if (!*ret && strcmp(mixers[i], "attn") != 0) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: mixer_types: layer %zu is of an unknown kind '%s' (expected attn, lightning-attn)",
                       b->source, i, mixers[i]);
    }
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct shape s = {0};
    const char *const *mixers = NULL;
    QK_TRY(qk_cfg_dims(b, &s.attn, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &s.attn, err));
    QK_TRY(qk_cfg_names(b, "mixer_types", s.attn.n_layers, &mixers, err));
    QK_TRY(read_shape(b, &s, err));
    for (size_t i = 0; i < s.attn.n_layers; i++) {
        bool lightning = false;
        QK_TRY(layer_is_lightning(b, mixers, i, &lightning, err));
        struct qk_dims *d = lightning ? &s.lightning : &s.attn;
        bool norm = !lightning || s.lightning_norm;
        struct qk_plain plain = {.q_norm = norm ? "self_attn.q_norm.weight" : NULL,
                                 .k_norm = norm ? "self_attn.k_norm.weight" : NULL};
        QK_TRY(qk_build_plain_layer(b, i, &plain, d, lightning ? &s.lightning_position : &s.attn_position, 0, err));
        if (lightning) {
            b->layers[i].kind = QK_LAYER_LINEAR;
            b->layers[i].mixer = "lightning";
        }
    }
    return QK_OK;
}

static const char *const types[] = {"hypenet", NULL};

const struct qk_family qk_family_hypenet = {
    .name = "hypenet",
    .title = "HypeNet (lightning and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj; lightning layers have their own head counts",
    .build = build,
};
