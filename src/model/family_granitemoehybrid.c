/* Granite 4 hybrids: Mamba 2, and softmax attention that usually has no position encoding. */
#include "model/builder.h"

#include <string.h>

static enum qk_code read_position(struct qk_model_builder *b, size_t head_dim, struct qk_position *ret,
                                  struct qk_err *err)
{
    static const struct qk_rope_request rope = {0};
    const char *kind = NULL;
    *ret = (struct qk_position){.kind = QK_POSITION_NONE};
    QK_TRY(qk_cfg_string(b, "position_embedding_type", "nope", &kind, err));
    return strcmp(kind, "rope") ? QK_OK : qk_position_rope(b, &rope, head_dim, ret, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    struct qk_dims d;
    struct qk_mamba2 mamba = {0};
    struct qk_position position;
    const enum qk_layer_kind *kinds = NULL;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_kinds(b, "layer_types|layers_block_type", d.n_layers, &kinds, err));
    QK_TRY(read_position(b, d.head_dim, &position, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        bool full = kinds ? kinds[i] == QK_LAYER_FULL : qk_layer_find(b, i, "self_attn.q_proj.weight") != NULL;
        if (full) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, 0, err));
            continue;
        }
        if (!mamba.module) {
            QK_TRY(qk_cfg_mamba2(b, d.hidden, &mamba, err));
        }
        QK_TRY(qk_build_mamba2(b, i, &mamba, err));
    }
    return QK_OK;
}

static const char *const types[] = {"granitemoehybrid", NULL};

const struct qk_family qk_family_granitemoehybrid = {
    .name = "granitemoehybrid",
    .title = "Granite 4 (Mamba 2 and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj; mamba.in_proj: C rows as Q, B rows as K",
    .build = build,
};
