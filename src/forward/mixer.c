/* Pieces that all token mixers use. */
#include "mixer.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "row_blocks.h"

void qk_mixer_state_release(struct qk_mixer_state *s)
{
    qk_free(s->k);
    qk_free(s->v);
    qk_free(s->recurrent);
    for (size_t i = 0; i < QK_STATE_CONVS; i++) {
        qk_free(s->convs[i]);
    }
    *s = (struct qk_mixer_state){0};
}

enum qk_code qk_mixer_state_floats(float **slot, size_t rows, size_t cols, size_t *ret_n, struct qk_err *err)
{
    size_t n = 0;
    if (*slot) {
        return QK_OK;
    }
    if (!qk_size_mul(rows, cols, &n)) {
        return qk_fail_nomem(err, "state");
    }
    *slot = qk_calloc(n > 0 ? n : 1, sizeof **slot);
    if (!*slot) {
        return qk_fail_nomem(err, "state");
    }
    if (ret_n) {
        *ret_n = n;
    }
    return QK_OK;
}

static enum qk_code keep_floats(const float *from, size_t n, float **slot, size_t *ret_n, struct qk_err *err)
{
    if (!from) {
        return QK_OK;
    }
    QK_TRY(qk_mixer_state_floats(slot, n, 1, ret_n, err));
    memcpy(*slot, from, n * sizeof *from);
    return QK_OK;
}

enum qk_code qk_mixer_state_keep(const struct qk_mixer_state *from, struct qk_mixer_state *ret, struct qk_err *err)
{
    ret->n_keys = from->n_keys;
    QK_TRY(keep_floats(from->recurrent, from->n_recurrent, &ret->recurrent, &ret->n_recurrent, err));
    for (size_t i = 0; i < QK_STATE_CONVS; i++) {
        QK_TRY(keep_floats(from->convs[i], from->n_convs[i], &ret->convs[i], &ret->n_convs[i], err));
    }
    return QK_OK;
}

/* A buffer that was not there yet was zero. */
static void return_floats(float *to, size_t n, const float *kept)
{
    if (to && kept) {
        memcpy(to, kept, n * sizeof *to);
    } else if (to) {
        memset(to, 0, n * sizeof *to);
    }
}

void qk_mixer_state_return(struct qk_mixer_state *s, const struct qk_mixer_state *kept)
{
    s->n_keys = kept->n_keys;
    return_floats(s->recurrent, s->n_recurrent, kept->recurrent);
    for (size_t i = 0; i < QK_STATE_CONVS; i++) {
        return_floats(s->convs[i], s->n_convs[i], kept->convs[i]);
    }
}

enum qk_activation qk_activation_of(enum qk_function function)
{
    static const enum qk_activation of[QK_N_FUNCTIONS] = {
        [QK_FUNCTION_NONE] = QK_ACT_NONE,       [QK_FUNCTION_SILU] = QK_ACT_SILU,
        [QK_FUNCTION_GELU] = QK_ACT_GELU,       [QK_FUNCTION_GELU_TANH] = QK_ACT_GELU_TANH,
        [QK_FUNCTION_SIGMOID] = QK_ACT_SIGMOID, [QK_FUNCTION_RELU] = QK_ACT_RELU,
        [QK_FUNCTION_RELU2] = QK_ACT_RELU2,
    };
    return of[function];
}

enum qk_code qk_mixer_project(struct qk_mixer_call *c, const struct qk_projection *p, const float *x, float **ret,
                              struct qk_err *err)
{
    float *y = NULL;
    QK_TRY(qk_scratch_take(c->scratch, c->place.n_tokens, p->n_out, &y, err));
    QK_TRY(qk_weights_project(c->weights, p, c->place.n_tokens, x, y, err));
    *ret = y;
    return QK_OK;
}

struct gated {
    enum qk_activation act;
    size_t width;
    float *gate, *o; /* the gate is overwritten */
};

static void gate_rows(const void *ctx, size_t first, size_t n)
{
    const struct gated *g = ctx;
    size_t at = first * g->width, size = n * g->width;
    qk_activate_mul(g->act, size, g->gate + at, g->o + at);
    memcpy(g->o + at, g->gate + at, size * sizeof *g->o);
}

enum qk_code qk_mixer_gate(struct qk_mixer_call *c, const struct qk_gate_spec *gate, size_t n_heads, size_t dim,
                           float *o, struct qk_err *err)
{
    const float *x = c->x;
    float *g = NULL;
    size_t mark = c->scratch->n, n = c->place.n_tokens * n_heads;
    if (!qk_has(&gate->projection)) {
        return QK_OK;
    }
    if (qk_has(&gate->inner)) {
        QK_TRY(qk_mixer_project(c, &gate->inner, x, &g, err));
        x = g;
    }
    QK_TRY(qk_mixer_project(c, &gate->projection, x, &g, err));
    if (gate->per_head) {
        qk_activate(qk_activation_of(gate->function), n, g);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < dim; j++) {
                o[i * dim + j] *= g[i];
            }
        }
    } else {
        struct gated gated = {qk_activation_of(gate->function), n_heads * dim, g, o};
        QK_TRY(qk_row_blocks(c->pool, c->place.n_tokens, gated.width, gate_rows, &gated, err));
    }
    c->scratch->n = mark;
    return QK_OK;
}

/* Frequencies of a base that grows with the text: θ · s^(d/(d−2)), s = factor · length / n_near − (factor − 1). */
static void raise_base(const struct qk_position *p, size_t length, double *dst)
{
    double s = p->dynamic_factor * (double)length / (double)p->n_near - (p->dynamic_factor - 1);
    for (size_t i = 0; i < p->rotary_dim / 2; i++) {
        dst[i] = p->inv_freq[i] * pow(s, -2.0 * (double)i / ((double)p->rotary_dim - 2));
    }
}

struct rotation {
    const struct qk_position *position;
    size_t n_heads, head_dim, first_position;
    const double *freq;
    float *x;
};

static void rotate_rows(const void *ctx, size_t first, size_t n)
{
    const struct rotation *r = ctx;
    const struct qk_position *p = r->position;
    qk_rope(n, r->n_heads, r->head_dim, p->first, p->rotary_dim / 2, r->freq, p->attention_factor, p->interleaved,
            r->first_position + first, r->x + first * r->n_heads * r->head_dim);
}

enum qk_code qk_mixer_rotate(const struct qk_mixer_call *c, const struct qk_position *p, size_t n_heads,
                             size_t head_dim, float *x, struct qk_err *err)
{
    size_t length = c->state->capacity;
    if (!p || p->kind != QK_POSITION_ROPE) {
        return QK_OK;
    }
    const double *freq = p->near_freq && length <= p->n_near ? p->near_freq : p->inv_freq;
    double *raised = NULL;
    if (p->dynamic_factor > 0 && length > p->n_near) {
        raised = qk_alloc_aligned(p->rotary_dim / 2, sizeof *raised);
        if (!raised) {
            return qk_fail_nomem(err, "rotary frequencies");
        }
        raise_base(p, length, raised);
        freq = raised;
    }
    struct rotation rotation = {p, n_heads, head_dim, c->place.first_position, freq, x};
    enum qk_code code = qk_row_blocks(c->pool, c->place.n_tokens, n_heads * head_dim, rotate_rows, &rotation, err);
    qk_free(raised);
    return code;
}

enum qk_code qk_mixer_conv(struct qk_mixer_call *c, const struct qk_conv_spec *conv, size_t n_channels, size_t slot,
                           float *x, float **ret, struct qk_err *err)
{
    const float *weight = NULL, *bias = NULL;
    float *y = NULL;
    if (conv->n_blocks == 0) {
        *ret = x;
        return QK_OK;
    }
    QK_TRY(qk_weights_blocks(c->weights, conv->weight, conv->n_blocks, &weight, err));
    QK_TRY(qk_weights_vector(c->weights, &conv->bias, false, &bias, err));
    QK_TRY(qk_mixer_state_floats(&c->state->convs[slot], n_channels, conv->width - 1, &c->state->n_convs[slot], err));
    QK_TRY(qk_scratch_take(c->scratch, c->place.n_tokens, n_channels, &y, err));
    bool silu = conv->function == QK_FUNCTION_SILU; /* inside the kernel */
    qk_short_conv(c->place.n_tokens, n_channels, conv->width, x, weight, bias, silu, c->state->convs[slot], y);
    if (!silu) {
        qk_activate(qk_activation_of(conv->function), c->place.n_tokens * n_channels, y);
    }
    *ret = y;
    return QK_OK;
}

enum qk_code qk_mixer_repeat(struct qk_mixer_call *c, size_t n_from, size_t n_to, size_t dim, float *x, float **ret,
                             struct qk_err *err)
{
    float *y = NULL;
    if (n_from == n_to) {
        *ret = x;
        return QK_OK;
    }
    QK_TRY(qk_scratch_take(c->scratch, c->place.n_tokens, n_to * dim, &y, err));
    for (size_t t = 0; t < c->place.n_tokens; t++) {
        for (size_t h = 0; h < n_to; h++) {
            memcpy(y + (t * n_to + h) * dim, x + (t * n_from + h / (n_to / n_from)) * dim, dim * sizeof *y);
        }
    }
    *ret = y;
    return QK_OK;
}

const struct qk_mixer *qk_mixer_of(enum qk_mixer_kind kind)
{
    static const struct qk_mixer *const table[QK_N_MIXER_KINDS] = {
        [QK_MIXER_SOFTMAX] = &qk_mixer_softmax,
        [QK_MIXER_LINEAR] = &qk_mixer_linear,
        [QK_MIXER_MAMBA1] = &qk_mixer_mamba1,
        [QK_MIXER_SHORT_CONV] = &qk_mixer_short_conv,
    };
    return table[kind];
}
