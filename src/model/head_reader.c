/* Reading one head of W_Q or W_K in tiles of columns.
 *
 * A head's own rows are usually contiguous bytes: one pread per head, then a decode per tile and row. Composite parts
 * keep their inner and adapter rows as raw bytes too (read again only when they change, as latents are shared by all
 * heads of a layer) and compose each tile with one product. */
#include "model/model.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "num/blas.h"
#include "num/dtype.h"

enum { MAX_PARTS = 2 };

/* Rows of a tensor as they are stored; transposed ones gathered to (columns, rows). */
struct block {
    struct qk_rows rows; /* tensor NULL: not there */
    uint64_t cols;
    double scale;
    unsigned char *raw;
    size_t cap;
};

struct part {
    struct block own, inner, up, down;
    double *norm;  /* inner_norm decoded; ones when there is none */
    double *outer; /* own rows decoded, norm folded in (own.count, inner.count); or up rows (own.count, up.cols) */
    double *ulp2;  /* per inner row: Σ over own rows of ulp², norm folded in; made when first asked for */
    const struct qk_tensor *norm_tensor;
    bool ulp2_known;
};

/* What a model's largest part needs. */
struct capacity {
    size_t own, inner, up, down;   /* bytes */
    size_t outer, norm, tile_rows; /* doubles; rows of inner or down per tile */
    size_t n_parts;
};

struct qk_head_reader {
    const struct qk_model *model;
    const struct qk_layer *layer;
    enum qk_role role;
    size_t head, tile, n_parts;
    struct capacity cap;
    struct part parts[MAX_PARTS];
    double *work; /* a tile of inner or down rows */
};

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static uint64_t columns(const struct qk_rows *r)
{
    uint64_t rows = 0, cols = 0;
    qk_rows_shape(r, &rows, &cols);
    return cols;
}

static size_t raw_bytes(const struct qk_rows *r)
{
    if (!r->tensor) {
        return 0;
    }
    size_t n = 0;
    unsigned bytes = qk_dtype_info(r->tensor->dtype)->bits / 8;
    /* inside the file, so it cannot overflow; SIZE_MAX makes the allocation fail where size_t is small */
    return qk_size_mul((size_t)r->count, (size_t)columns(r), &n) && qk_size_mul(n, bytes, &n) ? n : SIZE_MAX;
}

static void grow_for(struct capacity *cap, const struct qk_head_part *p)
{
    cap->own = max_size(cap->own, raw_bytes(&p->rows));
    cap->inner = max_size(cap->inner, raw_bytes(&p->inner));
    cap->up = max_size(cap->up, raw_bytes(&p->up));
    cap->down = max_size(cap->down, raw_bytes(&p->down));
    if (p->inner.tensor) {
        cap->outer = max_size(cap->outer, (size_t)(p->rows.count * p->inner.count));
        cap->norm = max_size(cap->norm, (size_t)p->inner.count);
        cap->tile_rows = max_size(cap->tile_rows, (size_t)p->inner.count);
    }
    if (p->up.tensor) {
        cap->outer = max_size(cap->outer, (size_t)(p->up.count * p->down.count));
        cap->tile_rows = max_size(cap->tile_rows, (size_t)p->down.count);
    }
}

static struct capacity capacity_of(const struct qk_model *model)
{
    struct capacity cap = {.n_parts = 1};
    for (size_t i = 0; i < model->n_layers; i++) {
        const struct qk_layer *l = &model->layers[i];
        cap.n_parts = max_size(cap.n_parts, max_size(l->n_q_parts, l->n_k_parts));
        for (size_t p = 0; p < l->n_heads * l->n_q_parts; p++) {
            grow_for(&cap, &l->q[p]);
        }
        for (size_t p = 0; p < l->n_kv_heads * l->n_k_parts; p++) {
            grow_for(&cap, &l->k[p]);
        }
    }
    return cap;
}

size_t qk_head_reader_bytes(const struct qk_model *model, size_t tile)
{
    struct capacity c = capacity_of(model);
    size_t raw = c.own + c.inner + c.up + c.down;
    return sizeof(struct qk_head_reader) + c.n_parts * (raw + (c.outer + 2 * c.norm) * sizeof(double)) +
           c.tile_rows * tile * sizeof(double);
}

static bool alloc_block(struct block *b, size_t bytes)
{
    b->cap = bytes;
    b->raw = bytes ? qk_alloc_aligned(bytes, 1) : NULL;
    return bytes == 0 || b->raw;
}

static bool alloc_doubles(double **ret, size_t n)
{
    *ret = n ? qk_alloc_aligned(n, sizeof **ret) : NULL;
    return n == 0 || *ret;
}

static bool alloc_part(struct part *p, const struct capacity *c)
{
    return alloc_block(&p->own, c->own) && alloc_block(&p->inner, c->inner) && alloc_block(&p->up, c->up) &&
           alloc_block(&p->down, c->down) && alloc_doubles(&p->norm, c->norm) && alloc_doubles(&p->ulp2, c->norm) &&
           alloc_doubles(&p->outer, c->outer);
}

enum qk_code qk_head_reader_new(const struct qk_model *model, size_t tile, struct qk_head_reader **ret,
                                struct qk_err *err)
{
    struct qk_head_reader *r = qk_calloc(1, sizeof *r);
    if (!r) {
        return qk_fail_nomem(err, "head reader");
    }
    r->model = model;
    r->tile = tile;
    r->cap = capacity_of(model);
    assert(r->cap.n_parts <= MAX_PARTS);
    size_t work = 0;
    bool ok = qk_size_mul(r->cap.tile_rows, tile, &work) && alloc_doubles(&r->work, work);
    for (size_t i = 0; ok && i < r->cap.n_parts; i++) {
        ok = alloc_part(&r->parts[i], &r->cap);
    }
    if (!ok) {
        qk_head_reader_free(r);
        return qk_fail_nomem(err, "head reader");
    }
    *ret = r;
    return QK_OK;
}

void qk_head_reader_free(struct qk_head_reader *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < MAX_PARTS; i++) {
        struct part *p = &r->parts[i];
        struct block *blocks[] = {&p->own, &p->inner, &p->up, &p->down};
        for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
            qk_free(blocks[k]->raw);
        }
        qk_free(p->norm);
        qk_free(p->outer);
        qk_free(p->ulp2);
    }
    qk_free(r->work);
    qk_free(r);
}

static enum qk_code read_contiguous(const struct qk_head_reader *r, struct block *b, size_t element, struct qk_err *err)
{
    const struct qk_tensor *t = b->rows.tensor;
    return qk_ckpt_read(r->model->ckpt, t, b->rows.first * b->cols * element,
                        (size_t)(b->rows.count * b->cols) * element, b->raw, err);
}

/* Stored (cols, all rows): the head is a run of columns in every stored row. */
static enum qk_code read_transposed(const struct qk_head_reader *r, struct block *b, size_t element, struct qk_err *err)
{
    const struct qk_tensor *t = b->rows.tensor;
    uint64_t stored = t->shape[t->n_dims - 1];
    size_t run = (size_t)b->rows.count * element;
    for (uint64_t c = 0; c < b->cols; c++) {
        QK_TRY(qk_ckpt_read(r->model->ckpt, t, (c * stored + b->rows.first) * element, run, b->raw + c * run, err));
    }
    return QK_OK;
}

static bool same_rows(const struct qk_rows *a, const struct qk_rows *b)
{
    return a->tensor == b->tensor && a->first == b->first && a->count == b->count;
}

/* *ret_changed false: the block was in memory already. */
static enum qk_code load_block(const struct qk_head_reader *r, struct block *b, const struct qk_rows *rows,
                               bool *ret_changed, struct qk_err *err)
{
    *ret_changed = !same_rows(&b->rows, rows);
    if (!*ret_changed) {
        return QK_OK;
    }
    b->rows.tensor = NULL;
    if (!rows->tensor) {
        return QK_OK;
    }
    const struct qk_dtype_info *type = qk_dtype_info(rows->tensor->dtype);
    if (!type->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: dtype %s holds no weights that can be decoded (expected a float type)",
                       r->model->ckpt->path, rows->tensor->name, type->name);
    }
    struct block loaded = *b;
    loaded.rows = *rows;
    loaded.cols = columns(rows);
    loaded.scale = 1;
    if (type->bits == 8) {
        QK_TRY(qk_ckpt_scale(r->model->ckpt, rows->tensor, &loaded.scale, err));
    }
    assert(raw_bytes(rows) <= b->cap);
    QK_TRY(rows->transposed ? read_transposed(r, &loaded, type->bits / 8, err)
                            : read_contiguous(r, &loaded, type->bits / 8, err));
    *b = loaded;
    return QK_OK;
}

/* Stored columns of a transposed block become rows of dst. */
static void decode_transposed(const struct block *b, size_t col, size_t n, double *dst, size_t ld)
{
    double column[128];
    const struct qk_dtype_info *type = qk_dtype_info(b->rows.tensor->dtype);
    size_t element = type->bits / 8, count = (size_t)b->rows.count, most = sizeof column / sizeof *column;
    for (size_t j = 0; j < n; j++) {
        for (size_t first = 0; first < count; first += most) {
            size_t some = count - first < most ? count - first : most;
            type->to_f64(b->raw + ((col + j) * count + first) * element, some, column);
            for (size_t i = 0; i < some; i++) {
                dst[(first + i) * ld + j] = column[i];
            }
        }
    }
}

/* Columns [col, col + n) of a block to (count, n) at dst + i·ld; sum of ulp² of what was decoded goes to *ulp2. */
static void decode_tile(const struct block *b, size_t col, size_t n, double *dst, size_t ld, double *ulp2)
{
    const struct qk_dtype_info *type = qk_dtype_info(b->rows.tensor->dtype);
    size_t element = type->bits / 8, count = (size_t)b->rows.count, cols = (size_t)b->cols;
    double sum = 0;
    if (b->rows.transposed) {
        decode_transposed(b, col, n, dst, ld);
    }
    for (size_t i = 0; i < count; i++) {
        double *row = dst + i * ld;
        if (!b->rows.transposed) {
            type->to_f64(b->raw + (i * cols + col) * element, n, row);
        }
        if (ulp2) {
            sum += qk_dtype_sum_ulp2(type->dtype, row, n);
        }
        for (size_t j = 0; b->scale != 1 && j < n; j++) {
            row[j] *= b->scale;
        }
    }
    if (ulp2) {
        *ulp2 += sum * b->scale * b->scale;
    }
}

static enum qk_code load_norm(const struct qk_head_reader *r, struct part *p, const struct qk_tensor *norm,
                              bool *changed, struct qk_err *err)
{
    struct qk_norm_weight weight = {.tensor = norm};
    if (p->norm_tensor == norm && !*changed) {
        return QK_OK;
    }
    *changed = true;
    p->norm_tensor = NULL;
    QK_TRY(qk_norm_weight_read(r->model, &weight, (size_t)p->inner.rows.count, p->norm, err));
    p->norm_tensor = norm;
    return QK_OK;
}

/* own · diag(norm) once per head. */
static void fold_outer(struct part *p)
{
    size_t count = (size_t)p->own.rows.count, inner = (size_t)p->inner.rows.count;
    decode_tile(&p->own, 0, inner, p->outer, inner, NULL);
    for (size_t i = 0; i < count; i++) {
        for (size_t l = 0; l < inner; l++) {
            p->outer[i * inner + l] *= p->norm[l];
        }
    }
    p->ulp2_known = false;
}

static enum qk_code load_part(const struct qk_head_reader *r, struct part *p, const struct qk_head_part *part,
                              struct qk_err *err)
{
    bool own = false, inner = false, up = false, down = false;
    QK_TRY(load_block(r, &p->own, &part->rows, &own, err));
    QK_TRY(load_block(r, &p->inner, &part->inner, &inner, err));
    QK_TRY(load_block(r, &p->up, &part->up, &up, err));
    QK_TRY(load_block(r, &p->down, &part->down, &down, err));
    if (part->inner.tensor) {
        QK_TRY(load_norm(r, p, part->inner_norm, &inner, err));
        fold_outer(p);
    } else {
        p->norm_tensor = NULL;
    }
    if (part->up.tensor) {
        decode_tile(&p->up, 0, (size_t)p->down.rows.count, p->outer, (size_t)p->down.rows.count, NULL);
    }
    return QK_OK;
}

enum qk_code qk_head_reader_load(struct qk_head_reader *r, const struct qk_layer *layer, enum qk_role role, size_t head,
                                 struct qk_err *err)
{
    bool q = role == QK_ROLE_Q;
    size_t n_parts = q ? layer->n_q_parts : layer->n_k_parts;
    const struct qk_head_part *parts = (q ? layer->q : layer->k) + head * n_parts;
    assert(role == QK_ROLE_Q || role == QK_ROLE_K);
    assert(head < (q ? layer->n_heads : layer->n_kv_heads));
    r->layer = NULL;
    for (size_t i = 0; i < n_parts; i++) {
        QK_TRY(load_part(r, &r->parts[i], &parts[i], err));
    }
    r->layer = layer;
    r->role = role;
    r->head = head;
    r->n_parts = n_parts;
    return QK_OK;
}

/* Rounding of the own rows alone: each stored o_il has error variance ∝ ulp²(o_il), which reaches element (i, j) of the
 * product scaled by norm_l · inner_lj. Summed over the tile: Σ_l (norm_l² Σ_i ulp²(o_il)) Σ_j inner_lj². */
static double composed_ulp2(struct part *p, const double *inner, size_t n)
{
    size_t count = (size_t)p->own.rows.count, rank = (size_t)p->inner.rows.count;
    double sum = 0;
    if (!p->ulp2_known) {
        for (size_t l = 0; l < rank; l++) {
            double x = 0, own = 0;
            for (size_t i = 0; i < count; i++) {
                const struct qk_dtype_info *type = qk_dtype_info(p->own.rows.tensor->dtype);
                type->to_f64(p->own.raw + (i * rank + l) * (type->bits / 8), 1, &x);
                own += qk_dtype_sum_ulp2(type->dtype, &x, 1);
            }
            p->ulp2[l] = own * p->own.scale * p->own.scale * p->norm[l] * p->norm[l];
        }
        p->ulp2_known = true;
    }
    for (size_t l = 0; l < rank; l++) {
        double gain = 0;
        for (size_t j = 0; j < n; j++) {
            gain += inner[l * n + j] * inner[l * n + j];
        }
        sum += p->ulp2[l] * gain;
    }
    return sum;
}

static void part_tile(struct qk_head_reader *r, struct part *p, size_t col, size_t n, double *dst, size_t ld,
                      double *ulp2)
{
    size_t count = (size_t)p->own.rows.count;
    if (p->inner.rows.tensor) {
        size_t rank = (size_t)p->inner.rows.count;
        decode_tile(&p->inner, col, n, r->work, n, NULL);
        /* row-major (count, rank)·(rank, n) is column-major (n, rank)·(rank, count) */
        qk_gemm(false, false, n, count, rank, 1, r->work, n, p->outer, rank, 0, dst, ld);
        if (ulp2) {
            *ulp2 += composed_ulp2(p, r->work, n);
        }
        return;
    }
    decode_tile(&p->own, col, n, dst, ld, ulp2);
    if (p->up.rows.tensor) {
        size_t rank = (size_t)p->down.rows.count;
        decode_tile(&p->down, col, n, r->work, n, NULL);
        qk_gemm(false, false, n, count, rank, 1, r->work, n, p->outer, rank, 1, dst, ld);
    }
}

enum qk_code qk_head_reader_tile(struct qk_head_reader *r, size_t col, size_t n, double *dst, size_t ld, double *ulp2,
                                 struct qk_err *err)
{
    if (!r->layer || col > r->layer->n_in || n > r->layer->n_in - col || n > r->tile || ld < n) {
        return qk_fail(err, QK_EINTERNAL, "head reader: columns %zu + %zu outside the head or the tile of %zu", col, n,
                       r->tile);
    }
    size_t row = 0;
    for (size_t i = 0; n > 0 && i < r->n_parts; i++) {
        part_tile(r, &r->parts[i], col, n, dst + row * ld, ld, ulp2);
        row += (size_t)r->parts[i].own.rows.count;
    }
    return QK_OK;
}

static bool same_block(const struct block *a, const struct block *b)
{
    if (!a->rows.tensor || !b->rows.tensor) {
        return !a->rows.tensor && !b->rows.tensor;
    }
    return a->rows.tensor->dtype == b->rows.tensor->dtype && a->rows.count == b->rows.count && a->cols == b->cols &&
           a->rows.transposed == b->rows.transposed && a->scale == b->scale &&
           !memcmp(a->raw, b->raw, raw_bytes(&a->rows));
}

bool qk_head_reader_identical(const struct qk_head_reader *a, const struct qk_head_reader *b)
{
    if (!a->layer || !b->layer || a->n_parts != b->n_parts) {
        return false;
    }
    for (size_t i = 0; i < a->n_parts; i++) {
        const struct part *p = &a->parts[i], *q = &b->parts[i];
        if (!same_block(&p->own, &q->own) || !same_block(&p->inner, &q->inner) || !same_block(&p->up, &q->up) ||
            !same_block(&p->down, &q->down)) {
            return false;
        }
        if (p->inner.rows.tensor && memcmp(p->norm, q->norm, (size_t)p->inner.rows.count * sizeof *p->norm) != 0) {
            return false;
        }
    }
    return true;
}
