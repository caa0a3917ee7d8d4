/* Granite 4 hybrids: Mamba 2, and softmax attention that usually has no position encoding. */
#include "model/forward_builder.h"

#include <math.h>
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

static enum qk_code forward_mamba(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                  const struct qk_mamba2 *mamba, double eps, struct qk_err *err)
{
    struct qk_linear_spec *s = NULL;
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    return qk_spec_mamba2(b, i, mamba, eps, s, err);
}

static const struct qk_moe_names moe = {
    .router = "block_sparse_moe.router.layer",
    .stacked_gate_up = "block_sparse_moe.input_linear.weight",
    .stacked_down = "block_sparse_moe.output_linear.weight",
    .shared_gate_up = "shared_mlp.input_linear",
    .shared_down = "shared_mlp.output_linear",
    .renormalise = true, /* the softmax is over the chosen experts */
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .gate_up = "shared_mlp.input_linear", .down = "shared_mlp.output_linear", .moe = &moe};
    struct qk_mamba2 mamba = {0};
    const char *position = NULL;
    double eps = 0, embedding = 1, logits = 1, residual = 1, scale = 0;
    QK_TRY(qk_cfg_string(b, "position_embedding_type", "nope", &position, err));
    if (strcmp(position, "nope") != 0) {
        QK_TRY(qk_spec_only_string(b, "position_embedding_type", "rope", err));
    }
    QK_TRY(qk_spec_only_string(b, "normalization_function", "rmsnorm", err));
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_cfg_number(b, "embedding_multiplier", 1, &embedding, err));
    QK_TRY(qk_cfg_number(b, "logits_scaling", 1, &logits, err));
    QK_TRY(qk_cfg_number(b, "residual_multiplier", 1, &residual, err));
    QK_TRY(qk_cfg_number(b, "attention_multiplier", 1, &scale, err));
    if (!(fabs(logits) > 0)) {
        return qk_cfg_fail(b, err, "logits_scaling", "out of range (found %g)", logits);
    }
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    spec->embedding_multiplier = embedding;
    spec->head.multiplier = 1 / logits;
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_layer_spec *l = qk_spec_layer(spec, i);
        l->mixer_beta = l->mlp_beta = residual;
        if (l->n_mixers > 0) {
            qk_spec_softmax(spec, i)->scale = scale;
            continue;
        }
        if (!mamba.module) {
            QK_TRY(qk_cfg_mamba2(b, spec->hidden, &mamba, err));
        }
        QK_TRY(forward_mamba(b, spec, i, &mamba, eps, err));
    }
    return QK_OK;
}

static const char *const types[] = {"granitemoehybrid", NULL};

const struct qk_family qk_family_granitemoehybrid = {
    .name = "granitemoehybrid",
    .title = "Granite 4 (Mamba 2 and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj; mamba.in_proj: C rows as Q, B rows as K",
    .build = build,
    .forward = forward,
};
