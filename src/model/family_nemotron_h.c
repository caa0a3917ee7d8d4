/* Nemotron-H: one mixer per layer, told by hybrid_override_pattern: M Mamba 2, * softmax attention (no position
 * encoding), - MLP, E experts. */
#include "model/forward_builder.h"

#include <string.h>

static enum qk_code read_pattern(struct qk_model_builder *b, size_t n, const enum qk_layer_kind **ret,
                                 struct qk_err *err)
{
    static const char letters[] = "M*-E";
    static const enum qk_layer_kind meaning[] = {QK_LAYER_SSM, QK_LAYER_FULL, QK_LAYER_NONE, QK_LAYER_NONE};
    const char *pattern = NULL;
    QK_TRY(qk_cfg_string(b, "hybrid_override_pattern", NULL, &pattern, err));
    if (!pattern) {
        QK_TRY(qk_cfg_kinds(b, "layers_block_type|layer_types", n, ret, err));
        return *ret ? QK_OK
                    : qk_cfg_fail(b, err, "hybrid_override_pattern", "missing, and there is no layers_block_type");
    }
    enum qk_layer_kind *kinds = qk_arena_alloc(b->arena, n, sizeof *kinds);
    if (!kinds) {
        return qk_fail_nomem(err, "layer kinds");
    }
    if (strlen(pattern) != n) {
        return qk_cfg_fail(b, err, "hybrid_override_pattern", "has not one letter per layer (expected %zu, found %zu)",
                           n, strlen(pattern));
    }
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr(letters, pattern[i]);
        if (!at) {
            return qk_cfg_fail(b, err, "hybrid_override_pattern",
                               "letter %zu is unknown (expected one of %s, found %c)", i, letters, pattern[i]);
        }
        kinds[i] = meaning[at - letters];
    }
    *ret = kinds;
    return QK_OK;
}

static enum qk_code read_mamba(struct qk_model_builder *b, size_t hidden, struct qk_mamba2 *ret, struct qk_err *err)
{
    struct qk_mamba2 m = {.module = "mixer", .n_in = hidden, .input_norm = "norm.weight"};
    size_t d_head = 0;
    QK_TRY(qk_cfg_count(b, "mamba_num_heads", QK_REQUIRED, 1, QK_MAX_HEADS, &m.n_heads, err));
    QK_TRY(qk_cfg_count(b, "mamba_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &d_head, err));
    QK_TRY(qk_cfg_count(b, "n_groups|mamba_n_groups", QK_REQUIRED, 1, QK_MAX_HEADS, &m.n_groups, err));
    QK_TRY(qk_cfg_count(b, "ssm_state_size|mamba_d_state", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.d_state, err));
    m.d_inner = m.n_heads * d_head;
    *ret = m;
    return QK_OK;
}

/* Newer configs leave out the number of layers. */
static enum qk_code count_layers(struct qk_model_builder *b, struct qk_err *err)
{
    const struct qk_json *list = qk_cfg_find(b, "layers_block_type");
    const char *pattern = NULL;
    QK_TRY(qk_cfg_string(b, "hybrid_override_pattern", NULL, &pattern, err));
    b->defaults.n_layers = pattern ? strlen(pattern) : list ? qk_json_count(list) : 0;
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.q = "mixer.q_proj", .k = "mixer.k_proj", .input_norm = "norm.weight"};
    struct qk_mamba2 mamba;
    struct qk_dims d;
    const enum qk_layer_kind *kinds = NULL;
    bool published = qk_has_tensors(b->ckpt, "backbone.layers.0.");
    QK_TRY(qk_cfg_count(b, "attention_head_dim", 0, 1, QK_MAX_HEAD_DIM, &b->defaults.head_dim, err));
    QK_TRY(count_layers(b, err));
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, published ? "backbone.layers." : "model.layers.", &d, err));
    QK_TRY(read_pattern(b, d.n_layers, &kinds, err));
    QK_TRY(read_mamba(b, d.hidden, &mamba, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (kinds[i] == QK_LAYER_FULL) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, NULL, 0, err));
        } else if (kinds[i] == QK_LAYER_NONE) {
            qk_build_no_heads(b, i, QK_LAYER_NONE, "mlp");
        } else {
            QK_TRY(qk_build_mamba2(b, i, &mamba, err));
        }
    }
    return QK_OK;
}

static enum qk_code forward_mamba(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i, double eps,
                                  struct qk_err *err)
{
    struct qk_linear_spec *s = NULL;
    struct qk_mamba2 mamba;
    QK_TRY(read_mamba(b, spec->hidden, &mamba, err));
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    QK_TRY(qk_spec_mamba2(b, i, &mamba, eps, s, err));
    QK_TRY(qk_cfg_number(b, "time_step_min", s->dt_min, &s->dt_min, err));
    s->out_norm.group = mamba.d_inner / mamba.n_groups;
    return QK_OK;
}

static const struct qk_moe_names moe = {
    .router = "mixer.gate",
    .gate = "",
    .up = "mixer.experts.%zu.up_proj",
    .down = "mixer.experts.%zu.down_proj",
    .shared_gate = "",
    .shared_up = "mixer.shared_experts.up_proj",
    .shared_down = "mixer.shared_experts.down_proj",
    .choice_bias = "mixer.gate.e_score_correction_bias",
    .sigmoid = true,
    .renormalise_key = "norm_topk_prob",
    .renormalise = true,
    .scale_key = "routed_scaling_factor",
    .groups_key = "n_group",
    .kept_key = "topk_group",
    .group_best = 2,
};
static const struct qk_block_names mlp = {
    .gate = "",
    .up = "mixer.up_proj",
    .down = "mixer.down_proj",
    .function_key = "mlp_hidden_act",
    .function = "relu2",
    .moe = &moe,
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .eps_key = "layer_norm_epsilon|norm_eps|rms_norm_eps",
        .eps = 1e-5,
        .mixer_norm = "",
        .mlp_norm = "",
        .v = "mixer.v_proj",
        .o = "mixer.o_proj",
        .up = "",
    };
    double eps = 0;
    if (qk_cfg_find(b, "moe_latent_size")) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: moe_latent_size: no forward pass with latent experts", b->source);
    }
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_layer_spec *l = qk_spec_layer(spec, i);
        bool feeds = b->model->layers[i].kind == QK_LAYER_NONE;
        QK_TRY(qk_spec_norm(b, i, "norm", QK_NORM_RMS, false, eps, spec->hidden, 0,
                            feeds ? &l->mlp_norm : &l->mixer_norm, err));
        if (feeds) {
            QK_TRY(qk_spec_mlp(b, &mlp, i, l, err));
        } else if (b->model->layers[i].kind == QK_LAYER_SSM) {
            QK_TRY(forward_mamba(b, spec, i, eps, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"nemotron_h", NULL};

const struct qk_family qk_family_nemotron_h = {
    .name = "nemotron_h",
    .title = "Nemotron-H (Mamba 2, softmax attention, MLP layers)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "mixer.{q,k}_proj; mixer.in_proj: C rows as Q, B rows as K",
    .build = build,
    .forward = forward,
};
