/* Jamba (arXiv 2403.19887): Mamba 1, and softmax attention without position encoding every attn_layer_period layers.
 * Mamba 1 makes C and B from the convolved channels: Q = C rows, K = B rows of x_proj, rows [dt_rank | B N | C N]. */
#include "model/builder.h"

#include <string.h>

struct mamba1 {
    size_t d_inner, d_state, dt_rank;
};

static enum qk_code read_mamba(struct qk_model_builder *b, size_t hidden, struct mamba1 *ret, struct qk_err *err)
{
    struct mamba1 m = {0};
    size_t expand = 0;
    const struct qk_json *rank = qk_cfg_find(b, "mamba_dt_rank");
    QK_TRY(qk_cfg_count(b, "mamba_expand", 2, 1, 1024, &expand, err));
    QK_TRY(qk_cfg_count(b, "mamba_d_state", 16, 1, QK_MAX_HEAD_DIM, &m.d_state, err));
    m.dt_rank = (hidden + 15) / 16; /* "auto" */
    if (rank && qk_json_type(rank) == QK_JSON_NUMBER) {
        QK_TRY(qk_cfg_count(b, "mamba_dt_rank", 0, 1, QK_MAX_HIDDEN, &m.dt_rank, err));
    }
    m.d_inner = expand * hidden;
    *ret = m;
    return QK_OK;
}

static enum qk_code claim_mamba(struct qk_model_builder *b, size_t layer, const struct mamba1 *m, size_t hidden,
                                struct qk_err *err)
{
    const struct qk_tensor *x_proj = NULL, *in_proj = NULL;
    QK_TRY(qk_layer_tensor(b, layer, "mamba.x_proj.weight", &x_proj, err));
    QK_TRY(qk_layer_tensor(b, layer, "mamba.in_proj.weight", &in_proj, err));
    QK_TRY(qk_check_matrix(b, in_proj, false, 2 * (uint64_t)m->d_inner, hidden, err));
    struct qk_rows dt = {x_proj, 0, m->dt_rank, false}, gate = {in_proj, m->d_inner, m->d_inner, false};
    QK_TRY(qk_claim_rows(b, &dt, QK_ROLE_DECAY, err));
    return qk_claim_rows(b, &gate, QK_ROLE_GATE, err);
}

static enum qk_code build_mamba(struct qk_model_builder *b, size_t layer, const struct mamba1 *m, size_t hidden,
                                struct qk_err *err)
{
    uint64_t total = m->dt_rank + 2 * (uint64_t)m->d_state;
    bool norm = qk_layer_find(b, layer, "mamba.b_layernorm.weight") != NULL;
    struct qk_heads heads = {
        .kind = QK_LAYER_SSM,
        .mixer = "mamba1",
        .n_heads = 1,
        .n_kv_heads = 1,
        .head_dim = m->d_state,
        .v_head_dim = m->d_inner,
        .n_in = m->d_inner,
        .q = {.module = "mamba.x_proj", .total = total, .first = m->dt_rank + m->d_state},
        .k = {.module = "mamba.x_proj", .total = total, .first = m->dt_rank},
        .q_norm = norm ? "mamba.c_layernorm.weight" : NULL,
        .k_norm = norm ? "mamba.b_layernorm.weight" : NULL,
    };
    QK_TRY(qk_build_heads(b, layer, &heads, err));
    return claim_mamba(b, layer, m, hidden, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    struct mamba1 mamba;
    struct qk_dims d;
    const enum qk_layer_kind *kinds = NULL;
    size_t period = 0, offset = 0;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_kinds(b, "layer_types|layers_block_type", d.n_layers, &kinds, err));
    QK_TRY(qk_cfg_count(b, "attn_layer_period", 8, 1, QK_MAX_LAYERS, &period, err));
    QK_TRY(qk_cfg_count(b, "attn_layer_offset", 4, 0, QK_MAX_LAYERS, &offset, err));
    QK_TRY(read_mamba(b, d.hidden, &mamba, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (kinds ? kinds[i] == QK_LAYER_FULL : i % period == offset) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, NULL, 0, err));
        } else {
            QK_TRY(build_mamba(b, i, &mamba, d.hidden, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"jamba", NULL};

const struct qk_family qk_family_jamba = {
    .name = "jamba",
    .title = "Jamba (Mamba 1 and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj; mamba.x_proj: C rows as Q, B rows as K",
    .build = build,
};
