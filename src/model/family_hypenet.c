/* HypeNet (arXiv 2601.22156): lightning attention with RoPE, and softmax attention without, told by mixer_types. */
#include "model/forward_builder.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

struct shape {
    struct qk_dims attn, lightning;
    bool lightning_norm;
    struct qk_position attn_position, lightning_position;
};

static enum qk_code read_shape(struct qk_model_builder *b, struct shape *s, struct qk_err *err)
{
    bool attn_rope = false, lightning_rope = true;
    struct qk_rope_request attn = {0}, lightning = {.scaling_key = "lightning_rope_scaling"};
    s->lightning = s->attn;
    QK_TRY(qk_cfg_count(b, "lightning_nh", s->attn.n_heads, 1, QK_MAX_HEADS, &s->lightning.n_heads, err));
    QK_TRY(qk_cfg_count(b, "lightning_nkv", s->lightning.n_heads, 1, QK_MAX_HEADS, &s->lightning.n_kv_heads, err));
    QK_TRY(qk_cfg_count(b, "lightning_head_dim", s->attn.head_dim, 1, QK_MAX_HEAD_DIM, &s->lightning.head_dim, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_qk_norm", true, &s->lightning_norm, err));
    QK_TRY(qk_cfg_flag(b, "attn_use_rope", false, &attn_rope, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_rope", true, &lightning_rope, err));
    if (attn_rope) {
        QK_TRY(qk_position_rope(b, &attn, s->attn.head_dim, &s->attn_position, err));
    }
    if (lightning_rope) {
        QK_TRY(qk_position_rope(b, &lightning, s->lightning.head_dim, &s->lightning_position, err));
    }
    return QK_OK;
}

static enum qk_code layer_is_lightning(struct qk_model_builder *b, const char *const *mixers, size_t i, bool *ret,
                                       struct qk_err *err)
{
    if (!mixers) {
        *ret = qk_layer_find(b, i, "self_attn.z_proj.weight") != NULL;
        return QK_OK;
    }
    *ret = !strcmp(mixers[i], "lightning-attn") || !strcmp(mixers[i], "lightning_attn");
    if (!*ret && strcmp(mixers[i], "attn") != 0) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: mixer_types: layer %zu is of an unknown kind '%s' (expected attn, lightning-attn)",
                       b->source, i, mixers[i]);
    }
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct shape s = {0};
    const char *const *mixers = NULL;
    QK_TRY(qk_cfg_dims(b, &s.attn, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &s.attn, err));
    QK_TRY(qk_cfg_names(b, "mixer_types", s.attn.n_layers, &mixers, err));
    QK_TRY(read_shape(b, &s, err));
    for (size_t i = 0; i < s.attn.n_layers; i++) {
        bool lightning = false;
        QK_TRY(layer_is_lightning(b, mixers, i, &lightning, err));
        struct qk_dims *d = lightning ? &s.lightning : &s.attn;
        bool norm = !lightning || s.lightning_norm;
        struct qk_plain plain = {.q_norm = norm ? "self_attn.q_norm.weight" : NULL,
                                 .k_norm = norm ? "self_attn.k_norm.weight" : NULL};
        QK_TRY(qk_build_plain_layer(b, i, &plain, d, lightning ? &s.lightning_position : &s.attn_position, 0, err));
        if (lightning) {
            b->layers[i].kind = QK_LAYER_LINEAR;
            b->layers[i].mixer = "lightning";
        }
    }
    return QK_OK;
}

/* attn_logits_scaling: null; a number, a constant factor on q; or "<word> <a>": ln(t + a) / ln(int(a)), a = 362 when
 * the text has no number. */
static enum qk_code read_logits_scaling(struct qk_model_builder *b, struct qk_softmax_spec *ret, struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(b, "attn_logits_scaling");
    const char *text = NULL;
    double a = 362;
    if (!json) {
        return QK_OK;
    }
    if (qk_json_type(json) == QK_JSON_NUMBER) {
        return qk_cfg_number(b, "attn_logits_scaling", 1, &ret->q_multiplier, err);
    }
    QK_TRY(qk_cfg_string(b, "attn_logits_scaling", NULL, &text, err));
    const char *number = strchr(text, ' ');
    if ((number && !qk_parse_double(number + 1, &a)) || !(a >= 2 && a < 1e15)) {
        return qk_cfg_fail(b, err, "attn_logits_scaling", "not \"hype <a>\" with a ≥ 2 (found '%s')", text);
    }
    ret->log_scale = a;
    ret->log_scale_base = floor(a);
    return QK_OK;
}

static enum qk_code forward_attention(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                      struct qk_err *err)
{
    struct qk_softmax_spec *s = qk_spec_softmax(spec, i);
    bool gate = true;
    QK_TRY(qk_cfg_flag(b, "attn_use_output_gate", true, &gate, err));
    QK_TRY(read_logits_scaling(b, s, err));
    s->gate.function = QK_FUNCTION_SIGMOID;
    return gate ? qk_spec_module(b, i, "self_attn.o_gate", false, s->n_heads * s->v_head_dim, spec->hidden,
                                 &s->gate.projection, err)
                : QK_OK;
}

static enum qk_code read_lightning(struct qk_model_builder *b, const struct qk_layer *l, double eps,
                                   struct qk_forward_spec *spec, struct qk_linear_spec *s, struct qk_err *err)
{
    const char *scale = NULL;
    double *slopes = NULL;
    bool norm = true, gate = true;
    size_t width = l->n_heads * l->head_dim;
    QK_TRY(qk_cfg_string(b, "lightning_scale", "1/sqrt(d)", &scale, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_output_norm", true, &norm, err));
    QK_TRY(qk_cfg_flag(b, "lightning_use_output_gate", true, &gate, err));
    QK_TRY(qk_spec_only_flag(b, "lightning_use_short_conv", false, err));
    QK_TRY(qk_spec_slopes(spec, l->n_heads, &slopes, err));
    s->slope = slopes;
    s->scale = !strcmp(scale, "1/sqrt(d)") ? 1 / sqrt((double)l->head_dim)
               : !strcmp(scale, "1/d")     ? 1 / (double)l->head_dim
                                           : 1;
    if (norm) {
        QK_TRY(qk_spec_norm(b, l->index, "self_attn.o_norm", QK_NORM_RMS, false, eps, width, 0, &s->out_norm, err));
    }
    s->gate.function = QK_FUNCTION_SIGMOID;
    return gate ? qk_spec_module(b, l->index, "self_attn.z_proj", false, width, spec->hidden, &s->gate.projection, err)
                : QK_OK;
}

static enum qk_code forward_lightning(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                      struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[i];
    struct qk_linear_spec *s = NULL;
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &(struct qk_block_names){0}, &eps, err));
    QK_TRY(qk_spec_new_linear(spec, i, &s, err));
    *s = (struct qk_linear_spec){.n_heads = l->n_heads,
                                 .n_qk_heads = l->n_heads,
                                 .n_v_heads = l->n_kv_heads,
                                 .n_k_heads = l->n_kv_heads,
                                 .d_k = l->head_dim,
                                 .d_v = l->head_dim,
                                 .position = &l->position};
    QK_TRY(qk_spec_qk(b, i, &s->q, &s->k, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.v_proj", false, l->n_kv_heads * l->head_dim, l->n_in, &s->v, err));
    QK_TRY(qk_spec_module(b, i, "self_attn.o_proj", false, spec->hidden, l->n_heads * l->head_dim, &s->o, err));
    qk_spec_qk_norms(l, eps, &s->q_norm, &s->k_norm);
    return read_lightning(b, l, eps, spec, s, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {0};
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        bool lightning = b->model->layers[i].kind == QK_LAYER_LINEAR;
        QK_TRY(lightning ? forward_lightning(b, spec, i, err) : forward_attention(b, spec, i, err));
    }
    return QK_OK;
}

static const char *const types[] = {"hypenet", NULL};

const struct qk_family qk_family_hypenet = {
    .name = "hypenet",
    .title = "HypeNet (lightning and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj; lightning layers have their own head counts",
    .build = build,
    .forward = forward,
};
