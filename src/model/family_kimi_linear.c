/* Kimi Linear (arXiv 2510.26692): Kimi delta attention, and latent attention without rotation now and then. */
#include "model/forward_builder.h"

#include <math.h>

/* layer_types, else the lists of linear_attn_config, which count from 1. */
static enum qk_code read_full(struct qk_model_builder *b, size_t n, bool *full, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    bool found = false;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, &kinds, err));
    if (kinds) {
        for (size_t i = 0; i < n; i++) {
            full[i] = kinds[i] == QK_LAYER_FULL;
        }
        return QK_OK;
    }
    QK_TRY(qk_cfg_index_set(b, "linear_attn_config.full_attn_layers", 1, n, full, &found, err));
    if (!found) {
        return qk_cfg_fail(b, err, "linear_attn_config.full_attn_layers", "missing, and there is no layer_types");
    }
    return QK_OK;
}

static enum qk_code build_kda(struct qk_model_builder *b, size_t layer, size_t n_heads, size_t head_dim, size_t hidden,
                              struct qk_err *err)
{
    uint64_t rows = (uint64_t)n_heads * head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "kda",
        .n_heads = n_heads,
        .n_kv_heads = n_heads,
        .head_dim = head_dim,
        .n_in = hidden,
        .q = {.module = "self_attn.q_proj", .total = rows},
        .k = {.module = "self_attn.k_proj", .total = rows},
        .input_norm = "input_layernorm.weight",
    };
    return qk_build_heads(b, layer, &heads, err);
}

static enum qk_code read_position(struct qk_model_builder *b, const struct qk_mla *mla, struct qk_position *ret,
                                  struct qk_err *err)
{
    bool nope = true;
    struct qk_rope_request rope = {.first = mla->nope, .dim = mla->rope, .interleaved = true};
    QK_TRY(qk_cfg_flag(b, "mla_use_nope", true, &nope, err));
    *ret = (struct qk_position){.kind = QK_POSITION_NONE};
    return nope ? QK_OK : qk_position_rope(b, &rope, mla->nope + mla->rope, ret, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_mla mla;
    struct qk_position position;
    size_t n_heads = 0, head_dim = 0;
    b->defaults.head_dim = 1; /* latent attention has its own */
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_mla(b, &d, &mla, err));
    QK_TRY(read_position(b, &mla, &position, err));
    mla.position = &position;
    QK_TRY(qk_cfg_count(b, "linear_num_heads|linear_attn_config.num_heads", d.n_heads, 1, QK_MAX_HEADS, &n_heads, err));
    QK_TRY(qk_cfg_count(b, "linear_head_dim|linear_attn_config.head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &head_dim,
                        err));
    bool *full = qk_arena_alloc(b->arena, d.n_layers, sizeof *full);
    if (!full) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_full(b, d.n_layers, full, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (full[i]) {
            QK_TRY(qk_build_mla(b, i, &mla, err));
        } else {
            QK_TRY(build_kda(b, i, n_heads, head_dim, d.hidden, err));
        }
    }
    return QK_OK;
}

static enum qk_code forward_convs(struct qk_model_builder *b, size_t i, size_t n, struct qk_linear_spec *s,
                                  struct qk_err *err)
{
    enum qk_function act = QK_FUNCTION_NONE;
    QK_TRY(qk_spec_function(b, "hidden_act", "silu", &act, err));
    QK_TRY(qk_spec_conv(b, i, "self_attn.q_conv1d", 0, n, act, &s->q_conv, err));
    QK_TRY(qk_spec_conv(b, i, "self_attn.k_conv1d", 0, n, act, &s->k_conv, err));
    return qk_spec_conv(b, i, "self_attn.v_conv1d", 0, n, act, &s->v_conv, err);
}

/* Decay per key channel and output gate go through a narrow inner projection of head_dim rows. */
static enum qk_code forward_gates(struct qk_model_builder *b, size_t i, size_t n, size_t narrow, size_t d, double eps,
                                  struct qk_linear_spec *s, struct qk_err *err)
{
    QK_TRY(qk_spec_vector(b, i, "self_attn.A_log", s->n_heads, &s->a_log, err));
    QK_TRY(qk_spec_vector(b, i, "self_attn.dt_bias", n, &s->dt_bias, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.f_a_proj", false, narrow, d, &s->decay_inner, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.f_b_proj", false, n, narrow, &s->decay, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.b_proj", false, s->n_heads, d, &s->beta, err));
    QK_TRY(qk_spec_norm(b, i, "self_attn.o_norm", QK_NORM_RMS, false, eps, n, s->d_v, &s->out_norm, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.g_a_proj", false, narrow, d, &s->gate.inner, err));
    return qk_spec_module(b, i, "self_attn.g_b_proj", false, n, narrow, &s->gate.projection, err);
}

static enum qk_code forward_kda(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i, double eps,
                                struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_linear_spec *s = NULL;
    size_t h = l->n_heads, n = h * l->head_dim, d = spec->hidden;
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    *s = (struct qk_linear_spec){
        .delta = true,
        .n_heads = h,
        .n_qk_heads = h,
        .n_k_heads = h,
        .n_v_heads = h,
        .d_k = l->head_dim,
        .d_v = l->head_dim,
        .l2_eps = 1e-6,
        .scale = 1 / sqrt((double)l->head_dim),
        .decay_per_key = true,
        .beta_factor = 1,
        .gate = {.function = QK_FUNCTION_SIGMOID},
    };
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.v_proj", false, n, d, &s->v, err));
    QK_TRY(forward_convs(b, i, n, s, err));
    QK_TRY(forward_gates(b, i, n, l->head_dim, d, eps, s, err));
    return qk_spec_module(b, i, "self_attn.o_proj", false, d, n, &s->o, err);
}

static const struct qk_moe_names moe = {
    .router = "block_sparse_moe.gate",
    .gate = "block_sparse_moe.experts.%zu.w1",
    .up = "block_sparse_moe.experts.%zu.w3",
    .down = "block_sparse_moe.experts.%zu.w2",
    .shared_gate = "block_sparse_moe.shared_experts.gate_proj",
    .shared_up = "block_sparse_moe.shared_experts.up_proj",
    .shared_down = "block_sparse_moe.shared_experts.down_proj",
    .choice_bias = "block_sparse_moe.gate.e_score_correction_bias",
    .sigmoid = true,
    .renormalise_key = "moe_renormalize",
    .renormalise = true,
    .scale_key = "routed_scaling_factor",
    .groups_key = "num_expert_group",
    .kept_key = "topk_group",
    .group_best = 2,
};
static const struct qk_block_names own_names = {.moe = &moe};
/* some checkpoints keep their dense layers under the mixtures' name */
static const struct qk_block_names shared_names = {
    .gate = "block_sparse_moe.gate_proj",
    .up = "block_sparse_moe.up_proj",
    .down = "block_sparse_moe.down_proj",
    .moe = &moe,
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    const struct qk_block_names *names = &own_names;
    double eps = 0;
    for (size_t i = 0; i < b->n_layers; i++) {
        names = qk_layer_find(b, i, "block_sparse_moe.gate_proj.weight") ? &shared_names : names;
    }
    QK_TRY(qk_spec_only_string(b, "moe_router_activation_func", "sigmoid", err));
    QK_TRY(qk_spec_eps(b, names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        bool linear = b->model->layers[i].kind == QK_LAYER_LINEAR;
        /* the latent's norm keeps its default eps, whatever the config says */
        QK_TRY(linear ? forward_kda(b, spec, i, eps, err) : qk_spec_latent(b, spec, i, "self_attn", 1e-6, err));
    }
    return QK_OK;
}

static const char *const types[] = {"kimi_linear", NULL};

const struct qk_family qk_family_kimi_linear = {
    .name = "kimi_linear",
    .title = "Kimi Linear (KDA and latent attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "KDA: self_attn.{q,k}_proj; MLA: q_proj, kv_b_proj through kv_a_proj_with_mqa",
    .build = build,
    .forward = forward,
};
