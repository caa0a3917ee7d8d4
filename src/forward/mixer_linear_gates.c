/* What a linear mixer forgets and how much it writes: log decay, β and Δ from the input. */
#include <math.h>

#include "mixer_linear.h"

static double softplus(double x)
{
    return x > 20 ? x : log1p(exp(x));
}

/* Δ = softplus(decay(x) + dt_bias), clamped; in place of the projection. */
static void make_dt(const struct qk_linear_spec *s, size_t n_tokens, const float *dt_bias, float *x)
{
    size_t width = s->decay.n_out;
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t i = 0; i < width; i++) {
            double dt = softplus((double)x[t * width + i] + (dt_bias ? (double)dt_bias[i] : 0));
            dt = dt < s->dt_min ? s->dt_min : dt;
            x[t * width + i] = (float)(s->dt_max > 0 && dt > s->dt_max ? s->dt_max : dt);
        }
    }
}

enum qk_code qk_linear_gates(struct qk_mixer_call *c, const struct qk_linear_spec *s, struct qk_linear_inputs *ret,
                             struct qk_err *err)
{
    size_t n = c->place.n_tokens;
    if (qk_has(&s->beta)) {
        QK_TRY(qk_mixer_project(c, &s->beta, c->x, &ret->beta, err));
        qk_activate(QK_ACT_SIGMOID, n * s->n_heads, ret->beta);
        for (size_t i = 0; s->beta_factor != 1 && i < n * s->n_heads; i++) {
            ret->beta[i] *= (float)s->beta_factor;
        }
    }
    if (s->slope) {
        return QK_OK;
    }
    const float *x = c->x, *a_log = NULL, *dt_bias = NULL;
    float *inner = NULL, *dt = NULL, *g = NULL;
    QK_TRY(qk_weights_vector(c->weights, &s->a_log, false, &a_log, err));
    QK_TRY(qk_weights_vector(c->weights, &s->dt_bias, false, &dt_bias, err));
    if (qk_has(&s->decay_inner)) {
        QK_TRY(qk_mixer_project(c, &s->decay_inner, c->x, &inner, err));
        x = inner;
    }
    QK_TRY(qk_mixer_project(c, &s->decay, x, &dt, err));
    make_dt(s, n, dt_bias, dt);
    size_t width = s->decay.n_out, per_head = width / s->n_heads;
    QK_TRY(qk_scratch_take(c->scratch, n, width, &g, err));
    for (size_t i = 0; i < n * width; i++) {
        g[i] = (float)(-exp((double)a_log[i % width / per_head]) * (double)dt[i]);
    }
    ret->g = g;
    ret->dt = s->v_times_dt ? dt : NULL;
    return QK_OK;
}
