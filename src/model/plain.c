/* Plain transformers: every layer softmax attention with separate q and k projections. */
#include "model/builder.h"

enum qk_code qk_build_plain_layer(struct qk_model_builder *b, size_t layer, const struct qk_plain *p,
                                  const struct qk_dims *d, const struct qk_position *position, size_t window,
                                  struct qk_err *err)
{
    const char *norm = p->input_norm ? p->input_norm : "input_layernorm.weight";
    struct qk_heads heads = {
        .kind = window ? QK_LAYER_SLIDING : QK_LAYER_FULL,
        .mixer = "attention",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .head_dim = d->head_dim,
        .n_in = d->hidden,
        .window = window,
        .position = position,
        .q = {.module = p->q ? p->q : "self_attn.q_proj", .total = (uint64_t)d->n_heads * d->head_dim},
        .k = {.module = p->k ? p->k : "self_attn.k_proj", .total = (uint64_t)d->n_kv_heads * d->head_dim},
        .input_norm = norm[0] ? norm : NULL,
        .plus_one = p->plus_one,
        .q_norm = p->q_norm,
        .k_norm = p->k_norm,
    };
    return qk_build_heads(b, layer, &heads, err);
}

enum qk_code qk_build_plain(struct qk_model_builder *b, const struct qk_plain *p, const size_t *windows,
                            struct qk_err *err)
{
    struct qk_dims dims;
    struct qk_position position = {.kind = p->position};
    struct qk_rope_request rope = {.layer_type = "full_attention", .theta = p->theta, .partial = p->partial};
    QK_TRY(qk_cfg_dims(b, &dims, err));
    QK_TRY(qk_build_layers(b, p->prefix ? p->prefix : "model.layers.", &dims, err));
    if (p->position == QK_POSITION_NONE) {
        QK_TRY(qk_position_rope(b, &rope, dims.head_dim, &position, err));
    }
    for (size_t i = 0; i < dims.n_layers; i++) {
        QK_TRY(qk_build_plain_layer(b, i, p, &dims, &position, windows ? windows[i] : 0, err));
    }
    return QK_OK;
}
