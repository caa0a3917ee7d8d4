/* Jet-Nemotron (arXiv 2508.15884): JetBlock (gated delta rule with dynamic convolution), softmax and sliding window. */
#include "model/builder.h"

#include <string.h>

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

static const char *const types[] = {"jet_nemotron", NULL};

const struct qk_family qk_family_jet_nemotron = {
    .name = "jet_nemotron",
    .title = "Jet-Nemotron (JetBlock, softmax and sliding-window attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj, with bias in softmax layers",
    .build = build_with_rules,
};
