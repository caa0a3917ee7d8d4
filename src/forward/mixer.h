/* What a token mixer is called with, and the state that it carries from call to call. */
#ifndef QK_FORWARD_MIXER_H
#define QK_FORWARD_MIXER_H

#include "forward/kernels.h"
#include "forward/runner.h"
#include "scratch.h"
#include "weights.h"

enum { QK_STATE_CONVS = 4 };

/* Of one mixer of one sequence. Starts as {0} with capacity set; buffers are made by the mixer on first use. */
struct qk_mixer_state {
    size_t capacity; /* tokens that keys and values have room for */
    size_t n_keys;
    float *k, *v;
    size_t n_recurrent; /* floats of it, 0 before the first use */
    float *recurrent;
    size_t n_convs[QK_STATE_CONVS];
    float *convs[QK_STATE_CONVS];
};
void qk_mixer_state_release(struct qk_mixer_state *state);
/* rows × cols zeroed floats at *slot unless it is there already; ret_n (may be NULL) receives their number. */
enum qk_code qk_mixer_state_floats(float **slot, size_t rows, size_t cols, size_t *ret_n,
                                   struct qk_err *err) QK_CHECKED;
/* What does not grow with the tokens (recurrent, convs) and n_keys are copied into an empty state: all that it takes to
 * come back to where from is now, as keys and values of earlier positions stay as they are. */
enum qk_code qk_mixer_state_keep(const struct qk_mixer_state *from, struct qk_mixer_state *ret,
                                 struct qk_err *err) QK_CHECKED;
/* Takes state back to where it was when kept was made of it. */
void qk_mixer_state_return(struct qk_mixer_state *state, const struct qk_mixer_state *kept);

struct qk_mixer_call {
    struct qk_weights *weights;
    struct qk_pool *pool;
    struct qk_scratch *scratch;
    const struct qk_forward_hooks *hooks; /* NULL members for what is not observed here; never NULL */
    struct qk_forward_place place;
    struct qk_mixer_state *state;
    size_t hidden;
    const float *x; /* (n_tokens, hidden), normalised */
    float *y;       /* (n_tokens, hidden), written */
};

struct qk_mixer {
    enum qk_code (*run)(struct qk_mixer_call *call, const struct qk_mixer_spec *spec, struct qk_err *err);
    /* Floats of scratch and state per token. */
    size_t (*floats_per_token)(const struct qk_mixer_spec *spec);
};
const struct qk_mixer *qk_mixer_of(enum qk_mixer_kind kind);

extern const struct qk_mixer qk_mixer_softmax, qk_mixer_linear, qk_mixer_mamba1, qk_mixer_short_conv;

enum qk_activation qk_activation_of(enum qk_function function);
static inline bool qk_has(const struct qk_projection *p)
{
    return p->n_blocks > 0;
}
/* Projection into fresh scratch. */
enum qk_code qk_mixer_project(struct qk_mixer_call *call, const struct qk_projection *p, const float *x, float **ret,
                              struct qk_err *err) QK_CHECKED;
/* o ⊙ function(gate(x)) in place, o (n_tokens, n_heads · dim). No-op without gate. */
enum qk_code qk_mixer_gate(struct qk_mixer_call *call, const struct qk_gate_spec *gate, size_t n_heads, size_t dim,
                           float *o, struct qk_err *err) QK_CHECKED;
/* Rotary embedding of n_heads heads where position is rotary. Scalings that look at the text's length take that which
 * the state has room for. */
enum qk_code qk_mixer_rotate(const struct qk_mixer_call *call, const struct qk_position *position, size_t n_heads,
                             size_t head_dim, float *x, struct qk_err *err) QK_CHECKED;
/* x through a convolution, into fresh scratch; x itself when there is none. */
enum qk_code qk_mixer_conv(struct qk_mixer_call *call, const struct qk_conv_spec *conv, size_t n_channels, size_t slot,
                           float *x, float **ret, struct qk_err *err) QK_CHECKED;
/* Every head n / (n_to / n_from) of x (n_tokens, n_from, dim) repeated; x itself when nothing is to repeat. */
enum qk_code qk_mixer_repeat(struct qk_mixer_call *call, size_t n_from, size_t n_to, size_t dim, float *x, float **ret,
                             struct qk_err *err) QK_CHECKED;

#endif
