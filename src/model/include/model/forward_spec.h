/* What a model's forward pass computes, as data: per layer the norms, the token mixer and the MLP, with every weight as
 * rows of stored tensors; around them the embedding and the head.
 *
 *   block      h = α x' + β · after_mixer_norm(mixer(mixer_norm(x)));  y = α h' + β · after_mlp_norm(mlp(mlp_norm(h)))
 *              x' = x, or mixer_norm(x) where the residual starts behind the norm (h' likewise)
 *   parallel   y = x + mixer(mixer_norm(x)) + mlp(mlp_norm(x))
 *
 * Each family's file fills it (struct qk_family.forward); src/forward runs it and knows no family. Weights here are
 * only named, never read. A spec borrows from its model, which must outlive it; read-only after opening. */
#ifndef QK_MODEL_FORWARD_SPEC_H
#define QK_MODEL_FORWARD_SPEC_H

#include "model/model.h"

/* y = multiplier · (W x + b), W (n_out, n_in) the row blocks one after another. n_blocks 0: there is none. */
struct qk_projection {
    size_t n_blocks;
    const struct qk_rows *blocks;
    size_t n_bias; /* 0, or as many as blocks: the bias elements of each */
    const struct qk_rows *bias;
    size_t n_out, n_in;
    double multiplier; /* 0 means 1 */
};

enum qk_function {
    QK_FUNCTION_NONE,
    QK_FUNCTION_SILU,
    QK_FUNCTION_GELU,
    QK_FUNCTION_GELU_TANH,
    QK_FUNCTION_SIGMOID,
    QK_FUNCTION_RELU,
    QK_FUNCTION_RELU2,
    QK_N_FUNCTIONS
};

enum qk_norm_kind { QK_NORM_NONE, QK_NORM_RMS, QK_NORM_LAYER };

/* Over rows of n elements; RMS in groups of group elements (0 = n), whose weight is shared by the groups when it has
 * only group elements. */
struct qk_norm_spec {
    enum qk_norm_kind kind;
    const struct qk_tensor *weight, *bias; /* NULL = ones, zeros */
    bool plus_one;                         /* 1 + weight */
    double eps;
    size_t n, group;
};

/* o ⊙ function(projection(x)), x the mixer's input; low rank when inner is there. */
struct qk_gate_spec {
    struct qk_projection inner, projection;
    enum qk_function function;
    bool before_norm; /* gates first, normalises then (Mamba 2) */
    bool per_head;    /* one value per head instead of one per channel */
};

/* Latent attention (MLA): k and v of the softmax spec read norm(inner x) instead of x; each head's key is
 * [its k rows | the shared rotary rows of x]. q_inner and q_norm likewise when q has a latent. */
struct qk_latent_spec {
    struct qk_projection q_inner, kv_inner, k_shared;
    struct qk_norm_spec q_norm, kv_norm;
};

struct qk_softmax_spec {
    size_t n_heads, n_kv_heads, head_dim, v_head_dim, window;
    struct qk_projection q, k, v, o;
    const struct qk_latent_spec *latent; /* NULL = plain */
    struct qk_norm_spec q_norm, k_norm;
    const double *alibi; /* (n_heads) slopes: the score of query t and key s gets −alibi[h] · (t − s); NULL = none */
    double clip;         /* q, k and v to [−clip, clip] as projected; 0 = off */
    const struct qk_position *position;
    double scale, softcap;
    double q_multiplier;              /* 0 = 1 */
    double log_scale, log_scale_base; /* q of position t times ln(t + log_scale) / ln(log_scale_base); 0 = off */
    struct qk_gate_spec gate;
    const struct qk_tensor *sinks;
};

/* Causal depthwise convolution in front of q, k or v. n_blocks 0: there is none. */
struct qk_conv_spec {
    size_t n_blocks;
    const struct qk_rows *weight; /* blocks of channels, each channel width taps */
    struct qk_rows bias;          /* (channels), or tensor NULL */
    size_t width;
    enum qk_function function; /* behind it */
};

/* Linear attention of every kind: lightning, gated delta rule, KDA, Mamba 2 (q = C, k = B, v = Δ x). */
struct qk_linear_spec {
    bool delta;                                       /* the delta rule, else plain gated linear attention */
    size_t n_heads, n_qk_heads, n_k_heads, n_v_heads; /* q, k and v are repeated up to n_heads */
    size_t d_k, d_v;
    struct qk_projection q, k, v, o;
    struct qk_conv_spec q_conv, k_conv, v_conv;
    /* v through a convolution whose kernels the input makes: K = w2 · SiLU(w1 x) (+ bias), (d_v · heads, width) */
    struct qk_projection kernel_inner, kernel;
    size_t kernel_width;
    enum qk_function q_function, k_function, v_function;
    struct qk_norm_spec q_norm, k_norm;
    double l2_eps; /* q and k to length one; 0 = not */
    const struct qk_position *position;
    double scale;
    const double
        *slope; /* (n_heads) constant log decay, or NULL and: g = −exp(a_log) · Δ, Δ = softplus(decay(x) + dt_bias) */
    struct qk_projection decay_inner, decay;
    struct qk_rows a_log, dt_bias;
    bool decay_per_key; /* Δ of (n_heads, d_k), else (n_heads) */
    double dt_min, dt_max;
    bool v_times_dt;           /* Mamba 2 */
    struct qk_projection beta; /* β = beta_factor · sigmoid(beta(x)) */
    double beta_factor;
    struct qk_rows skip; /* o += D_h · v (before Δ), per head */
    struct qk_norm_spec out_norm;
    struct qk_gate_spec gate;
};

struct qk_mamba1_spec {
    size_t d_inner, d_state, dt_rank;
    struct qk_projection x, z, dt_inner, b, c, dt, o;
    struct qk_conv_spec conv;
    struct qk_norm_spec dt_norm, b_norm, c_norm;
    struct qk_rows a_log, skip; /* (d_inner, d_state), (d_inner) */
};

/* y = o( c(x) ⊙ conv( b(x) ⊙ u(x) ) ) */
struct qk_short_conv_spec {
    struct qk_projection b, c, u, o;
    struct qk_conv_spec conv;
};

enum qk_mixer_kind { QK_MIXER_SOFTMAX, QK_MIXER_LINEAR, QK_MIXER_MAMBA1, QK_MIXER_SHORT_CONV, QK_N_MIXER_KINDS };

struct qk_mixer_spec {
    enum qk_mixer_kind kind;
    double in_multiplier, out_multiplier; /* of its input and output; 0 = 1 */
    union {
        const struct qk_softmax_spec *softmax;
        const struct qk_linear_spec *linear;
        const struct qk_mamba1_spec *mamba1;
        const struct qk_short_conv_spec *short_conv;
    };
};

/* y = down( function(gate x) ⊙ (up x) ), or down( function(up x) ) without gate. */
struct qk_mlp_spec {
    struct qk_projection gate, up, down;
    enum qk_function function;
};

struct qk_moe_spec {
    struct qk_projection router;
    const struct qk_tensor *choice_bias; /* added to the scores for the choice only */
    bool sigmoid;                        /* scores by sigmoid, else softmax over all experts */
    bool renormalise;                    /* chosen weights to sum one */
    double scale;                        /* of the chosen weights */
    /* only experts of the best n_groups_kept of n_groups groups are chosen; a group's rank is the sum of its
     * group_best best scores. n_groups 0 or 1: no groups. */
    size_t n_groups, n_groups_kept, group_best;
    size_t n_experts, top_k;
    const struct qk_mlp_spec *experts;
    const struct qk_mlp_spec *shared; /* NULL = none */
    struct qk_projection shared_gate; /* sigmoid, one value per token */
};

struct qk_layer_spec {
    size_t n_mixers; /* run side by side on the same input, outputs added */
    struct qk_mixer_spec mixers[2];
    const struct qk_mlp_spec *mlp; /* one of both, or neither */
    const struct qk_moe_spec *moe;
    struct qk_norm_spec mixer_norm, after_mixer_norm, mlp_norm, after_mlp_norm;
    bool parallel, residual_after_norm;
    double mixer_alpha, mixer_beta, mlp_alpha, mlp_beta; /* of residual and branch */
};

struct qk_forward_spec {
    const struct qk_model *model;
    size_t n_layers, hidden, vocab;
    struct qk_projection embedding; /* one row per token */
    double embedding_multiplier;
    struct qk_norm_spec embedding_norm; /* behind the multiplier */
    const struct qk_tensor *positions;  /* learned: (max_position, hidden), or NULL */
    const struct qk_layer_spec *layers;
    struct qk_norm_spec final_norm;
    struct qk_projection head; /* the embedding where tied */
    double logit_softcap;      /* 0 = none; after the multiplier of head */
    struct qk_arena *arena;
};

/* QK_EUNSUPPORTED when nothing can run the family; QK_EFORMAT names the tensor or field that does not fit. */
enum qk_code qk_forward_spec_open(const struct qk_model *model, struct qk_forward_spec **ret,
                                  struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_forward_spec_free(struct qk_forward_spec *spec);

#endif
