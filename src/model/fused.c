/* Softmax attention with one fused projection. */
#include "fused.h"

enum qk_code qk_build_fused(struct qk_model_builder *b, size_t layer, const struct qk_fused *f, const struct qk_dims *d,
                            const struct qk_position *position, size_t window, struct qk_err *err)
{
    uint64_t dim = d->head_dim, per_group = d->n_heads / d->n_kv_heads;
    uint64_t total = ((uint64_t)d->n_heads + 2 * (uint64_t)d->n_kv_heads) * dim;
    struct qk_head_rows q = {.module = f->module, .total = total, .transposed = f->transposed}, k = q;
    if (f->by_group) {
        q.per_group = per_group;
        q.group_stride = k.stride = (per_group + 2) * dim;
        k.first = per_group * dim;
    } else {
        k.first = (uint64_t)d->n_heads * dim;
    }
    struct qk_heads heads = {
        .kind = window ? QK_LAYER_SLIDING : QK_LAYER_FULL,
        .mixer = "attention",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .head_dim = d->head_dim,
        .n_in = d->hidden,
        .window = window,
        .position = position,
        .q = q,
        .k = k,
        .input_norm = f->input_norm,
        .q_norm = f->q_norm,
        .k_norm = f->k_norm,
    };
    return qk_build_heads(b, layer, &heads, err);
}

enum qk_code qk_build_all_fused(struct qk_model_builder *b, const char *prefix, const struct qk_fused *f,
                                const struct qk_dims *d, const struct qk_position *position, size_t window,
                                struct qk_err *err)
{
    if (!b->layers) {
        QK_TRY(qk_build_layers(b, prefix, d, err));
    }
    for (size_t i = 0; i < d->n_layers; i++) {
        QK_TRY(qk_build_fused(b, i, f, d, position, window, err));
    }
    return QK_OK;
}
