/* Jet-Nemotron (arXiv 2508.15884): JetBlock (gated delta rule with dynamic convolution), softmax and sliding window. */
#include "model/forward_builder.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

struct jet {
    size_t n_heads, head_dim, v_head_dim;
};

static enum qk_code read_jet(const struct qk_model_builder *b, const struct qk_dims *d, struct jet *ret,
                             struct qk_err *err)
{
    struct jet jet = {0};
    double expand = 1;
    QK_TRY(qk_cfg_count(b, "efficient_attention_config.jet.num_heads", d->n_heads, 1, QK_MAX_HEADS, &jet.n_heads, err));
    QK_TRY(qk_cfg_count(b, "efficient_attention_config.jet.head_dim", d->head_dim, 1, QK_MAX_HEAD_DIM, &jet.head_dim,
                        err));
    QK_TRY(qk_cfg_number(b, "efficient_attention_config.jet.expand_v", 1, &expand, err));
    if (!(expand > 0 && expand <= 1024)) {
        return qk_cfg_fail(b, err, "efficient_attention_config.jet.expand_v", "out of range (found %g)", expand);
    }
    jet.v_head_dim = (size_t)((double)jet.head_dim * expand);
    *ret = jet;
    return QK_OK;
}

static enum qk_code build_jet(struct qk_model_builder *b, size_t i, const struct jet *jet, size_t hidden,
                              struct qk_err *err)
{
    uint64_t rows = (uint64_t)jet->n_heads * jet->head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "gated_delta",
        .n_heads = jet->n_heads,
        .n_kv_heads = jet->n_heads,
        .head_dim = jet->head_dim,
        .v_head_dim = jet->v_head_dim,
        .n_in = hidden,
        .q = {.module = "self_attn.q_proj", .total = rows},
        .k = {.module = "self_attn.k_proj", .total = rows},
        .input_norm = "input_layernorm.weight",
    };
    return qk_build_heads(b, i, &heads, err);
}

static enum qk_code read_kinds(struct qk_model_builder *b, size_t n, const enum qk_layer_kind **ret, struct qk_err *err)
{
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, ret, err));
    if (*ret) {
        return QK_OK;
    }
    enum qk_layer_kind *kinds = qk_arena_alloc(b->arena, n, sizeof *kinds);
    if (!kinds) {
        return qk_fail_nomem(err, "layer kinds");
    }
    for (size_t i = 0; i < n; i++) {
        kinds[i] = qk_layer_find(b, i, "self_attn.A_log") ? QK_LAYER_LINEAR : QK_LAYER_FULL;
    }
    *ret = kinds;
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    static const struct qk_rope_request rope = {.theta = 1e6};
    struct qk_dims d;
    struct jet jet = {0};
    struct qk_position position;
    const enum qk_layer_kind *kinds = NULL;
    size_t window = 0;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(read_kinds(b, d.n_layers, &kinds, err));
    QK_TRY(read_jet(b, &d, &jet, err));
    QK_TRY(qk_cfg_window(b, "efficient_attention_config.swa.window_size", &window, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (kinds[i] == QK_LAYER_LINEAR) {
            QK_TRY(build_jet(b, i, &jet, d.hidden, err));
            continue;
        }
        if (kinds[i] == QK_LAYER_SLIDING && window == 0) {
            return qk_cfg_fail(b, err, "efficient_attention_config.swa.window_size",
                               "missing, but layer %zu is of kind swa", i);
        }
        QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, kinds[i] == QK_LAYER_SLIDING ? window : 0, err));
    }
    return QK_OK;
}

static const struct qk_role_rule rules[] = {{"self_attn.dynamic_conv1d.*", QK_ROLE_CONV}};

static enum qk_code build_with_rules(struct qk_model_builder *b, struct qk_err *err)
{
    b->rules = rules;
    b->n_rules = sizeof rules / sizeof *rules;
    return build(b, err);
}

/* norm_eps may be a number or its text. */
static enum qk_code read_norm_eps(struct qk_model_builder *b, double *ret, struct qk_err *err)
{
    static const char key[] = "efficient_attention_config.jet.norm_eps";
    const struct qk_json *json = qk_cfg_find(b, key);
    const char *text = NULL;
    double eps = 1e-5;
    if (json && qk_json_string(json, &text)) {
        if (!qk_parse_double(text, &eps)) {
            return qk_cfg_fail(b, err, key, "not a number (found '%s')", text);
        }
    } else {
        QK_TRY(qk_cfg_number(b, key, 1e-5, &eps, err));
    }
    if (!(eps >= 0 && eps < 1)) {
        return qk_cfg_fail(b, err, key, "out of range (found %g)", eps);
    }
    *ret = eps;
    return QK_OK;
}

/* Kernels of each token: (channels, width) rows of w2, from a narrow w1. */
static enum qk_code forward_kernel(struct qk_model_builder *b, size_t i, size_t channels, struct qk_linear_spec *s,
                                   struct qk_err *err)
{
    static const char w1[] = "self_attn.dynamic_conv1d.kernel_generator.w1";
    static const char w2[] = "self_attn.dynamic_conv1d.kernel_generator.w2";
    const struct qk_tensor *inner = NULL;
    QK_TRY(qk_cfg_count(b, "efficient_attention_config.jet.conv_size", 4, 1, 64, &s->kernel_width, err));
    QK_TRY(qk_layer_tensor(b, i, "self_attn.dynamic_conv1d.kernel_generator.w1.weight", &inner, err));
    size_t narrow = inner->shape[0] <= QK_MAX_HIDDEN ? (size_t)inner->shape[0] : 0;
    QK_TRY(qk_spec_module(b, i, w1, false, narrow, b->model->hidden_size, &s->kernel_inner, err));
    return qk_spec_module(b, i, w2, false, channels * s->kernel_width, narrow, &s->kernel, err);
}

static enum qk_code forward_jet(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i, double eps,
                                struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_linear_spec *s = NULL;
    size_t n = l->n_heads, values = n * l->v_head_dim, d = spec->hidden;
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    *s = (struct qk_linear_spec){
        .delta = true,
        .n_heads = n,
        .n_qk_heads = n,
        .n_k_heads = n,
        .n_v_heads = n,
        .d_k = l->head_dim,
        .d_v = l->v_head_dim,
        .q_function = QK_FUNCTION_SILU,
        .k_function = QK_FUNCTION_SILU,
        .l2_eps = 1e-6,
        .scale = 1 / sqrt((double)l->head_dim),
        .beta_factor = 1,
        .gate = {.function = QK_FUNCTION_SILU},
    };
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.v_proj", false, values, d, &s->v, err));
    QK_TRY(forward_kernel(b, i, values, s, err));
    QK_TRY(qk_spec_decay(b, i, "self_attn", "self_attn.a_proj", n, s, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.b_proj", false, n, d, &s->beta, err));
    QK_TRY(qk_spec_norm(b, i, "self_attn.o_norm", QK_NORM_RMS, false, eps, values, l->v_head_dim, &s->out_norm, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.g_proj", false, values, d, &s->gate.projection, err));
    return qk_spec_module(b, i, "self_attn.o_proj", false, d, values, &s->o, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {0};
    double eps = 0;
    QK_TRY(read_norm_eps(b, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        if (b->model->layers[i].kind == QK_LAYER_LINEAR) {
            QK_TRY(forward_jet(b, spec, i, eps, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"jet_nemotron", NULL};

const struct qk_family qk_family_jet_nemotron = {
    .name = "jet_nemotron",
    .title = "Jet-Nemotron (JetBlock, softmax and sliding-window attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj, with bias in softmax layers",
    .build = build_with_rules,
    .forward = forward,
};
