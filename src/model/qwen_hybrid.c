/* Qwen3-Next and Qwen3.5: the layers that both have, and who is softmax. q_proj of a softmax layer interleaves per head
 * [query head_dim | gate head_dim]. */
#include "qwen_hybrid.h"

#include <math.h>

enum qk_code qk_cfg_gated_delta(const struct qk_model_builder *b, struct qk_gated_delta *ret, struct qk_err *err)
{
    struct qk_gated_delta g = {0};
    QK_TRY(qk_cfg_count(b, "linear_num_key_heads", QK_REQUIRED, 1, QK_MAX_HEADS, &g.n_key_heads, err));
    QK_TRY(qk_cfg_count(b, "linear_num_value_heads", QK_REQUIRED, 1, QK_MAX_HEADS, &g.n_value_heads, err));
    QK_TRY(qk_cfg_count(b, "linear_key_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &g.key_dim, err));
    QK_TRY(qk_cfg_count(b, "linear_value_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &g.value_dim, err));
    if (g.n_value_heads % g.n_key_heads) {
        return qk_cfg_fail(b, err, "linear_num_value_heads",
                           "not a multiple of linear_num_key_heads (expected a multiple of %zu, found %zu)",
                           g.n_key_heads, g.n_value_heads);
    }
    *ret = g;
    return QK_OK;
}

static enum qk_code claim_gate(struct qk_model_builder *b, size_t layer, const struct qk_dims *d, struct qk_err *err)
{
    const struct qk_tensor *gated[2] = {qk_layer_find(b, layer, "self_attn.q_proj.weight"),
                                        qk_layer_find(b, layer, "self_attn.q_proj.bias")};
    for (size_t i = 0; i < 2 && gated[i]; i++) {
        QK_TRY(qk_claim_strided(b, gated[i], false, d->head_dim, d->head_dim, 2 * d->head_dim, d->n_heads, QK_ROLE_GATE,
                                err));
    }
    return QK_OK;
}

static enum qk_code build_softmax(struct qk_model_builder *b, size_t layer, const struct qk_dims *d,
                                  const struct qk_position *position, bool gate, struct qk_err *err)
{
    uint64_t rows = (uint64_t)d->n_heads * d->head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_FULL,
        .mixer = "attention",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .head_dim = d->head_dim,
        .n_in = d->hidden,
        .position = position,
        .q = {.module = "self_attn.q_proj", .total = gate ? 2 * rows : rows, .stride = (gate ? 2 : 1) * d->head_dim},
        .k = {.module = "self_attn.k_proj", .total = (uint64_t)d->n_kv_heads * d->head_dim},
        .input_norm = "input_layernorm.weight",
        .plus_one = true,
        .q_norm = "self_attn.q_norm.weight",
        .k_norm = "self_attn.k_norm.weight",
    };
    QK_TRY(qk_build_heads(b, layer, &heads, err));
    return gate ? claim_gate(b, layer, d, err) : QK_OK;
}

enum qk_code qk_build_qwen_hybrid(struct qk_model_builder *b, qk_gated_delta_fn linear, struct qk_err *err)
{
    static const struct qk_rope_request rope = {.theta = 1e7, .partial = 0.25};
    struct qk_dims d;
    struct qk_gated_delta gd;
    struct qk_position position;
    const enum qk_layer_kind *kinds = NULL;
    size_t interval = 0;
    bool gate = true;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_gated_delta(b, &gd, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    QK_TRY(qk_cfg_kinds(b, "layer_types", d.n_layers, &kinds, err));
    QK_TRY(qk_cfg_count(b, "full_attention_interval", 4, 1, QK_MAX_LAYERS, &interval, err));
    QK_TRY(qk_cfg_flag(b, "attn_output_gate", true, &gate, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        bool full = kinds ? kinds[i] == QK_LAYER_FULL : (i + 1) % interval == 0;
        if (full) {
            QK_TRY(build_softmax(b, i, &d, &position, gate, err));
        } else {
            QK_TRY(linear(b, i, d.hidden, &gd, err));
        }
    }
    return QK_OK;
}

static const struct qk_moe_names moe = {
    .router = "mlp.gate",
    .gate = "mlp.experts.%zu.gate_proj",
    .up = "mlp.experts.%zu.up_proj",
    .down = "mlp.experts.%zu.down_proj",
    .shared_gate = "mlp.shared_expert.gate_proj",
    .shared_up = "mlp.shared_expert.up_proj",
    .shared_down = "mlp.shared_expert.down_proj",
    .shared_switch = "mlp.shared_expert_gate",
    .renormalise_key = "norm_topk_prob",
    .renormalise = true,
};

/* The gate's rows follow each head's query rows. */
static enum qk_code forward_softmax(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer,
                                    struct qk_err *err)
{
    struct qk_softmax_spec *s = qk_spec_softmax(spec, layer);
    uint64_t dim = s->head_dim;
    struct qk_head_rows gate = {
        .module = "self_attn.q_proj", .total = 2 * s->n_heads * dim, .first = dim, .stride = 2 * dim};
    s->gate.function = QK_FUNCTION_SIGMOID;
    return qk_spec_head_rows(b, layer, &gate, s->n_heads, s->head_dim, spec->hidden, &s->gate.projection, err);
}

/* Convolutions over [all q | all k | all v], whatever the order of the projection's rows. */
static enum qk_code forward_gated_delta(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer,
                                        qk_forward_linear_fn linear, double eps, struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[layer];
    struct qk_linear_spec *s = NULL;
    size_t keys = l->n_heads * l->head_dim, values = l->n_value_heads * l->v_head_dim;
    QK_TRY(qk_spec_new_linear(spec, layer, &s, err));
    *s = (struct qk_linear_spec){
        .delta = true,
        .n_heads = l->n_value_heads,
        .n_qk_heads = l->n_heads,
        .n_k_heads = l->n_heads,
        .n_v_heads = l->n_value_heads,
        .d_k = l->head_dim,
        .d_v = l->v_head_dim,
        .l2_eps = 1e-6,
        .scale = 1 / sqrt((double)l->head_dim),
        .beta_factor = 1,
        .gate = {.function = QK_FUNCTION_SILU},
    };
    QK_TRY(qk_spec_qk(b, layer, &s->q, &s->k, err));
    enum qk_function act = QK_FUNCTION_NONE;
    QK_TRY(qk_spec_function(b, "hidden_act", "silu", &act, err));
    QK_TRY(qk_spec_conv(b, layer, "linear_attn.conv1d", 0, keys, act, &s->q_conv, err));
    QK_TRY(qk_spec_conv(b, layer, "linear_attn.conv1d", keys, keys, act, &s->k_conv, err));
    QK_TRY(qk_spec_conv(b, layer, "linear_attn.conv1d", 2 * keys, values, act, &s->v_conv, err));
    QK_TRY(qk_spec_decay(b, layer, "linear_attn", NULL, s->n_heads, s, err));
    QK_TRY(
        qk_spec_norm(b, layer, "linear_attn.norm", QK_NORM_RMS, false, eps, values, l->v_head_dim, &s->out_norm, err));
    QK_TRY(qk_spec_module(b, layer, "linear_attn.out_proj", false, spec->hidden, values, &s->o, err));
    return linear(b, spec, layer, s, err);
}

enum qk_code qk_forward_qwen_hybrid(struct qk_model_builder *b, struct qk_forward_spec *spec,
                                    qk_forward_linear_fn linear, struct qk_err *err)
{
    static const struct qk_block_names names = {.plus_one = true, .moe = &moe};
    bool gate = true;
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_cfg_flag(b, "attn_output_gate", true, &gate, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        if (b->model->layers[i].kind == QK_LAYER_LINEAR) {
            QK_TRY(forward_gated_delta(b, spec, i, linear, eps, err));
        } else if (gate) {
            QK_TRY(forward_softmax(b, spec, i, err));
        }
    }
    return QK_OK;
}
