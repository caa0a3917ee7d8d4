/* Latent attention (MLA) as a forward description: what mla.c found, seen as projections. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#include "model/forward_builder.h"

/* Rows of one tensor, with those of the bias stored beside it. */
static enum qk_code rows_of(struct qk_model_builder *b, const struct qk_rows *rows, size_t n_in,
                            struct qk_projection *ret, struct qk_err *err)
{
    char name[512];
    const char *weight = rows->tensor->name;
    size_t stem = strlen(weight) - (qk_str_ends(weight, ".weight") ? strlen(".weight") : 0);
    struct qk_rows *block = qk_arena_alloc(b->arena, 2, sizeof *block);
    if (!block) {
        return qk_fail_nomem(err, "projection");
    }
    snprintf(name, sizeof name, "%.*s.bias", (int)stem, weight);
    const struct qk_tensor *bias = qk_ckpt_find(b->ckpt, name);
    if (bias) {
        QK_TRY(qk_check_matrix(b, bias, false, rows->tensor->shape[0], 1, err));
    }
    block[0] = *rows;
    block[1] = (struct qk_rows){bias, rows->first, rows->count, false};
    *ret = (struct qk_projection){.n_blocks = 1,
                                  .blocks = block,
                                  .n_bias = bias ? 1 : 0,
                                  .bias = bias ? block + 1 : NULL,
                                  .n_out = (size_t)rows->count,
                                  .n_in = n_in};
    return QK_OK;
}

static struct qk_norm_spec norm_of(const struct qk_tensor *weight, double eps)
{
    return (struct qk_norm_spec){.kind = QK_NORM_RMS, .weight = weight, .eps = eps, .n = (size_t)weight->n_elements};
}

static enum qk_code read_latents(struct qk_model_builder *b, const struct qk_layer *l, double eps,
                                 struct qk_latent_spec *ret, struct qk_err *err)
{
    const struct qk_head_part *q = &l->q[0], *k = &l->k[0];
    if (q->inner.tensor) {
        QK_TRY(rows_of(b, &q->inner, l->n_in, &ret->q_inner, err));
        ret->q_norm = norm_of(q->inner_norm, eps);
    }
    QK_TRY(rows_of(b, &k[0].inner, l->n_in, &ret->kv_inner, err));
    ret->kv_norm = norm_of(k[0].inner_norm, eps);
    return rows_of(b, &k[1].rows, l->n_in, &ret->k_shared, err);
}

enum qk_code qk_spec_latent(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer, const char *module,
                            double eps, struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[layer];
    struct qk_layer_spec *ls = qk_spec_layer(spec, layer);
    struct qk_softmax_spec *s = qk_arena_alloc(b->arena, 1, sizeof *s);
    struct qk_latent_spec *latent = qk_arena_alloc(b->arena, 1, sizeof *latent);
    if (!s || !latent) {
        return qk_fail_nomem(err, "attention");
    }
    QK_TRY(read_latents(b, l, eps, latent, err));
    size_t shared = latent->k_shared.n_out, own = l->head_dim - shared, rank = latent->kv_inner.n_out;
    char kv_b[128], o[128];
    snprintf(kv_b, sizeof kv_b, "%s.kv_b_proj", module);
    snprintf(o, sizeof o, "%s.o_proj", module);
    struct qk_head_rows k = {.module = kv_b,
                             .total = (uint64_t)l->n_heads * (own + l->v_head_dim),
                             .stride = own + l->v_head_dim},
                        v = k;
    v.first = own;
    *s = (struct qk_softmax_spec){
        .n_heads = l->n_heads,
        .n_kv_heads = l->n_heads,
        .head_dim = l->head_dim,
        .v_head_dim = l->v_head_dim,
        .latent = latent,
        .position = &l->position,
        .scale = 1 / sqrt((double)l->head_dim),
    };
    struct qk_rows q_rows = l->q[0].rows;
    q_rows.count *= l->n_heads; /* heads follow each other */
    QK_TRY(rows_of(b, &q_rows, latent->q_inner.n_blocks ? latent->q_inner.n_out : l->n_in, &s->q, err));
    QK_TRY(qk_spec_head_rows(b, layer, &k, l->n_heads, own, rank, &s->k, err));
    QK_TRY(qk_spec_head_rows(b, layer, &v, l->n_heads, l->v_head_dim, rank, &s->v, err));
    QK_TRY(qk_spec_module(b, layer, o, false, spec->hidden, l->n_heads * l->v_head_dim, &s->o, err));
    ls->n_mixers = 1;
    ls->mixers[0] = (struct qk_mixer_spec){.kind = QK_MIXER_SOFTMAX, .softmax = s};
    return QK_OK;
}
