/* Linear attention of a layer in all its kinds: what differs is in the spec (forward_spec.h), the recurrences are
 * gated_linear.c and gated_delta.c. */
#include "mixer_linear.h"

#include <string.h>

/* One of q, k, v: projected and convolved. */
static enum qk_code convolved(struct qk_mixer_call *c, const struct qk_projection *p, const struct qk_conv_spec *conv,
                              size_t slot, enum qk_function function, float **ret, struct qk_err *err)
{
    float *x = NULL;
    QK_TRY(qk_mixer_project(c, p, c->x, &x, err));
    QK_TRY(qk_mixer_conv(c, conv, p->n_out, slot, x, &x, err));
    if (function != QK_FUNCTION_NONE) {
        qk_activate(qk_activation_of(function), c->place.n_tokens * p->n_out, x);
    }
    *ret = x;
    return QK_OK;
}

/* v through kernels of each token's own; a block of tokens at a time, since kernels are width times as large as v. */
static enum qk_code dynamic_conv(struct qk_mixer_call *c, const struct qk_linear_spec *s, float *v, float **ret,
                                 struct qk_err *err)
{
    enum { BLOCK = 256 };
    size_t n = c->place.n_tokens, channels = s->v.n_out, block = n < BLOCK ? n : BLOCK;
    float *y = NULL, *inner = NULL, *kernels = NULL;
    QK_TRY(qk_mixer_state_floats(&c->state->convs[3], channels, s->kernel_width - 1, &c->state->n_convs[3], err));
    QK_TRY(qk_scratch_take(c->scratch, n, channels, &y, err));
    size_t mark = c->scratch->n;
    QK_TRY(qk_scratch_take(c->scratch, block, s->kernel_inner.n_out, &inner, err));
    QK_TRY(qk_scratch_take(c->scratch, block, s->kernel.n_out, &kernels, err));
    for (size_t t = 0; t < n; t += block) {
        size_t m = n - t < block ? n - t : block;
        QK_TRY(qk_weights_project(c->weights, &s->kernel_inner, m, c->x + t * c->hidden, inner, err));
        qk_activate(QK_ACT_SILU, m * s->kernel_inner.n_out, inner);
        QK_TRY(qk_weights_project(c->weights, &s->kernel, m, inner, kernels, err));
        qk_dynamic_conv(m, channels, s->kernel_width, v + t * channels, kernels, 1, c->state->convs[3],
                        y + t * channels);
    }
    c->scratch->n = mark;
    *ret = y;
    return QK_OK;
}

enum qk_code qk_linear_qkv(struct qk_mixer_call *c, const struct qk_linear_spec *s, struct qk_linear_inputs *ret,
                           struct qk_err *err)
{
    float *q = NULL, *k = NULL, *v = NULL;
    size_t n = c->place.n_tokens;
    QK_TRY(convolved(c, &s->q, &s->q_conv, 0, s->q_function, &q, err));
    QK_TRY(convolved(c, &s->k, &s->k_conv, 1, s->k_function, &k, err));
    QK_TRY(convolved(c, &s->v, &s->v_conv, 2, s->v_function, &v, err));
    if (qk_has(&s->kernel)) {
        QK_TRY(dynamic_conv(c, s, v, &v, err));
    }
    if (s->q_norm.kind != QK_NORM_NONE) {
        QK_TRY(qk_weights_norm(c->weights, &s->q_norm, n, q, q, err));
        QK_TRY(qk_weights_norm(c->weights, &s->k_norm, n, k, k, err));
    }
    if (s->l2_eps > 0) {
        qk_l2_norm(n, s->n_qk_heads * s->d_k, s->d_k, q, s->l2_eps);
        qk_l2_norm(n, s->n_k_heads * s->d_k, s->d_k, k, s->l2_eps);
    }
    QK_TRY(qk_mixer_rotate(c, s->position, s->n_qk_heads, s->d_k, q, err));
    QK_TRY(qk_mixer_rotate(c, s->position, s->n_k_heads, s->d_k, k, err));
    QK_TRY(qk_mixer_repeat(c, s->n_k_heads, s->n_qk_heads, s->d_k, k, &ret->k, err));
    QK_TRY(qk_mixer_repeat(c, s->n_v_heads, s->n_heads, s->d_v, v, &ret->v, err));
    ret->q = q;
    return QK_OK;
}

/* x (n_tokens, n_heads, dim) times a value per token and head, into fresh scratch. */
static enum qk_code times_dt(struct qk_mixer_call *c, const struct qk_linear_spec *s, const float *v, const float *dt,
                             float **ret, struct qk_err *err)
{
    float *y = NULL;
    QK_TRY(qk_scratch_take(c->scratch, c->place.n_tokens, s->n_heads * s->d_v, &y, err));
    for (size_t i = 0; i < c->place.n_tokens * s->n_heads; i++) {
        for (size_t j = 0; j < s->d_v; j++) {
            y[i * s->d_v + j] = v[i * s->d_v + j] * dt[i];
        }
    }
    *ret = y;
    return QK_OK;
}

static enum qk_code mix(struct qk_mixer_call *c, const struct qk_linear_spec *s, const struct qk_linear_inputs *in,
                        float *out, struct qk_err *err)
{
    float *v = in->v;
    QK_TRY(qk_mixer_state_floats(&c->state->recurrent, s->n_heads * s->d_k, s->d_v, &c->state->n_recurrent, err));
    if (in->dt) {
        QK_TRY(times_dt(c, s, in->v, in->dt, &v, err));
    }
    struct qk_linear_mixer mixer = {
        .n_tokens = c->place.n_tokens,
        .n_heads = s->n_heads,
        .d_k = s->d_k,
        .d_v = s->d_v,
        .n_qk_heads = s->n_qk_heads,
        .scale = s->scale,
        .q = in->q,
        .k = in->k,
        .v = v,
        .g = in->g,
        .g_per_key = s->decay_per_key,
        .slope = s->slope,
        .beta = in->beta,
        .state = c->state->recurrent,
        .out = out,
    };
    QK_TRY(s->delta ? qk_gated_delta_run(&mixer, c->pool, err) : qk_gated_linear_run(&mixer, c->pool, err));
    struct qk_linear_view view = {.mixer = &mixer, .value_scale = in->dt};
    return c->hooks->linear ? c->hooks->linear(c->hooks->ctx, &c->place, &view, err) : QK_OK;
}

static enum qk_code add_skip(struct qk_mixer_call *c, const struct qk_linear_spec *s, const float *v, float *out,
                             struct qk_err *err)
{
    const float *d = NULL;
    QK_TRY(qk_weights_vector(c->weights, &s->skip, false, &d, err));
    for (size_t i = 0; d && i < c->place.n_tokens * s->n_heads; i++) {
        for (size_t j = 0; j < s->d_v; j++) {
            out[i * s->d_v + j] += d[i % s->n_heads] * v[i * s->d_v + j];
        }
    }
    return QK_OK;
}

static enum qk_code run(struct qk_mixer_call *c, const struct qk_mixer_spec *spec, struct qk_err *err)
{
    const struct qk_linear_spec *s = spec->linear;
    struct qk_linear_inputs in = {0};
    float *out = NULL;
    size_t n = c->place.n_tokens;
    QK_TRY(qk_scratch_take(c->scratch, n, s->n_heads * s->d_v, &out, err));
    QK_TRY(qk_linear_qkv(c, s, &in, err));
    QK_TRY(qk_linear_gates(c, s, &in, err));
    QK_TRY(mix(c, s, &in, out, err));
    QK_TRY(add_skip(c, s, in.v, out, err));
    if (s->gate.before_norm) {
        QK_TRY(qk_mixer_gate(c, &s->gate, s->n_heads, s->d_v, out, err));
    }
    if (s->out_norm.kind != QK_NORM_NONE) {
        QK_TRY(qk_weights_norm(c->weights, &s->out_norm, n, out, out, err));
    }
    if (!s->gate.before_norm) {
        QK_TRY(qk_mixer_gate(c, &s->gate, s->n_heads, s->d_v, out, err));
    }
    return qk_weights_project(c->weights, &s->o, n, out, c->y, err);
}

static size_t floats_per_token(const struct qk_mixer_spec *spec)
{
    const struct qk_linear_spec *s = spec->linear;
    size_t qk = (s->n_qk_heads + s->n_k_heads) * s->d_k, v = s->n_v_heads * s->d_v, all = s->n_heads * s->d_v;
    size_t total = all + qk + v + s->gate.projection.n_out + 2 * s->decay.n_out + s->beta.n_out;
    total += s->q_conv.n_blocks ? qk + v : 0;
    total += qk_has(&s->kernel) ? v : 0;
    total += s->n_k_heads != s->n_qk_heads ? s->n_qk_heads * s->d_k : 0;
    total += s->n_v_heads != s->n_heads ? all : 0;
    return total + (s->v_times_dt ? all : 0);
}

const struct qk_mixer qk_mixer_linear = {.run = run, .floats_per_token = floats_per_token};
