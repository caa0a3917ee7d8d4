/* Sums over whole tensors by role: every byte of the layer is read once and reduced in pieces of fixed size, whose sums
 * are added in file order. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "drift_run.h"
#include "module_chunk.h"
#include "num/delta_norm.h"

/* n_rows runs of row_elements, row_stride elements apart, starting at element first of both tensors. */
struct piece {
    const struct qk_tensor *base, *tuned;
    uint64_t first;
    size_t n_rows, row_elements, row_stride;
    size_t module;
    double base2, delta2;
    bool finite;
};

struct piece_list {
    struct qk_drift_run *run;
    struct qk_arena *arena;
    size_t n, cap;
    struct piece *pieces;
};

static enum qk_code add_piece(struct piece_list *list, const struct piece *piece, struct qk_err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 64 : 2 * list->cap;
        struct piece *pieces = qk_realloc(list->pieces, cap, sizeof(*pieces));
        if (pieces == NULL) {
            return qk_fail_nomem(err, "module pieces");
        }
        list->pieces = pieces;
        list->cap = cap;
    }
    list->pieces[list->n++] = *piece;
    return QK_OK;
}

/* A run of elements, cut at fixed distances. */
static enum qk_code add_run(struct piece_list *list, struct piece piece, uint64_t first, uint64_t n, struct qk_err *err)
{
    piece.n_rows = 1;
    for (uint64_t done = 0; done < n; done += QK_CHUNK_ELEMENTS) {
        piece.first = first + done;
        piece.row_elements = n - done < QK_CHUNK_ELEMENTS ? (size_t)(n - done) : QK_CHUNK_ELEMENTS;
        QK_TRY(add_piece(list, &piece, err));
    }
    return QK_OK;
}

/* Columns [rows.first, + count) of a stored (n, stride) matrix. */
static enum qk_code add_columns(struct piece_list *list, struct piece piece, const struct qk_rows *rows,
                                struct qk_err *err)
{
    size_t stride = (size_t)rows->tensor->shape[rows->tensor->n_dims - 1];
    uint64_t n = rows->tensor->n_elements / stride;
    if (rows->count == stride) {
        return add_run(list, piece, 0, rows->tensor->n_elements, err);
    }
    if (stride > QK_CHUNK_ELEMENTS) {
        for (uint64_t row = 0; row < n; row++) {
            QK_TRY(add_run(list, piece, row * stride + rows->first, rows->count, err));
        }
        return QK_OK;
    }
    size_t per_piece = QK_CHUNK_ELEMENTS / stride;
    piece.row_elements = (size_t)rows->count;
    piece.row_stride = stride;
    for (uint64_t row = 0; row < n; row += per_piece) {
        piece.first = row * stride + rows->first;
        piece.n_rows = n - row < per_piece ? (size_t)(n - row) : per_piece;
        QK_TRY(add_piece(list, &piece, err));
    }
    return QK_OK;
}

/* The tuned checkpoint's tensor of the same name, NULL when it has none of that shape or one side cannot be decoded. */
static const struct qk_tensor *partner(const struct qk_drift_run *run, const struct qk_tensor *tensor)
{
    const struct qk_tensor *other = qk_ckpt_find(run->tuned->ckpt, tensor->name);
    bool fits = other != NULL && other->n_dims == tensor->n_dims &&
                memcmp(other->shape, tensor->shape, tensor->n_dims * sizeof(tensor->shape[0])) == 0;
    bool decodable = fits && qk_dtype_info(tensor->dtype)->is_float && qk_dtype_info(other->dtype)->is_float;
    return decodable ? other : NULL;
}

static enum qk_code add_rows(struct piece_list *list, const struct qk_rows *rows, size_t module, struct qk_err *err)
{
    struct piece piece = {.base = rows->tensor, .tuned = partner(list->run, rows->tensor), .module = module};
    if (piece.tuned == NULL || rows->tensor->n_elements == 0) {
        return QK_OK;
    }
    if (rows->transposed) {
        return add_columns(list, piece, rows, err);
    }
    uint64_t columns = rows->tensor->n_dims < 2 ? 1 : rows->tensor->shape[rows->tensor->n_dims - 1];
    return add_run(list, piece, rows->first * columns, rows->count * columns, err);
}

/* Sums of one run in memory; per-tensor scales of 8-bit types that differ need the values. */
static bool run_sums(const struct piece *piece, double scale0, double scale1, const unsigned char *raw0,
                     const unsigned char *raw1, size_t n, double *base2, double *delta2)
{
    const struct qk_dtype_info *type0 = qk_dtype_info(piece->base->dtype), *type1 = qk_dtype_info(piece->tuned->dtype);
    if (scale0 == scale1) {
        bool finite = qk_delta_sums(type0->dtype, raw0, type1->dtype, raw1, n, base2, delta2);
        *base2 *= scale0 * scale0;
        *delta2 *= scale0 * scale0;
        return finite;
    }
    double w0[256], w1[256];
    *base2 = *delta2 = 0.0;
    for (size_t at = 0; at < n; at += 256) {
        size_t m = n - at < 256 ? n - at : 256;
        type0->to_f64(raw0 + at * (type0->bits / 8), m, w0);
        type1->to_f64(raw1 + at * (type1->bits / 8), m, w1);
        for (size_t i = 0; i < m; i++) {
            double value = scale0 * w0[i], delta = scale1 * w1[i] - value;
            *base2 += value * value;
            *delta2 += delta * delta;
        }
    }
    return isfinite(*base2) && isfinite(*delta2);
}

static enum qk_code piece_item(void *ctx, size_t i, size_t worker_index, struct qk_err *err)
{
    struct piece_list *list = ctx;
    struct piece *piece = &list->pieces[i];
    const struct qk_drift_run *run = list->run;
    struct qk_worker *worker = &run->workers[worker_index];
    size_t size0 = qk_dtype_info(piece->base->dtype)->bits / 8, size1 = qk_dtype_info(piece->tuned->dtype)->bits / 8;
    size_t span = (piece->n_rows - 1) * piece->row_stride + piece->row_elements;
    double scale0, scale1;
    QK_TRY(qk_ckpt_scale(run->base->ckpt, piece->base, &scale0, err));
    QK_TRY(qk_ckpt_scale(run->tuned->ckpt, piece->tuned, &scale1, err));
    QK_TRY(qk_ckpt_read(run->base->ckpt, piece->base, piece->first * size0, span * size0, worker->chunk[0], err));
    QK_TRY(qk_ckpt_read(run->tuned->ckpt, piece->tuned, piece->first * size1, span * size1, worker->chunk[1], err));
    piece->base2 = piece->delta2 = 0.0;
    piece->finite = true;
    for (size_t row = 0; row < piece->n_rows; row++) {
        size_t at = row * piece->row_stride;
        double base2, delta2;
        piece->finite = run_sums(piece, scale0, scale1, worker->chunk[0] + at * size0, worker->chunk[1] + at * size1,
                                 piece->row_elements, &base2, &delta2) &&
                        piece->finite;
        piece->base2 += base2;
        piece->delta2 += delta2;
    }
    return QK_OK;
}

static void add_sum(struct qk_module_sum *sum, bool finite, double base2, double delta2)
{
    sum->finite = finite && (sum->finite || !sum->present);
    sum->present = true;
    sum->base2 += base2;
    sum->delta2 += delta2;
}

/* Runs all pieces and adds them up in order. */
static enum qk_code reduce(struct piece_list *list, struct qk_module_sum *ret, struct qk_err *err)
{
    QK_TRY(qk_pool_for(list->run->pool, list->n, piece_item, list, err));
    for (size_t i = 0; i < list->n; i++) {
        const struct piece *piece = &list->pieces[i];
        add_sum(&ret[piece->module], piece->finite, piece->base2, piece->delta2);
    }
    return QK_OK;
}

/* True where the role's rows are exactly the heads' rows, so that the heads' Grams hold their sums. */
static bool heads_cover(const struct qk_layer *layer, enum qk_role role)
{
    bool key = role == QK_ROLE_K;
    const struct qk_head_part *parts = key ? layer->k : layer->q;
    size_t n = key ? layer->n_kv_heads * layer->n_k_parts : layer->n_heads * layer->n_q_parts;
    uint64_t in_slices = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].inner.tensor != NULL || parts[i].up.tensor != NULL) {
            return false;
        }
    }
    for (size_t s = 0; s < layer->n_slices; s++) {
        in_slices += layer->slices[s].role == role ? layer->slices[s].rows.count : 0;
    }
    size_t heads = key ? layer->n_kv_heads : layer->n_heads;
    return in_slices == (uint64_t)heads * layer->head_dim;
}

static void add_heads(const struct qk_layer_run *layer, enum qk_role role, struct qk_module_sum *ret)
{
    size_t first = role == QK_ROLE_K ? layer->n_heads : 0, n = role == QK_ROLE_K ? layer->n_kv : layer->n_heads;
    for (size_t i = first; i < first + n; i++) {
        const struct qk_projection *p = &layer->heads[i];
        add_sum(&ret[qk_module_of_role(role)], p->finite, p->finite ? p->base2 : NAN, p->finite ? p->delta2 : NAN);
    }
}

enum qk_code qk_layer_modules(struct qk_drift_run *run, size_t index, const struct qk_layer_run *layer,
                              struct qk_module_sum *ret, struct qk_err *err)
{
    const struct qk_layer *base = &run->base->model->layers[index];
    struct piece_list list = {.run = run};
    enum qk_code code = QK_OK;
    bool q_done = layer != NULL && heads_cover(base, QK_ROLE_Q), k_done = layer != NULL && heads_cover(base, QK_ROLE_K);
    for (size_t s = 0; s < base->n_slices && code == QK_OK; s++) {
        const struct qk_slice *slice = &base->slices[s];
        if ((slice->role == QK_ROLE_Q && q_done) || (slice->role == QK_ROLE_K && k_done)) {
            continue;
        }
        code = add_rows(&list, &slice->rows, qk_module_of_role(slice->role), err);
    }
    memset(ret, 0, qk_module_count() * sizeof(*ret));
    if (code == QK_OK && q_done) {
        add_heads(layer, QK_ROLE_Q, ret);
    }
    if (code == QK_OK && k_done) {
        add_heads(layer, QK_ROLE_K, ret);
    }
    if (code == QK_OK) {
        code = reduce(&list, ret, err);
    }
    qk_free(list.pieces);
    return code;
}

enum qk_code qk_outer_modules(struct qk_drift_run *run, struct qk_module_sum *ret, struct qk_err *err)
{
    const struct qk_model *model = run->base->model;
    struct piece_list list = {.run = run};
    enum qk_code code = QK_OK;
    for (size_t i = 0; i < model->n_outer && code == QK_OK; i++) {
        const struct qk_tensor *tensor = model->outer[i].tensor;
        uint64_t rows = tensor->n_dims < 2 || tensor->shape[tensor->n_dims - 1] == 0
                            ? tensor->n_elements
                            : tensor->n_elements / tensor->shape[tensor->n_dims - 1];
        const struct qk_rows all = {.tensor = tensor, .first = 0, .count = rows};
        code = add_rows(&list, &all, qk_outer_of_role(model->outer[i].role), err);
    }
    memset(ret, 0, qk_outer_count() * sizeof(*ret));
    if (code == QK_OK) {
        code = reduce(&list, ret, err);
    }
    qk_free(list.pieces);
    return code;
}
