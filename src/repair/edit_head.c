/* Aligned heads: base and tuned rows in double precision through repair/align.h. See repair/edit.h. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "edit_encode.h"
#include "repair/align.h"

struct qk_edit_maker {
    const struct qk_edits *edits;
    struct qk_head_reader *base, *tuned;
    size_t k, d;                   /* of the head at hand; d with the bias column */
    double *w0, *w1, *key0, *made; /* (k, d) each */
    double *work, *row;            /* of alignment; max(k, d) values for encoding */
};

/* Largest rows, columns (bias included) and alignment memory of any head to be aligned. */
static bool largest(const struct qk_edits *edits, size_t *ret_matrix, size_t *ret_row, size_t *ret_work)
{
    *ret_matrix = *ret_row = *ret_work = 1;
    for (size_t i = 0; i < edits->n_heads; i++) {
        const struct qk_layer *l = &edits->tuned->layers[edits->heads[i].layer];
        size_t matrix, d = l->n_in + 1, work = qk_align_size(l->head_dim, QK_ALIGN_TILE);
        size_t row = d > l->head_dim ? d : l->head_dim;
        if (work == 0 || !qk_size_mul(l->head_dim, d, &matrix)) {
            return false;
        }
        *ret_matrix = matrix > *ret_matrix ? matrix : *ret_matrix;
        *ret_row = row > *ret_row ? row : *ret_row;
        *ret_work = work > *ret_work ? work : *ret_work;
    }
    return true;
}

enum qk_code qk_edit_maker_new(const struct qk_edits *edits, struct qk_edit_maker **ret, struct qk_err *err)
{
    size_t matrix, row, work;
    struct qk_edit_maker *m = qk_calloc(1, sizeof *m);
    if (m == NULL || !largest(edits, &matrix, &row, &work)) {
        qk_free(m);
        return qk_fail_nomem(err, "aligned heads");
    }
    m->edits = edits;
    enum qk_code code = qk_head_reader_new(edits->base, QK_ALIGN_TILE, &m->base, err);
    if (code == QK_OK) {
        code = qk_head_reader_new(edits->tuned, QK_ALIGN_TILE, &m->tuned, err);
    }
    m->w0 = qk_alloc_aligned(matrix, sizeof(double));
    m->w1 = qk_alloc_aligned(matrix, sizeof(double));
    m->key0 = qk_alloc_aligned(matrix, sizeof(double));
    m->made = qk_alloc_aligned(matrix, sizeof(double));
    m->work = qk_alloc_aligned(work, sizeof(double));
    m->row = qk_alloc_aligned(row, sizeof(double));
    bool complete = m->w0 && m->w1 && m->key0 && m->made && m->work && m->row;
    if (code == QK_OK && !complete) {
        code = qk_fail_nomem(err, "aligned heads");
    }
    if (code != QK_OK) {
        qk_edit_maker_free(m);
        return code;
    }
    *ret = m;
    return QK_OK;
}

void qk_edit_maker_free(struct qk_edit_maker *m)
{
    if (m != NULL) {
        qk_head_reader_free(m->base);
        qk_head_reader_free(m->tuned);
        qk_free(m->w0);
        qk_free(m->w1);
        qk_free(m->key0);
        qk_free(m->made);
        qk_free(m->work);
        qk_free(m->row);
        qk_free(m);
    }
}

/* The bias of a head as the last column of dst; zeros where the layer has none. */
static enum qk_code read_bias(const struct qk_model *model, const struct qk_layer *layer, enum qk_role role,
                              size_t head, size_t k, size_t d, double *dst, struct qk_err *err)
{
    const struct qk_rows *bias = role == QK_ROLE_Q ? layer->q_bias : layer->k_bias;
    unsigned char raw[8];
    for (size_t i = 0; i < k; i++) {
        double *value = &dst[i * d + d - 1];
        *value = 0.0;
        if (bias != NULL) {
            const struct qk_tensor *t = bias[head].tensor;
            const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
            size_t element = type->bits / 8;
            double scale;
            if (!type->is_float || bias[head].count != k) {
                return qk_fail(err, QK_EFORMAT, "%s: %s: is no bias of this head (expected %zu numbers, found %llu)",
                               model->ckpt->path, t->name, k, (unsigned long long)bias[head].count);
            }
            QK_TRY(qk_ckpt_scale(model->ckpt, t, &scale, err));
            QK_TRY(qk_ckpt_read(model->ckpt, t, (bias[head].first + i) * element, element, raw, err));
            type->to_f64(raw, 1, value);
            *value *= scale;
        }
    }
    return QK_OK;
}

static enum qk_code read_matrix(struct qk_head_reader *reader, const struct qk_model *model, enum qk_role role,
                                size_t layer, size_t head, size_t d, bool has_bias, double *dst, struct qk_err *err)
{
    const struct qk_layer *l = &model->layers[layer];
    QK_TRY(qk_head_reader_load(reader, l, role, head, err));
    for (size_t col = 0; col < l->n_in; col += QK_ALIGN_TILE) {
        size_t n = l->n_in - col < QK_ALIGN_TILE ? l->n_in - col : QK_ALIGN_TILE;
        QK_TRY(qk_head_reader_tile(reader, col, n, dst + col, d, NULL, err));
    }
    return has_bias ? read_bias(model, l, role, head, l->head_dim, d, dst, err) : QK_OK;
}

enum qk_code qk_edit_make(struct qk_edit_maker *m, size_t head, struct qk_err *err)
{
    const struct qk_edits *edits = m->edits;
    const struct qk_edit_head *job = &edits->heads[head];
    const struct qk_layer *layer = &edits->tuned->layers[job->layer];
    struct qk_align_rule rule = qk_align_rule(job->unit, layer, job->role == QK_ROLE_K);
    struct qk_align align;
    m->k = layer->head_dim;
    m->d = layer->n_in + job->has_bias;
    QK_TRY(read_matrix(m->base, edits->base, job->role, job->layer, job->head, m->d, job->has_bias, m->w0, err));
    QK_TRY(read_matrix(m->tuned, edits->tuned, job->role, job->layer, job->head, m->d, job->has_bias, m->w1, err));
    if (job->role == QK_ROLE_Q && job->unit->method == QK_PLAN_QK_PRO) {
        size_t group = job->head / (layer->n_heads / layer->n_kv_heads);
        QK_TRY(read_matrix(m->base, edits->base, QK_ROLE_K, job->layer, group, m->d, job->has_bias, m->key0, err));
    }
    enum qk_code code =
        qk_align_matrix(&align, &rule, m->k, m->d, job->has_bias, m->w0, m->w1, m->key0, m->d, m->made, m->work, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s: layer %zu, %s head %zu", edits->tuned->ckpt->path, job->layer,
                       job->role == QK_ROLE_Q ? "query" : "key", job->head);
    }
    return code;
}

enum qk_code qk_edit_made(const struct qk_edit_maker *m, const struct qk_edit *edit, void *buf, struct qk_err *err)
{
    assert(edit->how == QK_EDIT_HEAD);
    size_t cols = edit->is_bias ? 1 : m->edits->tuned->layers[edit->layer].n_in;
    size_t first_col = edit->is_bias ? m->d - 1 : 0;
    size_t element = qk_dtype_info(edit->tensor->dtype)->bits / 8, count = (size_t)edit->count;
    const double *from = m->made + edit->head_row * m->d + first_col;
    for (size_t line = 0; line < (edit->transposed ? cols : count); line++) {
        size_t n = edit->transposed ? count : cols;
        for (size_t i = 0; i < n; i++) {
            m->row[i] = edit->transposed ? from[i * m->d + line] : from[line * m->d + i];
        }
        QK_TRY(qk_edit_encode(m->edits, edit, m->row, n, (unsigned char *)buf + line * n * element, err));
    }
    return QK_OK;
}
