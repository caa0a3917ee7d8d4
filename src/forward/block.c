/* One layer: norms, mixers, MLP and the residual stream between them (forward_spec.h has the formulas). */
#include <string.h>

#include "mlp.h"
#include "model_run.h"
#include "row_blocks.h"

enum { MLP_TOKENS = 1024 };

size_t qk_mlp_block(size_t n_tokens)
{
    return n_tokens < MLP_TOKENS ? n_tokens : MLP_TOKENS;
}

struct sum {
    size_t width;
    double alpha, beta;
    float *x;
    const float *y;
};

static void add_rows(const void *ctx, size_t first, size_t n_rows)
{
    const struct sum *s = ctx;
    size_t n = n_rows * s->width;
    float *x = s->x + first * s->width;
    const float *y = s->y + first * s->width;
    if (s->alpha == 1 && s->beta == 1) {
        for (size_t i = 0; i < n; i++) {
            x[i] += y[i];
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)s->alpha * x[i] + (float)s->beta * y[i];
    }
}

/* x := alpha · x + beta · y, both (n_tokens, hidden). */
static enum qk_code add(const struct qk_runner *r, size_t n_tokens, double alpha, float *x, double beta, const float *y,
                        struct qk_err *err)
{
    struct sum sum = {r->spec->hidden, alpha, beta, x, y};
    return qk_row_blocks(r->pool, n_tokens, sum.width, add_rows, &sum, err);
}

static void scale(size_t n, double factor, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] * (float)factor;
    }
}

/* All mixers of the layer on the normalised input; y := their sum. */
static enum qk_code run_mixers(struct qk_runner *r, const struct qk_forward_hooks *hooks,
                               const struct qk_forward_place *place, struct qk_mixer_state *states, const float *x,
                               float *y, struct qk_err *err)
{
    const struct qk_layer_spec *l = &r->spec->layers[place->layer];
    size_t n = place->n_tokens * r->spec->hidden, mark = r->scratch.n;
    for (size_t i = 0; i < l->n_mixers; i++) {
        const struct qk_mixer_spec *spec = &l->mixers[i];
        struct qk_mixer_call call = {
            .weights = &r->weights,
            .pool = r->pool,
            .scratch = &r->scratch,
            .hooks = hooks,
            .place = *place,
            .state = &states[i],
            .hidden = r->spec->hidden,
            .x = x,
            .y = y,
        };
        float *in = NULL, *out = NULL;
        if (spec->in_multiplier != 0 && spec->in_multiplier != 1) {
            QK_TRY(qk_scratch_take(&r->scratch, place->n_tokens, r->spec->hidden, &in, err));
            scale(n, spec->in_multiplier, x, in);
            call.x = in;
        }
        if (i > 0) {
            QK_TRY(qk_scratch_take(&r->scratch, place->n_tokens, r->spec->hidden, &out, err));
            call.y = out;
        }
        QK_TRY(qk_mixer_of(spec->kind)->run(&call, spec, err));
        if (spec->out_multiplier != 0 && spec->out_multiplier != 1) {
            scale(n, spec->out_multiplier, call.y, call.y);
        }
        if (i > 0) {
            QK_TRY(add(r, place->n_tokens, 1, y, 1, out, err));
        }
        r->scratch.n = mark;
    }
    return QK_OK;
}

/* A norm that is absent has no width of its own: it copies rows of the model's. */
static enum qk_code norm_rows(struct qk_runner *r, const struct qk_norm_spec *norm, size_t n_tokens, const float *x,
                              float *y, struct qk_err *err)
{
    struct qk_norm_spec whole = *norm;
    whole.n = r->spec->hidden;
    return qk_weights_norm(&r->weights, &whole, n_tokens, x, y, err);
}

/* y := mlp(norm(x)) in blocks of tokens; where the residual starts behind the norm, x := norm(x). */
static enum qk_code run_mlp(struct qk_runner *r, const struct qk_layer_spec *l, size_t n_tokens, float *x, float *y,
                            struct qk_err *err)
{
    size_t d = r->spec->hidden, mark = r->scratch.n, block = qk_mlp_block(n_tokens);
    float *in = NULL;
    QK_TRY(qk_scratch_take(&r->scratch, block, d, &in, err));
    for (size_t t = 0; t < n_tokens; t += block) {
        size_t n = n_tokens - t < block ? n_tokens - t : block;
        QK_TRY(norm_rows(r, &l->mlp_norm, n, x + t * d, in, err));
        if (l->residual_after_norm) {
            memcpy(x + t * d, in, n * d * sizeof *x);
        }
        QK_TRY(l->moe ? qk_moe_run(&r->weights, &r->scratch, l->moe, n, in, y + t * d, err)
                      : qk_mlp_run(&r->weights, &r->scratch, l->mlp, n, in, y + t * d, err));
    }
    r->scratch.n = mark;
    return QK_OK;
}

enum qk_code qk_layer_run(struct qk_runner *r, const struct qk_forward_hooks *hooks,
                          const struct qk_forward_place *place, struct qk_mixer_state *states, float *x,
                          struct qk_err *err)
{
    const struct qk_layer_spec *l = &r->spec->layers[place->layer];
    size_t t = place->n_tokens, d = r->spec->hidden, n = t * d;
    float *in = NULL, *mixed = NULL, *fed = NULL;
    r->scratch.n = 0;
    QK_TRY(qk_scratch_take(&r->scratch, t, d, &in, err));
    QK_TRY(qk_scratch_take(&r->scratch, t, d, &mixed, err));
    if (l->n_mixers > 0) {
        QK_TRY(norm_rows(r, &l->mixer_norm, t, x, in, err));
        QK_TRY(run_mixers(r, hooks, place, states, in, mixed, err));
        QK_TRY(norm_rows(r, &l->after_mixer_norm, t, mixed, mixed, err));
        if (l->residual_after_norm) {
            memcpy(x, in, n * sizeof *x);
        }
    }
    fed = in; /* the mixers are done with their input */
    if (l->n_mixers > 0 && !l->parallel) {
        QK_TRY(add(r, t, l->mixer_alpha, x, l->mixer_beta, mixed, err));
    }
    if (l->mlp || l->moe) {
        QK_TRY(run_mlp(r, l, t, x, fed, err));
        QK_TRY(norm_rows(r, &l->after_mlp_norm, t, fed, fed, err));
        QK_TRY(add(r, t, l->mlp_alpha, x, l->mlp_beta, fed, err));
    }
    if (l->parallel) {
        QK_TRY(add(r, t, 1, x, 1, mixed, err));
    }
    return QK_OK;
}

void qk_layer_floats(const struct qk_forward_spec *spec, size_t layer, size_t *ret_per_token, size_t *ret_per_block)
{
    const struct qk_layer_spec *l = &spec->layers[layer];
    size_t most = 0;
    for (size_t i = 0; i < l->n_mixers; i++) {
        size_t n = qk_mixer_of(l->mixers[i].kind)->floats_per_token(&l->mixers[i]) + (i > 0 ? 2 : 0) * spec->hidden;
        most = n > most ? n : most;
    }
    *ret_per_token = most + 2 * spec->hidden;
    *ret_per_block = spec->hidden + (l->moe ? qk_moe_floats(l->moe) : l->mlp ? qk_mlp_floats(l->mlp) : 0);
}
