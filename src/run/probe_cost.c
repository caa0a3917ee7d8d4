/* How much there is to compute in a probe: floating-point operations of the forward pass, for the plan that -v prints.
 * Matrix products and attention are counted, two per multiplication and addition; norms, activations and sums are not.
 */
#include "probe_cost.h"

static double elements(const struct qk_projection *p)
{
    return (double)p->n_out * (double)p->n_in;
}

static double of_mlp(const struct qk_mlp_spec *mlp)
{
    return mlp == NULL ? 0.0 : elements(&mlp->gate) + elements(&mlp->up) + elements(&mlp->down);
}

static double of_gate(const struct qk_gate_spec *gate)
{
    return elements(&gate->inner) + elements(&gate->projection);
}

static double of_softmax(const struct qk_softmax_spec *s)
{
    double latent = s->latent == NULL ? 0.0
                                      : elements(&s->latent->q_inner) + elements(&s->latent->kv_inner) +
                                            elements(&s->latent->k_shared);
    return latent + elements(&s->q) + elements(&s->k) + elements(&s->v) + elements(&s->o) + of_gate(&s->gate);
}

static double of_linear(const struct qk_linear_spec *s)
{
    double kernel = elements(&s->kernel_inner) + elements(&s->kernel);
    double decay = elements(&s->decay_inner) + elements(&s->decay) + elements(&s->beta);
    return kernel + decay + elements(&s->q) + elements(&s->k) + elements(&s->v) + elements(&s->o) + of_gate(&s->gate);
}

static double of_mamba1(const struct qk_mamba1_spec *s)
{
    return elements(&s->x) + elements(&s->z) + elements(&s->dt_inner) + elements(&s->b) + elements(&s->c) +
           elements(&s->dt) + elements(&s->o);
}

/* Products of a token with weights. */
static double of_mixer(const struct qk_mixer_spec *mixer)
{
    switch (mixer->kind) {
    case QK_MIXER_SOFTMAX:
        return of_softmax(mixer->softmax);
    case QK_MIXER_LINEAR:
        return of_linear(mixer->linear);
    case QK_MIXER_MAMBA1:
        return of_mamba1(mixer->mamba1);
    case QK_MIXER_SHORT_CONV:
        return elements(&mixer->short_conv->b) + elements(&mixer->short_conv->c) + elements(&mixer->short_conv->u) +
               elements(&mixer->short_conv->o);
    case QK_N_MIXER_KINDS:
        break;
    }
    return 0.0;
}

static double of_moe(const struct qk_moe_spec *moe)
{
    return moe == NULL || moe->n_experts == 0
               ? 0.0
               : elements(&moe->router) + (double)moe->top_k * of_mlp(&moe->experts[0]) + of_mlp(moe->shared);
}

/* Products of queries with keys and of weights with values, or with the recurrent state. */
static double between_tokens(const struct qk_mixer_spec *mixer, double n_tokens)
{
    if (mixer->kind == QK_MIXER_SOFTMAX) {
        const struct qk_softmax_spec *s = mixer->softmax;
        double window = s->window > 0 && (double)s->window < n_tokens ? (double)s->window : n_tokens;
        double pairs = window * (window + 1.0) / 2.0 + (n_tokens - window) * window;
        return pairs * (double)s->n_heads * (double)(s->head_dim + s->v_head_dim);
    }
    if (mixer->kind == QK_MIXER_LINEAR) {
        const struct qk_linear_spec *s = mixer->linear;
        return 2.0 * n_tokens * (double)s->n_heads * (double)s->d_k * (double)s->d_v;
    }
    return 0.0;
}

/* What the sampled queries of a linear layer cost: each goes back over all tokens before it. */
static double implied(const struct qk_mixer_spec *mixer, double n_tokens, double n_queries)
{
    if (mixer->kind != QK_MIXER_LINEAR) {
        return 0.0;
    }
    const struct qk_linear_spec *s = mixer->linear;
    double queries = n_queries < n_tokens ? n_queries : n_tokens;
    return (s->delta ? 2.0 : 1.0) * queries * n_tokens / 2.0 * (double)s->n_heads * (double)s->d_k;
}

double qk_probe_flops(const struct qk_forward_spec *spec, const struct qk_probe_options *options, size_t n_tokens)
{
    double n = (double)n_tokens, sum = n * elements(&spec->head);
    for (size_t l = 0; l < spec->n_layers; l++) {
        const struct qk_layer_spec *layer = &spec->layers[l];
        sum += n * (of_mlp(layer->mlp) + of_moe(layer->moe));
        for (size_t m = 0; m < layer->n_mixers; m++) {
            const struct qk_mixer_spec *mixer = &layer->mixers[m];
            bool probed = options->layers == NULL || options->layers[l];
            sum += n * of_mixer(mixer) + between_tokens(mixer, n);
            sum += probed ? implied(mixer, n, (double)options->n_linear_queries) : 0.0;
        }
    }
    return 2.0 * sum;
}
