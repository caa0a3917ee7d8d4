/* Mamba 1: Δ, B and C from the convolved channels, selective scan, gate (Gu & Dao 2023, arXiv:2312.00752; Jamba's norms
 * of Δ, B and C). */
#include <math.h>

#include "base/alloc.h"
#include "mixer.h"

static enum qk_code scan(struct qk_mixer_call *c, const struct qk_mamba1_spec *s, const float *x, const float *dt,
                         const float *b, const float *cc, float *y, struct qk_err *err)
{
    const float *a_log = NULL, *skip = NULL;
    size_t n = s->d_inner * s->d_state;
    QK_TRY(qk_weights_vector(c->weights, &s->a_log, false, &a_log, err));
    QK_TRY(qk_weights_vector(c->weights, &s->skip, false, &skip, err));
    QK_TRY(qk_mixer_state_floats(&c->state->recurrent, s->d_inner, s->d_state, &c->state->n_recurrent, err));
    double *a = qk_alloc_aligned(n, sizeof *a);
    if (!a) {
        return qk_fail_nomem(err, "selective scan");
    }
    for (size_t i = 0; i < n; i++) {
        a[i] = -exp((double)a_log[i]);
    }
    enum qk_code code = qk_selective_scan(c->place.n_tokens, s->d_inner, s->d_state, x, dt, a, b, cc, skip,
                                          c->state->recurrent, y, c->pool, err);
    qk_free(a);
    return code;
}

static enum qk_code normed(struct qk_mixer_call *c, const struct qk_projection *p, const struct qk_norm_spec *norm,
                           const float *x, float **ret, struct qk_err *err)
{
    QK_TRY(qk_mixer_project(c, p, x, ret, err));
    return norm->kind != QK_NORM_NONE ? qk_weights_norm(c->weights, norm, c->place.n_tokens, *ret, *ret, err) : QK_OK;
}

static enum qk_code run(struct qk_mixer_call *c, const struct qk_mixer_spec *spec, struct qk_err *err)
{
    const struct qk_mamba1_spec *s = spec->mamba1;
    size_t n = c->place.n_tokens;
    float *x = NULL, *z = NULL, *low = NULL, *dt = NULL, *b = NULL, *cc = NULL, *y = NULL;
    QK_TRY(qk_mixer_project(c, &s->x, c->x, &x, err));
    QK_TRY(qk_mixer_conv(c, &s->conv, s->d_inner, 0, x, &x, err));
    QK_TRY(normed(c, &s->dt_inner, &s->dt_norm, x, &low, err));
    QK_TRY(normed(c, &s->b, &s->b_norm, x, &b, err));
    QK_TRY(normed(c, &s->c, &s->c_norm, x, &cc, err));
    QK_TRY(qk_mixer_project(c, &s->dt, low, &dt, err));
    for (size_t i = 0; i < n * s->d_inner; i++) {
        dt[i] = dt[i] > 20 ? dt[i] : (float)log1p(exp((double)dt[i]));
    }
    QK_TRY(qk_scratch_take(c->scratch, n, s->d_inner, &y, err));
    QK_TRY(scan(c, s, x, dt, b, cc, y, err));
    QK_TRY(qk_mixer_project(c, &s->z, c->x, &z, err));
    qk_activate_mul(QK_ACT_SILU, n * s->d_inner, z, y);
    return qk_weights_project(c->weights, &s->o, n, z, c->y, err);
}

static size_t floats_per_token(const struct qk_mixer_spec *spec)
{
    const struct qk_mamba1_spec *s = spec->mamba1;
    return 5 * s->d_inner + s->dt_rank + 2 * s->d_state;
}

const struct qk_mixer qk_mixer_mamba1 = {.run = run, .floats_per_token = floats_per_token};
