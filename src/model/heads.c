/* Heads of Q and K as row blocks of separate or fused projections. */
#include "model/builder.h"

#include <stdio.h>
#include <string.h>

#include "heads.h"

uint64_t qk_head_first(const struct qk_head_rows *r, size_t head, size_t head_dim)
{
    uint64_t stride = r->stride ? r->stride : head_dim;
    if (r->per_group == 0) {
        return r->first + head * stride;
    }
    return r->first + head / r->per_group * r->group_stride + head % r->per_group * stride;
}

enum qk_code qk_count_heads(struct qk_model_builder *b, size_t layer, size_t n, struct qk_err *err)
{
    b->n_heads_built += n;
    if (b->n_heads_built > QK_MAX_TOTAL_HEADS) {
        return qk_fail(err, QK_EFORMAT, "%s: more heads than any model has (layer %zu, expected at most %zu in all)",
                       b->source, layer, QK_MAX_TOTAL_HEADS);
    }
    return QK_OK;
}

/* Two arrays that the layer's Q or K side needs. */
struct side {
    struct qk_head_part *parts;
    struct qk_rows *bias; /* NULL without one */
};

static enum qk_code build_side(struct qk_model_builder *b, size_t layer, const struct qk_head_rows *r, size_t n_heads,
                               size_t head_dim, size_t n_in, enum qk_role role, struct side *ret, struct qk_err *err)
{
    char name[256];
    struct side side = {0};
    const struct qk_tensor *weight = NULL, *bias = NULL;
    snprintf(name, sizeof name, "%s.weight", r->module);
    QK_TRY(qk_layer_tensor(b, layer, name, &weight, err));
    QK_TRY(qk_check_matrix(b, weight, r->transposed, r->total, n_in, err));
    if (qk_head_first(r, n_heads - 1, head_dim) + head_dim > r->total) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: too few rows for %zu heads of %zu (found %llu)", b->ckpt->path,
                       weight->name, n_heads, head_dim, (unsigned long long)r->total);
    }
    snprintf(name, sizeof name, "%s.bias", r->module);
    bias = qk_layer_find(b, layer, name);
    if (bias) {
        QK_TRY(qk_check_matrix(b, bias, false, r->total, 1, err));
        side.bias = qk_arena_alloc(b->arena, n_heads, sizeof *side.bias);
    }
    side.parts = qk_arena_alloc(b->arena, n_heads, sizeof *side.parts);
    if (!side.parts || (bias && !side.bias)) {
        return qk_fail_nomem(err, "heads");
    }
    for (size_t h = 0; h < n_heads; h++) {
        uint64_t first = qk_head_first(r, h, head_dim);
        side.parts[h].rows = (struct qk_rows){weight, first, head_dim, r->transposed};
        QK_TRY(qk_claim_rows(b, &side.parts[h].rows, role, err));
    }
    for (size_t h = 0; bias && h < n_heads; h++) {
        side.bias[h] = (struct qk_rows){bias, qk_head_first(r, h, head_dim), head_dim, false};
        QK_TRY(qk_claim_rows(b, &side.bias[h], QK_ROLE_QK_BIAS, err));
    }
    *ret = side;
    return QK_OK;
}

/* A q or k norm by name: one per head, or one over all heads together. */
static enum qk_code build_qk_norm(struct qk_model_builder *b, size_t layer, const char *name, bool plus_one,
                                  size_t n_heads, size_t head_dim, enum qk_qk_norm_kind *kind,
                                  struct qk_norm_weight *ret, struct qk_err *err)
{
    const struct qk_tensor *t = NULL;
    QK_TRY(qk_layer_tensor(b, layer, name, &t, err));
    if (t->n_elements == head_dim) {
        *kind = QK_QK_NORM_HEAD;
    } else if (t->n_elements == (uint64_t)n_heads * head_dim) {
        *kind = QK_QK_NORM_ALL;
    } else {
        return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %zu or %zu, found %llu)",
                       b->ckpt->path, t->name, head_dim, n_heads * head_dim, (unsigned long long)t->n_elements);
    }
    *ret = (struct qk_norm_weight){.tensor = t, .plus_one = plus_one};
    return QK_OK;
}

static enum qk_code build_norms(struct qk_model_builder *b, struct qk_layer *l, size_t from, const struct qk_heads *h,
                                struct qk_err *err)
{
    enum qk_qk_norm_kind q_kind = QK_QK_NORM_NONE, k_kind = QK_QK_NORM_NONE;
    QK_TRY(qk_layer_norm(b, from, h->input_norm, h->plus_one, h->n_in, &l->input_norm, err));
    if (!h->q_norm) {
        return QK_OK;
    }
    QK_TRY(build_qk_norm(b, from, h->q_norm, h->plus_one, h->n_heads, h->head_dim, &q_kind, &l->q_norm, err));
    QK_TRY(build_qk_norm(b, from, h->k_norm, h->plus_one, h->n_kv_heads, h->head_dim, &k_kind, &l->k_norm, err));
    /* with one head both readings agree, and the other side decides */
    l->qk_norm_kind = q_kind == QK_QK_NORM_ALL || k_kind == QK_QK_NORM_ALL ? QK_QK_NORM_ALL : QK_QK_NORM_HEAD;
    bool q_fits = l->q_norm.tensor->n_elements == (uint64_t)h->n_heads * h->head_dim;
    bool k_fits = l->k_norm.tensor->n_elements == (uint64_t)h->n_kv_heads * h->head_dim;
    if (l->qk_norm_kind == QK_QK_NORM_ALL && (!q_fits || !k_fits)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: one norm is per head, the other over all heads (%s)", b->ckpt->path,
                       l->q_norm.tensor->name, l->k_norm.tensor->name);
    }
    return QK_OK;
}

enum qk_code qk_build_heads(struct qk_model_builder *b, size_t layer, const struct qk_heads *h, struct qk_err *err)
{
    struct qk_layer *l = &b->layers[layer];
    struct side q = {0}, k = {0};
    if (h->n_heads == 0 || h->n_kv_heads == 0 || h->head_dim == 0 || h->n_heads % h->n_kv_heads) {
        return qk_fail(err, QK_EFORMAT, "%s: layer %zu: %zu query heads cannot share %zu key heads of %zu rows",
                       b->source, layer, h->n_heads, h->n_kv_heads, h->head_dim);
    }
    size_t from = h->tensors_of ? *h->tensors_of : layer;
    QK_TRY(qk_count_heads(b, layer, h->n_heads, err));
    QK_TRY(build_side(b, from, &h->q, h->n_heads, h->head_dim, h->n_in, QK_ROLE_Q, &q, err));
    QK_TRY(build_side(b, from, &h->k, h->n_kv_heads, h->head_dim, h->n_in, QK_ROLE_K, &k, err));
    QK_TRY(build_norms(b, l, from, h, err));
    l->kind = h->kind;
    l->mixer = h->mixer;
    l->n_heads = h->n_heads;
    l->n_kv_heads = h->n_kv_heads;
    l->n_value_heads = h->n_value_heads ? h->n_value_heads : h->n_kv_heads;
    l->head_dim = h->head_dim;
    l->v_head_dim = h->v_head_dim ? h->v_head_dim : h->head_dim;
    l->n_in = h->n_in;
    l->window = h->window;
    if (h->position) {
        l->position = *h->position;
    }
    l->n_q_parts = 1;
    l->n_k_parts = 1;
    l->q = q.parts;
    l->k = k.parts;
    l->q_bias = q.bias;
    l->k_bias = k.bias;
    return QK_OK;
}

void qk_build_no_heads(struct qk_model_builder *b, size_t layer, enum qk_layer_kind kind, const char *mixer)
{
    b->layers[layer].kind = kind;
    b->layers[layer].mixer = mixer;
}
