/* Gated short convolution (LFM2): y = o( c(x) ⊙ conv( b(x) ⊙ u(x) ) ). */
#include "mixer.h"

static void multiply(size_t n, float *x, const float *y)
{
    for (size_t i = 0; i < n; i++) {
        x[i] *= y[i];
    }
}

static enum qk_code run(struct qk_mixer_call *c, const struct qk_mixer_spec *spec, struct qk_err *err)
{
    const struct qk_short_conv_spec *s = spec->short_conv;
    size_t n = c->place.n_tokens * s->u.n_out;
    float *b = NULL, *gate = NULL, *u = NULL;
    QK_TRY(qk_mixer_project(c, &s->b, c->x, &b, err));
    QK_TRY(qk_mixer_project(c, &s->c, c->x, &gate, err));
    QK_TRY(qk_mixer_project(c, &s->u, c->x, &u, err));
    multiply(n, u, b);
    QK_TRY(qk_mixer_conv(c, &s->conv, s->u.n_out, 0, u, &u, err));
    multiply(n, u, gate);
    return qk_weights_project(c->weights, &s->o, c->place.n_tokens, u, c->y, err);
}

static size_t floats_per_token(const struct qk_mixer_spec *spec)
{
    return 4 * spec->short_conv->u.n_out;
}

const struct qk_mixer qk_mixer_short_conv = {.run = run, .floats_per_token = floats_per_token};
