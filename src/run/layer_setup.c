/* What a layer's heads are computed with: frequency pairs, norm weights, and memory for the results. */
#include "layer_setup.h"

#include <string.h>

#include "base/alloc.h"

/* Rotary pairs first, then the dimensions that do not turn, two by two. */
static enum qk_code make_pairs(struct qk_layer_run *layer, struct qk_err *err)
{
    const struct qk_position *position = &layer->base->position;
    if (position->kind != QK_POSITION_ROPE || position->rotary_dim < 2) {
        return QK_OK;
    }
    struct qk_pairs *pairs = &layer->pairs;
    size_t half = position->rotary_dim / 2, first = position->first, k = layer->k;
    pairs->i = qk_arena_alloc(layer->arena, k / 2 + 1, sizeof(*pairs->i));
    pairs->j = qk_arena_alloc(layer->arena, k / 2 + 1, sizeof(*pairs->j));
    pairs->freq = qk_arena_alloc(layer->arena, k / 2 + 1, sizeof(*pairs->freq));
    if (pairs->i == NULL || pairs->j == NULL || pairs->freq == NULL) {
        return qk_fail_nomem(err, "frequency pairs");
    }
    if (first > k || position->rotary_dim > k - first) {
        return qk_fail(err, QK_EINTERNAL, "layer %zu: %zu rotary dimensions in a head of %zu", layer->base->index,
                       position->rotary_dim, k);
    }
    for (size_t p = 0; p < half; p++) {
        pairs->i[p] = first + (position->interleaved ? 2 * p : p);
        pairs->j[p] = first + (position->interleaved ? 2 * p + 1 : p + half);
        pairs->freq[p] = position->inv_freq[p];
    }
    pairs->n = pairs->n_rotary = half;
    bool open = false;
    for (size_t dim = 0; dim < k; dim++) {
        if (dim >= first && dim < first + 2 * half) {
            continue;
        }
        if (open) {
            pairs->j[pairs->n++] = dim;
        } else {
            pairs->i[pairs->n] = dim;
            pairs->j[pairs->n] = SIZE_MAX;
        }
        open = !open;
    }
    pairs->n += open ? 1 : 0;
    return QK_OK;
}

static enum qk_code read_norm(struct qk_layer_run *layer, const struct qk_model *model, const struct qk_norm_weight *w,
                              size_t n, const double **ret, struct qk_err *err)
{
    double *values = qk_arena_alloc(layer->arena, n, sizeof(*values));
    if (values == NULL) {
        return qk_fail_nomem(err, "norm weights");
    }
    QK_TRY(qk_norm_weight_read(model, w, n, values, err));
    *ret = values;
    return QK_OK;
}

static enum qk_code read_norms(struct qk_layer_run *layer, struct qk_err *err)
{
    const struct qk_model *models[] = {layer->run->base->model, layer->run->tuned->model};
    const struct qk_layer *layers[] = {layer->base, layer->tuned};
    bool all = layer->base->qk_norm_kind == QK_QK_NORM_ALL;
    for (size_t side = 0; side < 2; side++) {
        if (layers[side]->input_norm.tensor != NULL) {
            QK_TRY(read_norm(layer, models[side], &layers[side]->input_norm, layer->d, &layer->g[side], err));
        }
        if (layers[side]->qk_norm_kind != QK_QK_NORM_NONE) {
            QK_TRY(read_norm(layer, models[side], &layers[side]->q_norm, all ? layer->n_heads * layer->k : layer->k,
                             &layer->w[0][side], err));
            QK_TRY(read_norm(layer, models[side], &layers[side]->k_norm, all ? layer->n_kv * layer->k : layer->k,
                             &layer->w[1][side], err));
        }
    }
    layer->same_g = layer->g[0] != NULL && memcmp(layer->g[0], layer->g[1], layer->d * sizeof(double)) == 0;
    return QK_OK;
}

/* The values of each head's trailing axes. */
static enum qk_code make_results(struct qk_layer_run *layer, struct qk_err *err)
{
    size_t n_heads = layer->n_heads, all = n_heads + layer->n_kv, n_tau = layer->run->n_tau;
    size_t n_pair = layer->pairs.n_rotary;
    struct qk_arena *arena = layer->arena;
    double *angles = qk_arena_alloc(arena, all * layer->k, sizeof(*angles));
    double *distance = qk_arena_alloc(arena, n_heads * n_tau, sizeof(*distance));
    double *band = qk_arena_alloc(arena, n_heads * n_pair, sizeof(*band));
    layer->heads = qk_arena_alloc(arena, all, sizeof(*layer->heads));
    layer->routing = qk_arena_alloc(arena, n_heads, sizeof(*layer->routing));
    layer->todo = qk_arena_alloc(arena, all, sizeof(*layer->todo));
    layer->tau_base2 = qk_arena_alloc(arena, n_heads * n_tau, sizeof(double));
    layer->band_base2 = qk_arena_alloc(arena, n_heads * n_pair, sizeof(double));
    if (angles == NULL || distance == NULL || band == NULL || layer->heads == NULL || layer->routing == NULL ||
        layer->todo == NULL || layer->tau_base2 == NULL || layer->band_base2 == NULL) {
        return qk_fail_nomem(err, "layer results");
    }
    for (size_t i = 0; i < all; i++) {
        layer->heads[i].angles = angles + i * layer->k;
    }
    for (size_t h = 0; h < n_heads; h++) {
        layer->routing[h].distance = distance + h * n_tau;
        layer->routing[h].band = band + h * n_pair;
        layer->routing[h].n_tau = n_tau;
        layer->routing[h].n_pair = n_pair;
        layer->routing[h].has_effective = layer->g[0] != NULL || layer->base->qk_norm_kind != QK_QK_NORM_NONE;
    }
    return QK_OK;
}

enum qk_code qk_layer_setup(struct qk_layer_run *layer, struct qk_drift_run *run, size_t index, struct qk_arena *arena,
                            struct qk_err *err)
{
    const struct qk_layer *base = &run->base->model->layers[index];
    *layer = (struct qk_layer_run){.run = run,
                                   .base = base,
                                   .tuned = &run->tuned->model->layers[index],
                                   .n_heads = base->n_heads,
                                   .n_kv = base->n_kv_heads,
                                   .group = base->n_heads / base->n_kv_heads,
                                   .k = base->head_dim,
                                   .d = base->n_in,
                                   .arena = arena};
    QK_TRY(make_pairs(layer, err));
    if ((run->selection.needs & QK_NEED_EFFECTIVE) != 0) {
        QK_TRY(read_norms(layer, err));
    }
    return make_results(layer, err);
}
