/* What families fill a struct qk_forward_spec with. Names are those after "<prefix><layer>.", without ".weight"; a
 * module's ".bias" is taken along where it is stored. The builder is that of builder.h, its layers already built:
 * b->model->layers tells Q, K, norms of q and k, windows and positions. */
#ifndef QK_MODEL_FORWARD_BUILDER_H
#define QK_MODEL_FORWARD_BUILDER_H

#include "model/builder.h"
#include "model/forward_spec.h"

/* How a family's blocks look. NULL names are the usual ones; "" means that there is none. */
struct qk_block_names {
    enum qk_norm_kind norm; /* QK_NORM_NONE means RMS */
    bool plus_one;
    bool bare_norms;              /* none of the norms has weights */
    const char *eps_key;          /* NULL = "rms_norm_eps|layer_norm_eps|norm_eps"; "" = not in the config */
    double eps;                   /* default; 0 = 1e-6 */
    const char *mixer_norm;       /* "input_layernorm" */
    const char *after_mixer_norm; /* none */
    const char *mlp_norm;         /* "post_attention_layernorm" */
    const char *after_mlp_norm;   /* none */
    const char *v, *o;            /* "self_attn.v_proj", "self_attn.o_proj" */
    const char *fused;            /* v lies in this module, behind q and k (by_group: per KV group) */
    bool by_group;
    bool transposed;
    const char *gate_up;            /* gate rows over up rows in one module */
    const char *gate, *up, *down;   /* "mlp.gate_proj" …; gate "" = plain MLP, up "" = none */
    const char *function_key;       /* "hidden_act|hidden_activation|activation_function" */
    const char *function;           /* default "silu" */
    const struct qk_moe_names *moe; /* tried first: layers that have its router are mixtures */
};

struct qk_moe_names {
    const char *router;
    const char *gate, *up, *down; /* with "%zu" for the expert; or stacked tensors: */
    const char *stacked_gate_up, *stacked_down;
    const char *shared_gate, *shared_up, *shared_down; /* NULL = no shared expert */
    const char *shared_gate_up;                        /* shared, gate rows over up rows, down in shared_down */
    const char *shared_switch;                         /* one row, sigmoid */
    const char *choice_bias;
    bool sigmoid;
    const char *renormalise_key;
    bool renormalise; /* default */
    const char *scale_key;
    const char *groups_key, *kept_key; /* groups of experts; NULL = none */
    size_t group_best;                 /* scores that make a group's rank; 0 = 1 */
};

/* Everything of a model whose layers are softmax attention as built, and all but the mixers of other layers. */
enum qk_code qk_spec_blocks(struct qk_model_builder *b, struct qk_forward_spec *spec,
                            const struct qk_block_names *names, struct qk_err *err) QK_CHECKED;
/* The layers are the builder's own until it returns. */
struct qk_layer_spec *qk_spec_layer(struct qk_forward_spec *spec, size_t layer);
/* The softmax spec of a layer, to be changed by the family. */
struct qk_softmax_spec *qk_spec_softmax(struct qk_forward_spec *spec, size_t layer);

/* The MLP of a layer that is no mixture. */
struct qk_mlp_spec *qk_spec_plain_mlp(struct qk_forward_spec *spec, size_t layer);

/* All of a module, checked to be (n_out, n_in). */
enum qk_code qk_spec_module(struct qk_model_builder *b, size_t layer, const char *module, bool transposed, size_t n_out,
                            size_t n_in, struct qk_projection *ret, struct qk_err *err) QK_CHECKED;
/* n blocks of count rows of a module that has rows->total of them, placed as heads are (heads.c). */
enum qk_code qk_spec_head_rows(struct qk_model_builder *b, size_t layer, const struct qk_head_rows *rows, size_t n,
                               size_t count, size_t n_in, struct qk_projection *ret, struct qk_err *err) QK_CHECKED;
/* Q and K of the layer as built. */
enum qk_code qk_spec_qk(struct qk_model_builder *b, size_t layer, struct qk_projection *ret_q,
                        struct qk_projection *ret_k, struct qk_err *err) QK_CHECKED;
/* A whole tensor of the layer as rows; n elements. */
enum qk_code qk_spec_vector(struct qk_model_builder *b, size_t layer, const char *name, uint64_t n, struct qk_rows *ret,
                            struct qk_err *err) QK_CHECKED;
enum qk_code qk_spec_norm(struct qk_model_builder *b, size_t layer, const char *module, enum qk_norm_kind kind,
                          bool plus_one, double eps, size_t n, size_t group, struct qk_norm_spec *ret,
                          struct qk_err *err) QK_CHECKED;
/* Channels [first, first + n) of a convolution's ".weight" (channels, 1, width) and ".bias"; function behind it. */
enum qk_code qk_spec_conv(struct qk_model_builder *b, size_t layer, const char *module, size_t first, size_t n,
                          enum qk_function function, struct qk_conv_spec *ret, struct qk_err *err) QK_CHECKED;
/* The same of one convolution that is stored as n_modules tensors, one after another, without bias. */
enum qk_code qk_spec_conv_parts(struct qk_model_builder *b, size_t layer, const char *const *modules, size_t n_modules,
                                size_t first, size_t n, enum qk_function function, struct qk_conv_spec *ret,
                                struct qk_err *err) QK_CHECKED;
/* The norms of q and k as built, for heads of head_dim. */
void qk_spec_qk_norms(const struct qk_layer *layer, double eps, struct qk_norm_spec *ret_q, struct qk_norm_spec *ret_k);
enum qk_code qk_spec_eps(const struct qk_model_builder *b, const struct qk_block_names *names, double *ret,
                         struct qk_err *err) QK_CHECKED;
enum qk_code qk_spec_function(const struct qk_model_builder *b, const char *keys, const char *dflt,
                              enum qk_function *ret, struct qk_err *err) QK_CHECKED;
/* QK_EUNSUPPORTED when the config has another string or flag than this: an option that nothing here computes. An absent
 * key and null are fine. */
enum qk_code qk_spec_only_string(const struct qk_model_builder *b, const char *key, const char *value,
                                 struct qk_err *err) QK_CHECKED;
enum qk_code qk_spec_only_flag(const struct qk_model_builder *b, const char *key, bool value,
                               struct qk_err *err) QK_CHECKED;
/* A norm outside the layers: weight and bias of the module whose name ends so. */
enum qk_code qk_spec_outer_norm(const struct qk_model_builder *b, const struct qk_forward_spec *spec, const char *end,
                                enum qk_norm_kind kind, double eps, struct qk_norm_spec *ret,
                                struct qk_err *err) QK_CHECKED;
/* A learned position embedding: the tensor whose name ends so. */
enum qk_code qk_spec_positions(struct qk_model_builder *b, struct qk_forward_spec *spec, const char *end,
                               struct qk_err *err) QK_CHECKED;
/* MLP or mixture of a layer (forward_mlp.c). */
enum qk_code qk_spec_mlp(struct qk_model_builder *b, const struct qk_block_names *names, size_t layer,
                         struct qk_layer_spec *l, struct qk_err *err) QK_CHECKED;
/* A fresh spec as the layer's only mixer. */
enum qk_code qk_spec_new_linear(struct qk_forward_spec *spec, size_t layer, struct qk_linear_spec **ret,
                                struct qk_err *err) QK_CHECKED;
/* a_log and dt_bias of prefix, "<prefix>.A_log" and "<prefix>.dt_bias" (n elements), and the projection of Δ, n rows of
 * module (NULL: left to the caller). */
enum qk_code qk_spec_decay(struct qk_model_builder *b, size_t layer, const char *prefix, const char *module, size_t n,
                           struct qk_linear_spec *ret, struct qk_err *err) QK_CHECKED;
/* ALiBi slopes of n heads: 2^(−8h/n), for other than powers of 2 those of the power below and every second of the
 * double; in spec's arena. */
enum qk_code qk_spec_slopes(struct qk_forward_spec *spec, size_t n, double **ret, struct qk_err *err) QK_CHECKED;
/* Latent attention of a layer of kind mla, its modules below module (forward_latent.c). */
enum qk_code qk_spec_latent(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t layer, const char *module,
                            double eps, struct qk_err *err) QK_CHECKED;
/* Mamba 2 of module as a mixer (forward_conv.c): the sizes as claimed, no multipliers. */
enum qk_code qk_spec_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *mamba, double eps,
                            struct qk_linear_spec *ret, struct qk_err *err) QK_CHECKED;

#endif
