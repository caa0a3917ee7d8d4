/* Evaluation of single heads from their matrices, where Gram matrices cancel: heads whose drift is (almost) a rotation
 * or another change of basis, and ill-conditioned ones. Each slot has the memory for one head; slots are few, so that a
 * wide model on many threads stays in bounds. */
#include <math.h>
#include <string.h>

#include "drift_run.h"

struct direct_jobs {
    struct qk_layer_run *layer;
    size_t n;
    const size_t *heads;
};

/* All columns of the loaded head to K rows of ld values. */
static enum qk_code read_matrix(const struct qk_layer_run *layer, struct qk_head_reader *reader, double *dst, size_t ld,
                                struct qk_err *err)
{
    for (size_t col = 0; col < layer->d; col += QK_RUN_TILE) {
        size_t n = layer->d - col < QK_RUN_TILE ? layer->d - col : QK_RUN_TILE;
        QK_TRY(qk_head_reader_tile(reader, col, n, dst + col, ld, NULL, err));
    }
    return QK_OK;
}

static enum qk_code direct_projection(struct qk_layer_run *layer, size_t head, struct qk_worker *worker,
                                      struct qk_direct_slot *slot, struct qk_err *err)
{
    struct qk_gram gram;
    double ignored, *w0 = slot->matrices, *w1 = slot->matrices + layer->d * layer->k;
    qk_gram_init(&gram, layer->k, slot->gram);
    QK_TRY(qk_stream_head(layer, head, worker, &gram, NULL, &ignored, err));
    QK_TRY(read_matrix(layer, worker->base, w0, layer->d, err));
    QK_TRY(read_matrix(layer, worker->tuned, w1, layer->d, err));
    qk_projection_from_matrices(&layer->heads[head], &gram, layer->todo[head], layer->d, w0, w1, slot->work);
    return QK_OK;
}

/* How the rows and columns of one side of the pair are weighted: scalar · w[row] · g[column]. */
struct weights {
    double scalar;
    const double *w, *g;
};

static void weigh(double *m, size_t k, size_t d, size_t ld, const struct weights *weights)
{
    for (size_t i = 0; i < k; i++) {
        double f = weights->scalar * (weights->w == NULL ? 1.0 : weights->w[i]);
        for (size_t j = 0; j < d; j++) {
            m[i * ld + j] *= weights->g == NULL ? f : f * weights->g[j];
        }
    }
}

/* The stack of a side and its factor: [Δ; W0] of a query head, [W1; Δ] of a key head. */
static enum qk_code factor_side(struct qk_layer_run *layer, size_t head, const struct weights *base,
                                const struct weights *tuned, struct qk_worker *worker, struct qk_direct_slot *slot,
                                double *r, struct qk_err *err)
{
    bool key = head >= layer->n_heads;
    size_t k = layer->k, d = layer->d, ld = qk_stack_rows(d, k), index = key ? head - layer->n_heads : head;
    double *top = slot->matrices, *bottom = slot->matrices + k * ld;
    enum qk_role role = key ? QK_ROLE_K : QK_ROLE_Q;
    memset(slot->matrices, 0, 2 * k * ld * sizeof(*top));
    QK_TRY(qk_head_reader_load(worker->base, layer->base, role, index, err));
    QK_TRY(qk_head_reader_load(worker->tuned, layer->tuned, role, index, err));
    QK_TRY(read_matrix(layer, worker->tuned, top, ld, err));
    QK_TRY(read_matrix(layer, worker->base, bottom, ld, err));
    weigh(top, k, d, ld, tuned);
    weigh(bottom, k, d, ld, base);
    for (size_t i = 0; i < k * ld; i++) {
        double delta = top[i] - bottom[i];
        if (key) {
            bottom[i] = delta;
        } else {
            top[i] = delta;
        }
    }
    return qk_stack_factor(d, k, slot->matrices, r, slot->work, err);
}

static enum qk_code direct_raw(struct qk_layer_run *layer, size_t h, struct qk_worker *worker,
                               struct qk_direct_slot *slot, struct qk_err *err)
{
    static const struct weights as_stored = {.scalar = 1.0};
    struct qk_routing *r = &layer->routing[h];
    size_t n = 2 * layer->k, key = layer->n_heads + h / layer->group;
    double *rq = slot->factors, *rk = slot->factors + n * n;
    QK_TRY(factor_side(layer, h, &as_stored, &as_stored, worker, slot, rq, err));
    QK_TRY(factor_side(layer, key, &as_stored, &as_stored, worker, slot, rk, err));
    if ((layer->todo[h] & QK_DIRECT_RAW) != 0) {
        double norm = qk_stack_norm(layer->k, rq, rk, NULL, 0.0, NULL, 0, slot->work);
        r->raw.delta2 = norm * norm;
    }
    for (size_t t = 0; (layer->todo[h] & QK_DIRECT_DISTANCE) != 0 && t < layer->run->n_tau; t++) {
        if (isnan(r->distance[t])) {
            double norm = qk_stack_norm(layer->k, rq, rk, &layer->pairs, layer->run->tau[t], NULL, 0, slot->work);
            r->distance[t] = norm / sqrt(layer->tau_base2[h * layer->run->n_tau + t]);
        }
    }
    for (size_t p = 0; (layer->todo[h] & QK_DIRECT_BAND) != 0 && p < r->n_pair; p++) {
        if (isnan(r->band[p])) {
            const size_t only[] = {layer->pairs.i[p], layer->pairs.j[p]};
            double norm = qk_stack_norm(layer->k, rq, rk, NULL, 0.0, only, 2, slot->work);
            r->band[p] = norm / sqrt(layer->band_base2[h * r->n_pair + p]);
        }
    }
    return QK_OK;
}

static enum qk_code direct_effective(struct qk_layer_run *layer, size_t h, struct qk_worker *worker,
                                     struct qk_direct_slot *slot, struct qk_err *err)
{
    struct qk_routing *r = &layer->routing[h];
    size_t n = 2 * layer->k, group = h / layer->group;
    double *rq = slot->factors, *rk = slot->factors + n * n;
    struct qk_row_weights wq = qk_layer_row_weights(layer, 0, h), wk = qk_layer_row_weights(layer, 1, group);
    const struct weights q0 = {1.0, wq.base, layer->g[0]}, q1 = {exp(r->norm_log_ratio), wq.tuned, layer->g[1]};
    const struct weights k0 = {1.0, wk.base, layer->g[0]}, k1 = {1.0, wk.tuned, layer->g[1]};
    QK_TRY(factor_side(layer, h, &q0, &q1, worker, slot, rq, err));
    QK_TRY(factor_side(layer, layer->n_heads + group, &k0, &k1, worker, slot, rk, err));
    r->effective = qk_stack_norm(layer->k, rq, rk, NULL, 0.0, NULL, 0, slot->work) / sqrt(r->scaled.base2);
    return QK_OK;
}

/* Item i: every n_slots-th job with slot i's memory. */
static enum qk_code slot_item(void *ctx, size_t i, size_t worker_index, struct qk_err *err)
{
    const struct direct_jobs *jobs = ctx;
    struct qk_layer_run *layer = jobs->layer;
    struct qk_worker *worker = &layer->run->workers[worker_index];
    struct qk_direct_slot *slot = &layer->run->slots[i];
    for (size_t j = i; j < jobs->n; j += layer->run->sizes.n_slots) {
        size_t head = jobs->heads[j];
        unsigned todo = layer->todo[head];
        if ((todo & (QK_FALLBACK_ANGLES | QK_FALLBACK_PROCRUSTES)) != 0) {
            QK_TRY(direct_projection(layer, head, worker, slot, err));
        }
        if ((todo & (QK_DIRECT_RAW | QK_DIRECT_DISTANCE | QK_DIRECT_BAND)) != 0) {
            QK_TRY(direct_raw(layer, head, worker, slot, err));
        }
        if ((todo & QK_DIRECT_EFFECTIVE) != 0) {
            QK_TRY(direct_effective(layer, head, worker, slot, err));
        }
    }
    return QK_OK;
}

/* What follows from a form that was evaluated again. */
static void spread_raw(struct qk_layer_run *layer, size_t h)
{
    struct qk_routing *r = &layer->routing[h];
    double value = sqrt(r->raw.delta2) / sqrt(r->raw.base2);
    if (!r->has_effective) {
        r->effective = value;
    }
    for (size_t t = 0; r->distance != NULL && layer->pairs.n == 0 && t < layer->run->n_tau; t++) {
        r->distance[t] = value;
    }
}

enum qk_code qk_layer_direct(struct qk_layer_run *layer, struct qk_err *err)
{
    size_t n_heads = layer->n_heads + layer->n_kv;
    size_t *heads = qk_arena_alloc(layer->arena, n_heads, sizeof(*heads));
    struct direct_jobs jobs = {layer, 0, heads};
    if (heads == NULL) {
        return qk_fail_nomem(err, "layer");
    }
    for (size_t i = 0; i < n_heads; i++) {
        if (layer->todo[i] != 0) {
            heads[jobs.n++] = i;
        }
    }
    if (jobs.n == 0) {
        return QK_OK;
    }
    size_t slots = jobs.n < layer->run->sizes.n_slots ? jobs.n : layer->run->sizes.n_slots;
    QK_TRY(qk_pool_for(layer->run->pool, slots, slot_item, &jobs, err));
    for (size_t h = 0; h < layer->n_heads; h++) {
        if ((layer->todo[h] & QK_DIRECT_RAW) != 0) {
            spread_raw(layer, h);
        }
    }
    return QK_OK;
}
