/* Softmax attention of a layer: projections, norms, rotation and scalings of q and k, keys and values kept in the
 * state, gate and output projection. Latent attention (MLA) only makes q, k and v in another way. */
#include <math.h>
#include <string.h>

#include "mixer.h"

/* Elements of a head's key: with ALiBi one more, its position, against the slope in the query. The bias slope · (s − t)
 * differs from slope · s by a constant of the row, which the softmax does not see. */
static size_t key_width(const struct qk_softmax_spec *s)
{
    return s->head_dim + (s->alibi != NULL);
}

static enum qk_code make_cache(struct qk_mixer_call *c, const struct qk_softmax_spec *s, struct qk_err *err)
{
    QK_TRY(qk_mixer_state_floats(&c->state->k, c->state->capacity, s->n_kv_heads * key_width(s), NULL, err));
    QK_TRY(qk_mixer_state_floats(&c->state->v, c->state->capacity, s->n_kv_heads * s->v_head_dim, NULL, err));
    if (c->place.n_tokens > c->state->capacity - c->state->n_keys) {
        return qk_fail(err, QK_EUSAGE, "more tokens than the cache has room for (%zu)", c->state->capacity);
    }
    return QK_OK;
}

/* [own rows of each head | rotary rows shared by all heads]. */
static void join_key(const struct qk_mixer_call *c, const struct qk_softmax_spec *s, const float *own,
                     const float *shared, size_t n_shared, float *k)
{
    size_t n_own = s->head_dim - n_shared;
    for (size_t t = 0; t < c->place.n_tokens; t++) {
        for (size_t h = 0; h < s->n_kv_heads; h++) {
            float *dst = k + (t * s->n_kv_heads + h) * s->head_dim;
            memcpy(dst, own + (t * s->n_kv_heads + h) * n_own, n_own * sizeof *dst);
            memcpy(dst + n_own, shared + t * n_shared, n_shared * sizeof *dst);
        }
    }
}

static enum qk_code project_latent(struct qk_mixer_call *c, const struct qk_softmax_spec *s, float *q, float *k,
                                   float *v, struct qk_err *err)
{
    const struct qk_latent_spec *l = s->latent;
    size_t n = c->place.n_tokens;
    const float *q_in = c->x;
    float *latent = NULL, *own = NULL, *shared = NULL;
    if (qk_has(&l->q_inner)) {
        QK_TRY(qk_mixer_project(c, &l->q_inner, c->x, &latent, err));
        QK_TRY(qk_weights_norm(c->weights, &l->q_norm, n, latent, latent, err));
        q_in = latent;
    }
    QK_TRY(qk_weights_project(c->weights, &s->q, n, q_in, q, err));
    QK_TRY(qk_mixer_project(c, &l->kv_inner, c->x, &latent, err));
    QK_TRY(qk_weights_norm(c->weights, &l->kv_norm, n, latent, latent, err));
    QK_TRY(qk_mixer_project(c, &s->k, latent, &own, err));
    QK_TRY(qk_mixer_project(c, &l->k_shared, c->x, &shared, err));
    join_key(c, s, own, shared, l->k_shared.n_out, k);
    return qk_weights_project(c->weights, &s->v, n, latent, v, err);
}

static enum qk_code project(struct qk_mixer_call *c, const struct qk_softmax_spec *s, float *q, float *k, float *v,
                            struct qk_err *err)
{
    size_t n = c->place.n_tokens;
    if (s->latent) {
        return project_latent(c, s, q, k, v, err);
    }
    QK_TRY(qk_weights_project(c->weights, &s->q, n, c->x, q, err));
    QK_TRY(qk_weights_project(c->weights, &s->k, n, c->x, k, err));
    return qk_weights_project(c->weights, &s->v, n, c->x, v, err);
}

static void clip(size_t n, float limit, float *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = x[i] < -limit ? -limit : x[i] > limit ? limit : x[i];
    }
}

static void clip_all(const struct qk_mixer_call *c, const struct qk_softmax_spec *s, float *q, float *k, float *v)
{
    size_t n = c->place.n_tokens;
    if (s->clip > 0) {
        clip(n * s->n_heads * s->head_dim, (float)s->clip, q);
        clip(n * s->n_kv_heads * s->head_dim, (float)s->clip, k);
        clip(n * s->n_kv_heads * s->v_head_dim, (float)s->clip, v);
    }
}

static void scale_queries(const struct qk_mixer_call *c, const struct qk_softmax_spec *s, float *q)
{
    size_t width = s->n_heads * s->head_dim;
    double constant = s->q_multiplier != 0 ? s->q_multiplier : 1;
    if (s->log_scale <= 0 && constant == 1) {
        return;
    }
    for (size_t t = 0; t < c->place.n_tokens; t++) {
        double position = (double)(c->place.first_position + t);
        double factor = s->log_scale > 0 ? log(position + s->log_scale) / log(s->log_scale_base) : 1;
        for (size_t i = 0; i < width; i++) {
            q[t * width + i] *= (float)(factor * constant);
        }
    }
}

/* Heads of dim elements to heads of dim + 1. */
static void widen(size_t n_tokens, size_t n_heads, size_t dim, const float *x, float *y)
{
    for (size_t i = 0; i < n_tokens * n_heads; i++) {
        memcpy(y + i * (dim + 1), x + i * dim, dim * sizeof *y);
    }
}

static enum qk_code add_alibi(struct qk_mixer_call *c, const struct qk_softmax_spec *s, const float *k, float *cache,
                              float **q, struct qk_err *err)
{
    size_t n = c->place.n_tokens, width = key_width(s);
    float *wide = NULL;
    QK_TRY(qk_scratch_take(c->scratch, n, s->n_heads * width, &wide, err));
    widen(n, s->n_heads, s->head_dim, *q, wide);
    widen(n, s->n_kv_heads, s->head_dim, k, cache);
    for (size_t t = 0; t < n; t++) {
        for (size_t h = 0; h < s->n_heads; h++) {
            wide[(t * s->n_heads + h) * width + s->head_dim] = (float)(s->alibi[h] / s->scale);
        }
        for (size_t g = 0; g < s->n_kv_heads; g++) {
            cache[(t * s->n_kv_heads + g) * width + s->head_dim] = (float)(c->place.first_position + t);
        }
    }
    *q = wide;
    return QK_OK;
}

static enum qk_code attend(struct qk_mixer_call *c, const struct qk_softmax_spec *s, const float *q, float *out,
                           struct qk_err *err)
{
    struct qk_attention_observer observer = {0};
    struct qk_attention attention = {
        .n_queries = c->place.n_tokens,
        .n_keys = c->state->n_keys,
        .first_query = c->place.first_position,
        .n_heads = s->n_heads,
        .n_kv_heads = s->n_kv_heads,
        .head_dim = key_width(s),
        .v_head_dim = s->v_head_dim,
        .window = s->window,
        .scale = s->scale,
        .softcap = s->softcap,
        .q = q,
        .k = c->state->k,
        .v = c->state->v,
        .out = out,
    };
    QK_TRY(qk_weights_tensor(c->weights, s->sinks, false, &attention.sinks, err));
    if (c->hooks->attention) {
        QK_TRY(c->hooks->attention(c->hooks->ctx, &c->place, &attention, &observer, err));
    }
    QK_TRY(qk_attention_run(&attention, observer.rows ? &observer : NULL, c->pool, err));
    return observer.rows && c->hooks->attention_done ? c->hooks->attention_done(c->hooks->ctx, &c->place, err) : QK_OK;
}

static enum qk_code run(struct qk_mixer_call *c, const struct qk_mixer_spec *spec, struct qk_err *err)
{
    const struct qk_softmax_spec *s = spec->softmax;
    size_t n = c->place.n_tokens;
    float *q = NULL, *out = NULL;
    QK_TRY(make_cache(c, s, err));
    float *cache = c->state->k + c->state->n_keys * s->n_kv_heads * key_width(s), *k = cache;
    float *v = c->state->v + c->state->n_keys * s->n_kv_heads * s->v_head_dim;
    QK_TRY(qk_scratch_take(c->scratch, n, s->n_heads * s->v_head_dim, &out, err));
    QK_TRY(qk_scratch_take(c->scratch, n, s->n_heads * s->head_dim, &q, err));
    if (s->alibi) {
        QK_TRY(qk_scratch_take(c->scratch, n, s->n_kv_heads * s->head_dim, &k, err));
    }
    size_t mark = c->scratch->n;
    QK_TRY(project(c, s, q, k, v, err));
    clip_all(c, s, q, k, v);
    c->scratch->n = mark;
    if (s->q_norm.kind != QK_NORM_NONE) {
        QK_TRY(qk_weights_norm(c->weights, &s->q_norm, n, q, q, err));
        QK_TRY(qk_weights_norm(c->weights, &s->k_norm, n, k, k, err));
    }
    QK_TRY(qk_mixer_rotate(c, s->position, s->n_heads, s->head_dim, q, err));
    QK_TRY(qk_mixer_rotate(c, s->position, s->n_kv_heads, s->head_dim, k, err));
    scale_queries(c, s, q);
    if (s->alibi) {
        QK_TRY(add_alibi(c, s, k, cache, &q, err));
    }
    c->state->n_keys += n;
    QK_TRY(attend(c, s, q, out, err));
    QK_TRY(qk_mixer_gate(c, &s->gate, s->n_heads, s->v_head_dim, out, err));
    return qk_weights_project(c->weights, &s->o, n, out, c->y, err);
}

static size_t floats_per_token(const struct qk_mixer_spec *spec)
{
    const struct qk_softmax_spec *s = spec->softmax;
    size_t cache = s->n_kv_heads * (s->head_dim + s->v_head_dim);
    size_t own = s->n_heads * (s->head_dim + s->v_head_dim);
    if (s->alibi) {
        cache += s->n_kv_heads;
        own += s->n_kv_heads * s->head_dim + s->n_heads * key_width(s);
    }
    size_t latent = s->latent ? s->latent->kv_inner.n_out + s->latent->q_inner.n_out + s->k.n_out : 0;
    return cache + own + (latent > s->gate.projection.n_out ? latent : s->gate.projection.n_out);
}

const struct qk_mixer qk_mixer_softmax = {.run = run, .floats_per_token = floats_per_token};
