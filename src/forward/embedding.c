/* Rows of the token embedding, scaled, plus learned positions. */
#include "model_run.h"

static enum qk_code add_position(struct qk_runner *r, size_t position, float *x, float *row, struct qk_err *err)
{
    const struct qk_tensor *t = r->spec->positions;
    struct qk_rows rows = {.tensor = t, .count = t->n_elements / r->spec->hidden};
    struct qk_projection table = {.n_blocks = 1, .blocks = &rows, .n_in = r->spec->hidden};
    if (position >= rows.count) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: position %zu is beyond the %llu learned positions",
                       r->spec->model->ckpt->path, position, (unsigned long long)rows.count);
    }
    QK_TRY(qk_weights_row(&r->weights, &table, position, row, err));
    for (size_t i = 0; i < r->spec->hidden; i++) {
        x[i] += row[i];
    }
    return QK_OK;
}

enum qk_code qk_embed(struct qk_runner *r, size_t n, const uint32_t *ids, size_t first, float *x, struct qk_err *err)
{
    size_t d = r->spec->hidden, mark = r->scratch.n;
    struct qk_norm_spec norm = r->spec->embedding_norm;
    float *row = NULL;
    norm.n = d;
    QK_TRY(qk_scratch_take(&r->scratch, 1, d, &row, err));
    for (size_t t = 0; t < n; t++) {
        if (ids[t] >= r->spec->embedding.n_out) {
            return qk_fail(err, QK_EFORMAT,
                           "%s: token id %lu at position %zu is out of the vocabulary (expected below %zu)",
                           r->spec->model->ckpt->path, (unsigned long)ids[t], first + t, r->spec->embedding.n_out);
        }
        QK_TRY(qk_weights_row(&r->weights, &r->spec->embedding, ids[t], x + t * d, err));
        for (size_t i = 0; r->spec->embedding_multiplier != 1 && i < d; i++) {
            x[t * d + i] *= (float)r->spec->embedding_multiplier;
        }
        QK_TRY(qk_weights_norm(&r->weights, &norm, 1, x + t * d, x + t * d, err));
        if (r->spec->positions) {
            QK_TRY(add_position(r, first + t, x + t * d, row, err));
        }
    }
    r->scratch.n = mark;
    return QK_OK;
}
