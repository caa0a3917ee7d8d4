/* Scratch memory of a drift run: sized before the run, so that the kernels never allocate. */
#include <string.h>

#include "base/alloc.h"
#include "drift_run.h"
#include "drift_table.h"
#include "module_chunk.h"
#include "num/gram_tile.h"

/* Budgets in doubles: the Grams of a batch of KV groups, and all slots for evaluations from the matrices. */
enum { BATCH_DOUBLES = 10 * 1024 * 1024, SLOT_DOUBLES = 6 * 1024 * 1024 };

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Grams of one KV group of a layer: raw and with the input norm folded in. */
static size_t group_doubles(const struct qk_layer *layer)
{
    size_t heads = 1 + layer->n_heads / layer->n_kv_heads;
    size_t kinds = layer->input_norm.tensor != NULL ? 2 : 1;
    return heads * kinds * qk_gram_size(layer->head_dim);
}

static void size_layer(struct qk_sizes *sizes, const struct qk_layer *layer)
{
    size_t k = layer->head_dim, d = layer->n_in, all = group_doubles(layer) * layer->n_kv_heads;
    sizes->k = larger(sizes->k, k);
    sizes->d = larger(sizes->d, d);
    sizes->gram_doubles =
        larger(sizes->gram_doubles, all < BATCH_DOUBLES ? all : larger(group_doubles(layer), BATCH_DOUBLES));
    sizes->work = larger(sizes->work, larger(qk_projection_work(k), qk_distance_work(k)));
    sizes->slot_matrices = larger(sizes->slot_matrices, qk_stack_rows(d, k) * 2 * k);
    size_t stack_work = larger(qk_stack_work(d, k), 12 * k * k);
    sizes->slot_work = larger(sizes->slot_work, larger(qk_projection_direct_work(d, k), stack_work));
}

/* Doubles of one slot. */
static size_t slot_doubles(const struct qk_sizes *sizes)
{
    return sizes->slot_matrices + qk_gram_size(sizes->k) + 8 * sizes->k * sizes->k + sizes->slot_work;
}

enum qk_code qk_sizes_of(const struct qk_run_input *base, size_t n_workers, unsigned needs, struct qk_sizes *ret,
                         struct qk_err *err)
{
    struct qk_sizes sizes = {0};
    size_t product;
    for (size_t l = 0; l < base->model->n_layers && (needs & QK_NEED_GRAM) != 0; l++) {
        const struct qk_layer *layer = &base->model->layers[l];
        if (layer->n_heads == 0) {
            continue;
        }
        if (layer->head_dim > 16384 || layer->n_in > (size_t)1 << 26 ||
            !qk_size_mul(layer->head_dim, layer->n_in, &product)) {
            return qk_fail(err, QK_EUNSUPPORTED, "layer %zu: a head of %zu × %zu is too large", l, layer->head_dim,
                           layer->n_in);
        }
        size_layer(&sizes, layer);
    }
    size_t per_slot = larger(slot_doubles(&sizes), 1);
    sizes.n_slots = SLOT_DOUBLES / per_slot < n_workers ? SLOT_DOUBLES / per_slot : n_workers;
    sizes.n_slots = larger(sizes.n_slots, 1);
    size_t k = sizes.k;
    size_t per_worker = 2 * k * QK_RUN_TILE + qk_gram_tile_size(k, QK_RUN_TILE) + 2 * qk_gram_sums_size(k) +
                        2 * qk_gram_size(k) + sizes.work;
    size_t readers = k == 0 ? 0 : 2 * qk_head_reader_bytes(base->model, QK_RUN_TILE);
    sizes.total_bytes = sizeof(double) * (sizes.gram_doubles + sizes.n_slots * slot_doubles(&sizes)) +
                        n_workers * (sizeof(double) * per_worker + readers + 2 * QK_CHUNK_BYTES);
    *ret = sizes;
    return QK_OK;
}

static bool init_scratch(struct qk_worker *worker, const struct qk_sizes *sizes)
{
    size_t k = sizes->k;
    if (k == 0) {
        return true;
    }
    worker->tile = qk_alloc_aligned(2 * k * QK_RUN_TILE, sizeof(double));
    worker->packed = qk_alloc_aligned(qk_gram_tile_size(k, QK_RUN_TILE), sizeof(double));
    worker->sums = qk_alloc_aligned(qk_gram_sums_size(k), sizeof(double));
    worker->scaled_sums = qk_alloc_aligned(qk_gram_sums_size(k), sizeof(double));
    worker->rows = qk_alloc_aligned(2 * qk_gram_size(k), sizeof(double));
    worker->work = qk_alloc_aligned(sizes->work, sizeof(double));
    worker->bands = qk_calloc(k / 2 + 1, sizeof(*worker->bands));
    return worker->tile != NULL && worker->packed != NULL && worker->sums != NULL && worker->scaled_sums != NULL &&
           worker->rows != NULL && worker->work != NULL && worker->bands != NULL;
}

static enum qk_code init_worker(struct qk_drift_run *run, struct qk_worker *worker, struct qk_err *err)
{
    worker->chunk[0] = qk_alloc_aligned(QK_CHUNK_BYTES, 1);
    worker->chunk[1] = qk_alloc_aligned(QK_CHUNK_BYTES, 1);
    if (!init_scratch(worker, &run->sizes) || worker->chunk[0] == NULL || worker->chunk[1] == NULL) {
        return qk_fail_nomem(err, "scratch memory");
    }
    if (run->sizes.k > 0) {
        QK_TRY(qk_head_reader_new(run->base->model, QK_RUN_TILE, &worker->base, err));
        QK_TRY(qk_head_reader_new(run->tuned->model, QK_RUN_TILE, &worker->tuned, err));
    }
    return QK_OK;
}

static bool init_slot(struct qk_direct_slot *slot, const struct qk_sizes *sizes)
{
    slot->matrices = qk_alloc_aligned(sizes->slot_matrices, sizeof(double));
    slot->gram = qk_alloc_aligned(qk_gram_size(sizes->k), sizeof(double));
    slot->factors = qk_alloc_aligned(8 * sizes->k * sizes->k, sizeof(double));
    slot->work = qk_alloc_aligned(sizes->slot_work, sizeof(double));
    return slot->matrices != NULL && slot->gram != NULL && slot->factors != NULL && slot->work != NULL;
}

enum qk_code qk_workers_init(struct qk_drift_run *run, struct qk_err *err)
{
    run->n_workers = qk_pool_size(run->pool);
    QK_TRY(qk_sizes_of(run->base, run->n_workers, run->selection.needs, &run->sizes, err));
    run->workers = qk_calloc(run->n_workers, sizeof(*run->workers));
    run->slots = qk_calloc(run->sizes.n_slots, sizeof(*run->slots));
    if (run->workers == NULL || run->slots == NULL) {
        return qk_fail_nomem(err, "workers");
    }
    for (size_t i = 0; i < run->n_workers; i++) {
        QK_TRY(init_worker(run, &run->workers[i], err));
    }
    if (run->sizes.k == 0) {
        return QK_OK;
    }
    run->grams = qk_alloc_aligned(run->sizes.gram_doubles, sizeof(double));
    bool ok = run->grams != NULL;
    for (size_t i = 0; i < run->sizes.n_slots && ok; i++) {
        ok = init_slot(&run->slots[i], &run->sizes);
    }
    return ok ? QK_OK : qk_fail_nomem(err, "scratch memory");
}

void qk_workers_release(struct qk_drift_run *run)
{
    for (size_t i = 0; run->workers != NULL && i < run->n_workers; i++) {
        struct qk_worker *worker = &run->workers[i];
        qk_head_reader_free(worker->base);
        qk_head_reader_free(worker->tuned);
        void *const blocks[] = {worker->tile, worker->packed, worker->sums,     worker->scaled_sums, worker->rows,
                                worker->work, worker->bands,  worker->chunk[0], worker->chunk[1]};
        for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
            qk_free(blocks[b]);
        }
    }
    for (size_t i = 0; run->slots != NULL && i < run->sizes.n_slots; i++) {
        qk_free(run->slots[i].matrices);
        qk_free(run->slots[i].gram);
        qk_free(run->slots[i].factors);
        qk_free(run->slots[i].work);
    }
    qk_free(run->workers);
    qk_free(run->slots);
    qk_free(run->grams);
    run->workers = NULL;
    run->slots = NULL;
    run->grams = NULL;
}

size_t qk_drift_memory(const struct qk_run_input *base, size_t n_threads)
{
    struct qk_sizes sizes;
    struct qk_err ignored;
    return qk_sizes_of(base, n_threads, ~0u, &sizes, &ignored) == QK_OK ? sizes.total_bytes : 0;
}
