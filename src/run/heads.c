/* The heads of one layer, batch by batch: Grams by streaming, then the routing forms. */
#include <math.h>

#include "drift_run.h"
#include "num/gram_tile.h"

bool qk_layer_has_scaled(const struct qk_layer_run *layer)
{
    return layer->g[0] != NULL && (layer->run->selection.needs & QK_NEED_EFFECTIVE) != 0;
}

struct qk_row_weights qk_layer_row_weights(const struct qk_layer_run *layer, size_t side, size_t head)
{
    if (layer->w[side][0] == NULL) {
        return (struct qk_row_weights){NULL, NULL};
    }
    size_t offset = layer->base->qk_norm_kind == QK_QK_NORM_ALL ? head * layer->k : 0;
    return (struct qk_row_weights){layer->w[side][0] + offset, layer->w[side][1] + offset};
}

enum qk_code qk_stream_head(const struct qk_layer_run *layer, size_t head, struct qk_worker *worker,
                            struct qk_gram *raw, struct qk_gram *scaled, double *ret_ulp2, struct qk_err *err)
{
    bool key = head >= layer->n_heads;
    enum qk_role role = key ? QK_ROLE_K : QK_ROLE_Q;
    size_t index = key ? head - layer->n_heads : head, k = layer->k;
    double ulp_base = 0.0, ulp_tuned = 0.0, *tile = worker->tile;
    bool noise = (layer->run->selection.needs & QK_NEED_NOISE) != 0;
    QK_TRY(qk_head_reader_load(worker->base, layer->base, role, index, err));
    QK_TRY(qk_head_reader_load(worker->tuned, layer->tuned, role, index, err));
    bool same = qk_head_reader_identical(worker->base, worker->tuned);
    for (size_t col = 0; col < layer->d; col += QK_RUN_TILE) {
        size_t n = layer->d - col < QK_RUN_TILE ? layer->d - col : QK_RUN_TILE;
        QK_TRY(qk_head_reader_tile(worker->base, col, n, tile, n, noise ? &ulp_base : NULL, err));
        if (!same) {
            QK_TRY(qk_head_reader_tile(worker->tuned, col, n, tile + k * n, n, noise ? &ulp_tuned : NULL, err));
        }
        qk_gram_tile_pack(k, n, tile, same ? NULL : tile + k * n, n, worker->packed);
        qk_gram_tile_add(k, n, worker->packed, same, col == 0, worker->sums);
        if (scaled != NULL) {
            qk_gram_tile_scale(k, n, layer->g[0] + col, layer->g[1] + col, worker->packed);
            qk_gram_tile_add(k, n, worker->packed, same && layer->same_g, col == 0, worker->scaled_sums);
        }
    }
    qk_gram_tile_finish(raw, worker->sums);
    if (scaled != NULL) {
        qk_gram_tile_finish(scaled, worker->scaled_sums);
    }
    *ret_ulp2 = ulp_base + (same ? ulp_base : ulp_tuned);
    return QK_OK;
}

static double trace(const struct qk_gram *g, const double *m)
{
    double sum = 0.0;
    for (size_t i = 0; i < g->k; i++) {
        sum += m[i + i * g->k];
    }
    return sum;
}

/* Place in the batch of a head's Grams. */
static size_t batch_slot(const struct qk_layer_run *layer, size_t head)
{
    if (head >= layer->n_heads) {
        return head - layer->n_heads - layer->first_group;
    }
    return layer->n_groups + head - layer->first_group * layer->group;
}

/* Item i of the batch: the key heads, then the query heads. */
static enum qk_code head_item(void *ctx, size_t i, size_t worker_index, struct qk_err *err)
{
    struct qk_layer_run *layer = ctx;
    struct qk_worker *worker = &layer->run->workers[worker_index];
    size_t head = i < layer->n_groups ? layer->n_heads + layer->first_group + i
                                      : layer->first_group * layer->group + i - layer->n_groups;
    struct qk_projection *p = &layer->heads[head];
    struct qk_gram *raw = &layer->raw[i], *scaled = qk_layer_has_scaled(layer) ? &layer->scaled[i] : NULL;
    QK_TRY(qk_stream_head(layer, head, worker, raw, scaled, &p->ulp2, err));
    layer->todo[head] |= qk_projection_from_gram(p, raw, layer->run->selection.needs, worker->work);
    const struct qk_gram *effective = scaled != NULL ? scaled : raw;
    p->scaled_base2 = trace(effective, effective->a);
    p->scaled_change2 = 2.0 * trace(effective, effective->f) + trace(effective, effective->e);
    return QK_OK;
}

static enum qk_code routing_item(void *ctx, size_t i, size_t worker_index, struct qk_err *err)
{
    (void)err;
    struct qk_layer_run *layer = ctx;
    qk_routing_from_batch(layer, layer->first_group * layer->group + i, &layer->run->workers[worker_index]);
    return QK_OK;
}

static double relative(double delta2, double base2)
{
    return base2 > 0.0 ? sqrt(delta2) / sqrt(base2) : NAN;
}

/* D(τ); positions that the Grams cannot settle are NaN and put on the list. */
static void distances(struct qk_layer_run *layer, size_t h, const struct qk_gram *q, const struct qk_gram *k,
                      struct qk_worker *worker)
{
    struct qk_routing *r = &layer->routing[h];
    const struct qk_drift_run *run = layer->run;
    double *base2 = layer->tau_base2 + h * run->n_tau;
    if (r->identical || layer->pairs.n == 0) {
        double value = r->identical ? 0.0 : relative(r->raw.delta2, r->raw.base2);
        for (size_t t = 0; t < run->n_tau; t++) {
            r->distance[t] = value;
        }
        return;
    }
    qk_distance_from_grams(q, k, &layer->pairs, run->tau, run->n_tau, base2, r->distance, worker->work);
    for (size_t t = 0; t < run->n_tau; t++) {
        if (qk_form_needs_direct(r->distance[t], r->raw.terms)) {
            layer->todo[h] |= QK_DIRECT_DISTANCE;
            r->distance[t] = NAN;
        } else {
            r->distance[t] = relative(r->distance[t], base2[t]);
        }
    }
}

static void bands(struct qk_layer_run *layer, size_t h, const struct qk_gram *q, const struct qk_gram *k,
                  struct qk_worker *worker)
{
    struct qk_routing *r = &layer->routing[h];
    double *base2 = layer->band_base2 + h * layer->pairs.n_rotary;
    qk_band_from_grams(q, k, &layer->pairs, worker->bands);
    for (size_t p = 0; p < r->n_pair; p++) {
        const struct qk_form *band = &worker->bands[p];
        base2[p] = band->base2;
        r->band[p] = r->identical ? 0.0 : relative(band->delta2, band->base2);
        if (!r->identical && band->base2 > 0.0 && qk_form_needs_direct(band->delta2, band->terms)) {
            layer->todo[h] |= QK_DIRECT_BAND;
            r->band[p] = NAN;
        }
    }
}

void qk_routing_from_batch(struct qk_layer_run *layer, size_t h, struct qk_worker *worker)
{
    struct qk_routing *r = &layer->routing[h];
    size_t key = layer->n_heads + h / layer->group, sq = batch_slot(layer, h), sk = batch_slot(layer, key);
    const struct qk_gram *q = &layer->raw[sq], *k = &layer->raw[sk];
    unsigned needs = layer->run->selection.needs;
    r->k = layer->k;
    r->finite = q->finite && k->finite;
    r->identical = q->identical && k->identical;
    r->effective = NAN;
    if (!r->finite) {
        return;
    }
    qk_form_from_grams(q, k, &r->raw);
    if (!r->identical && qk_form_needs_direct(r->raw.delta2, r->raw.terms)) {
        layer->todo[h] |= QK_DIRECT_RAW;
    }
    if ((needs & QK_NEED_DISTANCE) != 0) {
        distances(layer, h, q, k, worker);
    }
    if ((needs & QK_NEED_BAND) != 0 && r->n_pair > 0) {
        bands(layer, h, q, k, worker);
    }
    if ((needs & QK_NEED_EFFECTIVE) != 0 && r->has_effective) {
        struct qk_gram eq, ek;
        struct qk_row_weights wq = qk_layer_row_weights(layer, 0, h);
        struct qk_row_weights wk = qk_layer_row_weights(layer, 1, h / layer->group);
        bool scaled = qk_layer_has_scaled(layer);
        qk_gram_place(&eq, layer->k, worker->rows);
        qk_gram_place(&ek, layer->k, worker->rows + qk_gram_size(layer->k));
        qk_gram_scale_rows(scaled ? &layer->scaled[sq] : q, &wq, &eq);
        qk_gram_scale_rows(scaled ? &layer->scaled[sk] : k, &wk, &ek);
        qk_form_from_grams(&eq, &ek, &r->scaled);
        r->effective_identical = eq.identical && ek.identical;
        if (!eq.finite || !ek.finite) {
            r->scaled.base2 = NAN;
        }
    }
}

/* ln of the tuned over the base scalar of one side's norm: −½ ln(‖W1 diag g1‖² / ‖W0 diag g0‖²). */
static double norm_log_ratio(const struct qk_layer_run *layer, size_t first, size_t n)
{
    double base2 = 0.0, change2 = 0.0;
    for (size_t i = first; i < first + n; i++) {
        base2 += layer->heads[i].scaled_base2;
        change2 += layer->heads[i].scaled_change2;
    }
    return -0.5 * log1p(change2 / base2);
}

void qk_finish_effective(struct qk_layer_run *layer)
{
    enum qk_qk_norm_kind kind = layer->base->qk_norm_kind;
    double all = kind != QK_QK_NORM_ALL
                     ? 0.0
                     : norm_log_ratio(layer, 0, layer->n_heads) + norm_log_ratio(layer, layer->n_heads, layer->n_kv);
    for (size_t h = 0; h < layer->n_heads; h++) {
        struct qk_routing *r = &layer->routing[h];
        size_t key = layer->n_heads + h / layer->group;
        if (!r->finite) {
            continue;
        }
        if (!r->has_effective) {
            r->effective = relative(r->raw.delta2, r->raw.base2);
            continue;
        }
        r->norm_log_ratio = kind == QK_QK_NORM_HEAD ? norm_log_ratio(layer, h, 1) + norm_log_ratio(layer, key, 1) : all;
        if (!(r->scaled.base2 > 0.0) || !isfinite(r->norm_log_ratio)) {
            r->effective = NAN;
        } else if (r->effective_identical && r->norm_log_ratio == 0.0) {
            r->effective = 0.0;
        } else {
            double terms, value = qk_form_relative2(&r->scaled, r->norm_log_ratio, &terms);
            r->effective = sqrt(value);
            layer->todo[h] |= qk_form_needs_direct(value, terms) ? QK_DIRECT_EFFECTIVE : 0;
        }
    }
}

/* How many KV groups fit the memory for Grams. */
static size_t groups_per_batch(const struct qk_layer_run *layer)
{
    size_t kinds = qk_layer_has_scaled(layer) ? 2 : 1;
    size_t fit = layer->run->sizes.gram_doubles / ((1 + layer->group) * kinds * qk_gram_size(layer->k));
    fit = fit == 0 ? 1 : fit;
    return fit < layer->n_kv ? fit : layer->n_kv;
}

enum qk_code qk_layer_heads(struct qk_layer_run *layer, struct qk_err *err)
{
    size_t per_batch = groups_per_batch(layer), size = qk_gram_size(layer->k);
    layer->raw = qk_arena_alloc(layer->arena, per_batch * (1 + layer->group), sizeof(*layer->raw));
    layer->scaled = qk_arena_alloc(layer->arena, per_batch * (1 + layer->group), sizeof(*layer->scaled));
    if (layer->raw == NULL || layer->scaled == NULL) {
        return qk_fail_nomem(err, "layer");
    }
    for (layer->first_group = 0; layer->first_group < layer->n_kv; layer->first_group += per_batch) {
        size_t rest = layer->n_kv - layer->first_group;
        layer->n_groups = rest < per_batch ? rest : per_batch;
        size_t n = layer->n_groups * (1 + layer->group);
        double *memory = layer->run->grams;
        for (size_t i = 0; i < n; i++) {
            qk_gram_place(&layer->raw[i], layer->k, memory);
            memory += size;
            if (qk_layer_has_scaled(layer)) {
                qk_gram_place(&layer->scaled[i], layer->k, memory);
                memory += size;
            }
        }
        QK_TRY(qk_pool_for(layer->run->pool, n, head_item, layer, err));
        if ((layer->run->selection.needs & QK_NEED_ROUTING) != 0) {
            QK_TRY(qk_pool_for(layer->run->pool, layer->n_groups * layer->group, routing_item, layer, err));
        }
    }
    if ((layer->run->selection.needs & QK_NEED_EFFECTIVE) != 0) {
        qk_finish_effective(layer);
    }
    return qk_layer_direct(layer, err);
}
