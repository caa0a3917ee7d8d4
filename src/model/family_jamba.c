/* Jamba (arXiv 2403.19887): Mamba 1, and softmax attention without position encoding every attn_layer_period layers.
 * Mamba 1 makes C and B from the convolved channels: Q = C rows, K = B rows of x_proj, rows [dt_rank | B N | C N]. */
#include "model/forward_builder.h"

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

/* Projections of the input, and of the convolved channels: x_proj rows [dt_rank | B | C]. */
static enum qk_code forward_rows(struct qk_model_builder *b, size_t i, const struct mamba1 *m, size_t hidden,
                                 struct qk_mamba1_spec *s, struct qk_err *err)
{
    struct qk_head_rows x = {.module = "mamba.in_proj", .total = 2 * (uint64_t)m->d_inner}, z = x;
    struct qk_head_rows dt = {.module = "mamba.x_proj", .total = m->dt_rank + 2 * (uint64_t)m->d_state}, in = dt,
                        out = dt;
    z.first = m->d_inner;
    in.first = m->dt_rank;
    out.first = m->dt_rank + m->d_state;
    QK_TRY(qk_spec_head_rows(b, i, &x, 1, m->d_inner, hidden, &s->x, err));
    QK_TRY(qk_spec_head_rows(b, i, &z, 1, m->d_inner, hidden, &s->z, err));
    QK_TRY(qk_spec_head_rows(b, i, &dt, 1, m->dt_rank, m->d_inner, &s->dt_inner, err));
    QK_TRY(qk_spec_head_rows(b, i, &in, 1, m->d_state, m->d_inner, &s->b, err));
    return qk_spec_head_rows(b, i, &out, 1, m->d_state, m->d_inner, &s->c, err);
}

static enum qk_code forward_mamba(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i, double eps,
                                  struct qk_err *err)
{
    struct qk_layer_spec *l = qk_spec_layer(spec, i);
    struct qk_mamba1_spec *s = qk_arena_alloc(b->arena, 1, sizeof *s);
    struct mamba1 m;
    if (!s) {
        return qk_fail_nomem(err, "mixer");
    }
    QK_TRY(read_mamba(b, spec->hidden, &m, err));
    *s = (struct qk_mamba1_spec){.d_inner = m.d_inner, .d_state = m.d_state, .dt_rank = m.dt_rank};
    QK_TRY(forward_rows(b, i, &m, spec->hidden, s, err));
    enum qk_function act = QK_FUNCTION_NONE;
    QK_TRY(qk_spec_function(b, "hidden_act", "silu", &act, err));
    QK_TRY(qk_spec_conv(b, i, "mamba.conv1d", 0, m.d_inner, act, &s->conv, err));
    if (qk_layer_find(b, i, "mamba.dt_layernorm.weight")) {
        enum qk_norm_kind rms = QK_NORM_RMS;
        QK_TRY(qk_spec_norm(b, i, "mamba.dt_layernorm", rms, false, eps, m.dt_rank, 0, &s->dt_norm, err));
        QK_TRY(qk_spec_norm(b, i, "mamba.b_layernorm", rms, false, eps, m.d_state, 0, &s->b_norm, err));
        QK_TRY(qk_spec_norm(b, i, "mamba.c_layernorm", rms, false, eps, m.d_state, 0, &s->c_norm, err));
    }
    QK_TRY(qk_spec_module(b, i, "mamba.dt_proj", false, m.d_inner, m.dt_rank, &s->dt, err));
    QK_TRY(qk_spec_vector(b, i, "mamba.A_log", (uint64_t)m.d_inner * m.d_state, &s->a_log, err));
    QK_TRY(qk_spec_vector(b, i, "mamba.D", m.d_inner, &s->skip, err));
    QK_TRY(qk_spec_module(b, i, "mamba.out_proj", false, spec->hidden, m.d_inner, &s->o, err));
    l->n_mixers = 1;
    l->mixers[0] = (struct qk_mixer_spec){.kind = QK_MIXER_MAMBA1, .mamba1 = s};
    return QK_OK;
}

static const struct qk_moe_names moe = {
    .router = "feed_forward.router",
    .gate = "feed_forward.experts.%zu.gate_proj",
    .up = "feed_forward.experts.%zu.up_proj",
    .down = "feed_forward.experts.%zu.down_proj",
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .mlp_norm = "pre_ff_layernorm",
        .gate = "feed_forward.gate_proj",
        .up = "feed_forward.up_proj",
        .down = "feed_forward.down_proj",
        .moe = &moe,
    };
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        if (b->model->layers[i].kind == QK_LAYER_SSM) {
            QK_TRY(forward_mamba(b, spec, i, eps, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"jamba", NULL};

const struct qk_family qk_family_jamba = {
    .name = "jamba",
    .title = "Jamba (Mamba 1 and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj; mamba.x_proj: C rows as Q, B rows as K",
    .build = build,
    .forward = forward,
};
