/* Packed weights by the checkpoint, tensor and rows that they were read from. */
#include "panel_cache.h"

#include <stdint.h>

#include "base/alloc.h"
#include "matmul_tile.h"
#include "num/float_panels.h"

enum { FIRST_SLOTS = 64, ROWS_PER_ITEM = 128 };

struct qk_kept_panels {
    const struct qk_ckpt *ckpt;
    struct qk_rows rows; /* tensor NULL = free slot */
    float *panels;
};

size_t qk_panel_cache_plan(const struct qk_ckpt *ckpt)
{
    uint64_t floats = 0;
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        floats += ckpt->tensors[i].n_elements;
        if (floats > QK_PANEL_CACHE_MOST / sizeof(float)) {
            return 0;
        }
    }
    return (size_t)floats * sizeof(float);
}

size_t qk_panel_cache_limit(const struct qk_ckpt *ckpt)
{
    /* not the plan itself: a block's last panel may be half empty */
    return qk_panel_cache_plan(ckpt) > 0 ? QK_PANEL_CACHE_MOST : 0;
}

static bool is_same(const struct qk_kept_panels *slot, const struct qk_ckpt *ckpt, const struct qk_rows *rows)
{
    return slot->ckpt == ckpt && slot->rows.tensor == rows->tensor && slot->rows.first == rows->first &&
           slot->rows.count == rows->count && slot->rows.transposed == rows->transposed;
}

static struct qk_kept_panels *slot_of(struct qk_kept_panels *slots, size_t cap, const struct qk_ckpt *ckpt,
                                      const struct qk_rows *rows)
{
    uint64_t h = ((uint64_t)(uintptr_t)rows->tensor >> 4) * 0x9E3779B97F4A7C15u;
    h ^= (rows->first * 31 + rows->count) * 0xC2B2AE3D27D4EB4Fu;
    size_t i = (size_t)(h >> 20) & (cap - 1);
    while (slots[i].rows.tensor && !is_same(&slots[i], ckpt, rows)) {
        i = (i + 1) & (cap - 1);
    }
    return &slots[i];
}

static enum qk_code make_room(struct qk_panel_cache *c, struct qk_err *err)
{
    if (2 * (c->n + 1) <= c->cap) {
        return QK_OK;
    }
    size_t cap = c->cap ? 2 * c->cap : FIRST_SLOTS;
    struct qk_kept_panels *slots = qk_calloc(cap, sizeof *slots);
    if (!slots) {
        return qk_fail_nomem(err, "kept weights");
    }
    for (size_t i = 0; i < c->cap; i++) {
        if (c->slots[i].rows.tensor) {
            *slot_of(slots, cap, c->slots[i].ckpt, &c->slots[i].rows) = c->slots[i];
        }
    }
    qk_free(c->slots);
    c->slots = slots;
    c->cap = cap;
    return QK_OK;
}

struct pack_job {
    const struct qk_ckpt *ckpt;
    const struct qk_rows *block;
    size_t d;
    float *panels, *tiles;
    unsigned char *raw;
};

static enum qk_code pack_item(void *ctx, size_t item, size_t worker, struct qk_err *err)
{
    const struct pack_job *job = ctx;
    size_t first = item * ROWS_PER_ITEM, count = (size_t)job->block->count - first;
    size_t n = count < ROWS_PER_ITEM ? count : ROWS_PER_ITEM;
    return qk_tile_pack(job->ckpt, job->block, job->block->first + first, n, job->d,
                        job->raw + worker * QK_TILE_RAW_BYTES, job->tiles + worker * ROWS_PER_ITEM * job->d,
                        job->panels + first * job->d, err);
}

static enum qk_code pack(struct pack_job *job, struct qk_pool *pool, struct qk_err *err)
{
    size_t count = (size_t)job->block->count, workers = qk_pool_size(pool), tiles;
    if (qk_size_mul(workers * ROWS_PER_ITEM, job->d, &tiles)) {
        job->tiles = qk_alloc_aligned(tiles, sizeof *job->tiles);
        job->raw = qk_alloc_aligned(workers, QK_TILE_RAW_BYTES);
    }
    enum qk_code code = job->tiles && job->raw ? qk_pool_for(pool, count / ROWS_PER_ITEM + (count % ROWS_PER_ITEM != 0),
                                                             pack_item, job, err)
                                               : qk_fail_nomem(err, "kept weights");
    qk_free(job->tiles);
    qk_free(job->raw);
    return code;
}

enum qk_code qk_panel_cache_take(struct qk_panel_cache *c, const struct qk_ckpt *ckpt, const struct qk_rows *block,
                                 size_t d, struct qk_pool *pool, const float **ret, struct qk_err *err)
{
    *ret = NULL;
    size_t floats = qk_float_panels_size(d, (size_t)block->count);
    if (c->limit == 0) {
        return QK_OK;
    }
    QK_TRY(make_room(c, err));
    struct qk_kept_panels *slot = slot_of(c->slots, c->cap, ckpt, block);
    if (slot->rows.tensor) {
        *ret = slot->panels;
        return QK_OK;
    }
    if (floats > (c->limit - c->bytes) / sizeof(float)) {
        return QK_OK;
    }
    struct pack_job job = {.ckpt = ckpt, .block = block, .d = d};
    job.panels = qk_alloc_aligned(floats, sizeof(float));
    if (!job.panels) {
        return qk_fail_nomem(err, "kept weights");
    }
    enum qk_code code = pack(&job, pool, err);
    if (code != QK_OK) {
        qk_free(job.panels);
        return code;
    }
    *slot = (struct qk_kept_panels){ckpt, *block, job.panels};
    c->n++;
    c->bytes += floats * sizeof(float);
    *ret = job.panels;
    return QK_OK;
}

void qk_panel_cache_release(struct qk_panel_cache *c)
{
    for (size_t i = 0; i < c->cap; i++) {
        qk_free(c->slots[i].panels);
    }
    qk_free(c->slots);
    c->slots = NULL;
    c->n = c->cap = c->bytes = 0;
}
