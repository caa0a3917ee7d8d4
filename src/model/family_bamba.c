/* Bamba: Mamba 2, and softmax attention with half of each head rotated in the layers of attn_layer_indices. */
#include "model/forward_builder.h"

static enum qk_code read_full(struct qk_model_builder *b, size_t n, bool *full, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    bool found = false;
    QK_TRY(qk_cfg_kinds(b, "layer_types|layers_block_type", n, &kinds, err));
    for (size_t i = 0; kinds && i < n; i++) {
        full[i] = kinds[i] == QK_LAYER_FULL;
    }
    return kinds ? QK_OK : qk_cfg_index_set(b, "attn_layer_indices", 0, n, full, &found, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    struct qk_rope_request rope = {.partial = 0.5};
    struct qk_dims d;
    struct qk_mamba2 mamba;
    struct qk_position position;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_mamba2(b, d.hidden, &mamba, err));
    QK_TRY(qk_cfg_count(b, "attn_rotary_emb", 0, 0, d.head_dim, &rope.dim, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    bool *full = qk_arena_alloc(b->arena, d.n_layers, sizeof *full);
    if (!full) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_full(b, d.n_layers, full, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (full[i]) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, 0, err));
        } else {
            QK_TRY(qk_build_mamba2(b, i, &mamba, err));
        }
    }
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .eps = 1e-5,
        .mlp_norm = "pre_ff_layernorm",
        .gate = "feed_forward.gate_proj",
        .up = "feed_forward.up_proj",
        .down = "feed_forward.down_proj",
    };
    struct qk_mamba2 mamba;
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    QK_TRY(qk_cfg_mamba2(b, spec->hidden, &mamba, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_linear_spec *s = NULL;
        if (b->model->layers[i].kind == QK_LAYER_SSM) {
            QK_TRY(qk_spec_new_linear(spec, i, &s, err));
            QK_TRY(qk_spec_mamba2(b, i, &mamba, eps, s, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"bamba", NULL};

const struct qk_family qk_family_bamba = {
    .name = "bamba",
    .title = "Bamba (Mamba 2 and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj; mamba.in_proj: C rows as Q, B rows as K",
    .build = build,
    .forward = forward,
};
