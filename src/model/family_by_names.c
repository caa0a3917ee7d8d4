/* The fallback for model types that no family knows: Q and K by tensor names. Stays last in the table. */
#include "model/builder.h"

#include <stdio.h>

/* Head counts where the tensors disagree with the config's head_dim: the rows decide. */
static enum qk_code fit_dims(struct qk_model_builder *b, size_t layer, struct qk_dims *d, struct qk_err *err)
{
    const struct qk_tensor *q = NULL, *k = NULL;
    uint64_t q_rows = 0, k_rows = 0, cols = 0;
    QK_TRY(qk_layer_tensor(b, layer, "self_attn.q_proj.weight", &q, err));
    QK_TRY(qk_layer_tensor(b, layer, "self_attn.k_proj.weight", &k, err));
    qk_tensor_matrix(q, false, &q_rows, &cols);
    qk_tensor_matrix(k, false, &k_rows, &cols);
    if (q_rows != (uint64_t)d->n_heads * d->head_dim && q_rows > 0 && q_rows % d->n_heads == 0) {
        d->head_dim = (size_t)(q_rows / d->n_heads);
    }
    if (k_rows > 0 && k_rows % d->head_dim == 0 && k_rows <= q_rows) {
        d->n_kv_heads = (size_t)(k_rows / d->head_dim);
    }
    return QK_OK;
}

/* Rotary where the config reads like it; what cannot be read is said in the notice instead of failing. */
static enum qk_code guess_position(struct qk_model_builder *b, size_t head_dim, struct qk_position *ret,
                                   const char **ret_doubt, struct qk_err *err)
{
    static const struct qk_rope_request rope = {.layer_type = "full_attention"};
    struct qk_err own = {0};
    *ret = (struct qk_position){.kind = QK_POSITION_NONE};
    *ret_doubt = "";
    if (!qk_cfg_find(b, "rope_theta|rope_parameters|rope_scaling|rotary_emb_base")) {
        *ret_doubt = "; no position encoding found";
        return QK_OK;
    }
    enum qk_code code = qk_position_rope(b, &rope, head_dim, ret, &own);
    if (code == QK_ENOMEM) {
        return qk_fail_nomem(err, "rotary frequencies");
    }
    if (code != QK_OK) {
        *ret_doubt = "; its position encoding is not understood";
    }
    return QK_OK;
}

static enum qk_code build_layer(struct qk_model_builder *b, size_t layer, struct qk_dims d,
                                const struct qk_position *position, struct qk_err *err)
{
    struct qk_plain plain = {.input_norm = ""};
    QK_TRY(fit_dims(b, layer, &d, err));
    if (qk_layer_find(b, layer, "input_layernorm.weight")) {
        plain.input_norm = "input_layernorm.weight";
    }
    if (qk_layer_find(b, layer, "self_attn.q_norm.weight") && qk_layer_find(b, layer, "self_attn.k_norm.weight")) {
        plain.q_norm = "self_attn.q_norm.weight";
        plain.k_norm = "self_attn.k_norm.weight";
    }
    return qk_build_plain_layer(b, layer, &plain, &d, position, 0, err);
}

static enum qk_code unsupported(const struct qk_model_builder *b, struct qk_err *err)
{
    enum qk_code code = qk_fail(
        err, QK_EUNSUPPORTED,
        "%s: model_type: '%s' is not known, and no tensors are named model.layers.N.self_attn.{q,k}_proj.weight",
        b->source, b->model->model_type);
    qk_err_hint(err, "'qkscope models' lists the families that are known");
    return code;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_position position;
    const char *doubt = "";
    size_t found = 0;
    if (!qk_has_tensors(b->ckpt, "model.layers.0.") && !qk_has_tensors(b->ckpt, "model.language_model.layers.0.") &&
        !qk_has_tensors(b->ckpt, "language_model.model.layers.0.") && !qk_has_tensors(b->ckpt, "layers.0.")) {
        return unsupported(b, err);
    }
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(guess_position(b, d.head_dim, &position, &doubt, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (qk_layer_find(b, i, "self_attn.q_proj.weight") && qk_layer_find(b, i, "self_attn.k_proj.weight")) {
            QK_TRY(build_layer(b, i, d, &position, err));
            found++;
        } else {
            qk_build_no_heads(b, i, QK_LAYER_NONE, "unknown");
        }
    }
    if (found == 0) {
        return unsupported(b, err);
    }
    return qk_build_notice(b, err, "unknown model_type '%s': Q and K found by tensor names in %zu of %zu layers%s",
                           b->model->model_type, found, d.n_layers, doubt);
}

static const char *const types[] = {NULL};

const struct qk_family qk_family_by_names = {
    .name = "by_names",
    .title = "any other model with Llama's tensor names",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
