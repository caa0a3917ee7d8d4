/* What a checkpoint's layers are: kinds, heads, position encoding, and which rows of which tensors play which role.
 *
 * A struct qk_family reads config.json and the tensor table and fills a struct qk_model. Nothing else in qkscope knows
 * a family's tensor names: everything iterates over layers, roles and heads. One family_*.c per family; its name in
 * src/model/meson.build puts it into the table.
 *
 * Weights are seen as logical (out, in) matrices, W_Q[h] a (K, D) block of rows. All pointers into the checkpoint are
 * borrowed: the checkpoint must outlive the model. Read-only after opening, so thread-safe. */
#ifndef QK_MODEL_MODEL_H
#define QK_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "ckpt/ckpt.h"

enum qk_layer_kind {
    QK_LAYER_FULL,    /* softmax attention over all keys (MLA too) */
    QK_LAYER_SLIDING, /* softmax attention over a window */
    QK_LAYER_LINEAR,  /* lightning, gated delta rule, KDA, RWKV … */
    QK_LAYER_SSM,     /* Mamba 1 and 2 */
    QK_LAYER_NONE,    /* no token mixing with Q and K (short convolution, MLP-only) */
    QK_N_LAYER_KINDS
};
const char *qk_layer_kind_name(enum qk_layer_kind kind); /* "full" "sliding" "linear" "ssm" "none" */
bool qk_layer_kind_by_name(const char *name, enum qk_layer_kind *ret);

/* Parts of a layer for the module contrast (module_rel_drift) and for restore. The name table is qk_role_name. */
enum qk_role {
    QK_ROLE_Q,
    QK_ROLE_K,
    QK_ROLE_V,
    QK_ROLE_O,
    QK_ROLE_GATE,     /* output gate of the mixer */
    QK_ROLE_QK_NORM,  /* q_norm and k_norm weights */
    QK_ROLE_QK_BIAS,  /* biases of Q and K */
    QK_ROLE_MLP_GATE, /* experts' included */
    QK_ROLE_MLP_UP,
    QK_ROLE_MLP_DOWN,
    QK_ROLE_ROUTER,
    QK_ROLE_NORM,  /* all other norms of the layer */
    QK_ROLE_DECAY, /* A_log, dt_bias, a_proj, f_a/f_b, slopes, dt rows */
    QK_ROLE_BETA,  /* b_proj */
    QK_ROLE_CONV,  /* short convolutions, dynamic kernels */
    QK_ROLE_SSM,   /* what else a state-space mixer has (D, x rows of a parallel mamba …) */
    QK_ROLE_OTHER, /* every tensor of the layer that fits nothing above */
    QK_N_ROLES
};
/* "q" "k" "v" "o" "gate" "qk_norm" "qk_bias" "mlp_gate" "mlp_up" "mlp_down" "router" "norm" "decay" "beta" "conv" "ssm"
 * "other" */
const char *qk_role_name(enum qk_role role);

/* count rows [first, first + count) of the logical matrix that a tensor stores. Rank-1 tensors are (n, 1). Tensors of
 * rank > 2 are flattened to (product of all but the last, last). transposed: stored [in, out] (GPT-2's Conv1D): the
 * logical row r is the stored column r. */
struct qk_rows {
    const struct qk_tensor *tensor;
    uint64_t first, count;
    bool transposed;
};

/* Shape of the whole logical matrix that r cuts: all rows of the tensor (not only r's), and its columns. */
void qk_rows_shape(const struct qk_rows *r, uint64_t *ret_rows, uint64_t *ret_cols);

/* One block of rows of a head's W_Q or W_K. Usually the head is one part and only rows is set. Composite forms:
 *   through (MLA): W = rows · diag(norm) · inner, with inner the latent projection and norm the latent's RMSNorm
 * weight; plus (low-rank adapters beside the weight, zamba2): W = rows + up · down. */
struct qk_head_part {
    struct qk_rows rows;
    struct qk_rows inner;               /* tensor NULL when absent */
    const struct qk_tensor *inner_norm; /* NULL = ones */
    struct qk_rows up, down;            /* tensors NULL when absent */
};

enum qk_position_kind { QK_POSITION_NONE, QK_POSITION_ROPE, QK_POSITION_LEARNED, QK_POSITION_ALIBI };
const char *qk_position_name(enum qk_position_kind kind); /* "nope" "rope" "learned" "alibi" */

struct qk_position {
    enum qk_position_kind kind;
    /* rope only: dimensions [first, first + rotary_dim) of the head are turned. Pair p turns dimensions
     * (first + p, first + p + rotary_dim/2), or (first + 2p, first + 2p + 1) when interleaved, by angle t·inv_freq[p].
     */
    size_t first, rotary_dim;
    bool interleaved;
    const double *inv_freq; /* rotary_dim / 2 values, scaling (linear, llama3, yarn, longrope) included */
    double theta;
    const char *scaling;     /* "default" "linear" "llama3" "yarn" "longrope" "dynamic" */
    double attention_factor; /* yarn / longrope factor on cos and sin, else 1 */
    /* Two ways of scaling look at the length of the text. longrope: texts of at most n_near tokens turn by near_freq
     * (NULL = there is no such border). dynamic: beyond n_near tokens, θ is raised by dynamic_factor (0 = it is not).
     */
    const double *near_freq;
    size_t n_near;
    double dynamic_factor;
};

enum qk_qk_norm_kind {
    QK_QK_NORM_NONE,
    QK_QK_NORM_HEAD, /* weight (K), one norm per head */
    QK_QK_NORM_ALL,  /* weight (H·K) resp. (G·K), one norm over all heads together */
};

struct qk_norm_weight {
    const struct qk_tensor *tensor; /* NULL = ones */
    bool plus_one;                  /* the family multiplies by 1 + w */
};

struct qk_layer {
    size_t index;
    enum qk_layer_kind kind;
    const char *mixer; /* "attention" "mla" "lightning" "gated_delta" "kda" "mamba2" "mamba1" "rwkv7" "short_conv" … */
    size_t n_heads;    /* query heads, H; 0 for kind none */
    size_t n_kv_heads;    /* key heads, G; H % G == 0 */
    size_t n_value_heads; /* = n_kv_heads except where a linear mixer has more value heads */
    size_t head_dim;      /* K: rows of W_Q[h] and W_K[g] */
    size_t v_head_dim;
    size_t n_in;   /* D: columns of W_Q and W_K (after composition) */
    size_t window; /* keys including self; 0 = all */
    struct qk_position position;
    struct qk_norm_weight input_norm; /* g of qk_eff_rel_drift; tensor NULL = no norm in front of Q/K */
    enum qk_qk_norm_kind qk_norm_kind;
    struct qk_norm_weight q_norm, k_norm;
    size_t n_q_parts, n_k_parts;  /* parts per head */
    const struct qk_head_part *q; /* n_heads × n_q_parts */
    const struct qk_head_part *k; /* n_kv_heads × n_k_parts */
    const struct qk_rows *q_bias; /* n_heads entries (count = rows of that head), or NULL */
    const struct qk_rows *k_bias; /* n_kv_heads entries, or NULL */
    /* Every tensor of the layer, cut by role; rows of Q and K included (role Q / K), each stored row exactly once.
     * Order: by role, then file order of names. */
    size_t n_slices;
    const struct qk_slice {
        enum qk_role role;
        struct qk_rows rows;
    } * slices;
};

struct qk_model {
    const struct qk_ckpt *ckpt;
    const struct qk_family *family;
    const char *model_type;       /* of the config (the text model's when nested) */
    const struct qk_json *config; /* the text model's object */
    const char *prefix;           /* tensor name prefix of layers, e.g. "model.layers." */
    size_t n_layers;
    const struct qk_layer *layers;
    size_t hidden_size, vocab_size, max_position;
    bool tied_embeddings;
    /* Tensors outside the layers: embedding, final norm, head, by name; and those that no rule knows. */
    size_t n_outer;
    const struct qk_outer {
        const char *role; /* "embedding" "final_norm" "lm_head" "other" */
        const struct qk_tensor *tensor;
    } * outer;
    const char *notice; /* NULL, or a line for the user ("unknown model_type …: Q and K found by tensor names") */
    struct qk_arena *arena;
};

enum qk_support { QK_SUPPORT_WEIGHTS = 1, QK_SUPPORT_FORWARD = 2, QK_SUPPORT_IMPLICIT = 4 };

struct qk_model_builder; /* model/builder.h: what families fill a model with */
struct qk_forward_spec;  /* model/forward_spec.h: what a forward pass computes */

struct qk_family {
    const char *name;               /* "hypenet": also the file family_<name>.c */
    const char *title;              /* "HypeNet (hybrid lightning / softmax)" */
    const char *const *model_types; /* NULL-terminated */
    unsigned support;               /* enum qk_support bits */
    const char *layout;             /* one line for `qkscope models`: where Q and K are */
    enum qk_code (*build)(struct qk_model_builder *builder, struct qk_err *err);
    /* Fills the forward description (model/forward_builder.h); NULL exactly when support lacks QK_SUPPORT_FORWARD. */
    enum qk_code (*forward)(struct qk_model_builder *builder, struct qk_forward_spec *spec, struct qk_err *err);
};

/* All families, in the order of the build list; the fallback by tensor names comes last. */
size_t qk_family_count(void);
const struct qk_family *qk_family_at(size_t i);

/* Recognises the family and describes every layer. Errors (QK_EFORMAT, QK_EUNSUPPORTED) name config field or tensor. */
enum qk_code qk_model_open(const struct qk_ckpt *ckpt, struct qk_model **ret, struct qk_err *err) QK_CHECKED;
void qk_model_free(struct qk_model *model);

/* ---- reading weights -------------------------------------------------------------------------------------------- */

/* Reads one head's weights tile by tile. The raw bytes of the head's own rows are read once; tiles are decoded (and
 * composed, for parts with inner or up/down) on demand. One reader per worker; not thread-safe. */
struct qk_head_reader;
/* Capacity for the largest head of the model, both roles. tile: columns per tile. */
enum qk_code qk_head_reader_new(const struct qk_model *model, size_t tile, struct qk_head_reader **ret,
                                struct qk_err *err) QK_CHECKED;
void qk_head_reader_free(struct qk_head_reader *reader);
/* Loads head (of role QK_ROLE_Q or QK_ROLE_K) of a layer. */
enum qk_code qk_head_reader_load(struct qk_head_reader *reader, const struct qk_layer *layer, enum qk_role role,
                                 size_t head, struct qk_err *err) QK_CHECKED;
/* Columns [col, col + n) of the loaded head as doubles: (K, n), row i at dst + i·ld. ulp2 (may be NULL): adds
 * qk_dtype_sum_ulp2 of the tile (composite parts count their outer rows' storage, scaled by the inner gain: see code).
 */
enum qk_code qk_head_reader_tile(struct qk_head_reader *reader, size_t col, size_t n, double *dst, size_t ld,
                                 double *ulp2, struct qk_err *err) QK_CHECKED;
/* True when a's and b's loaded heads are byte-identical in storage (same dtypes, same bytes, all composite inputs too).
 */
bool qk_head_reader_identical(const struct qk_head_reader *a, const struct qk_head_reader *b);
/* Bytes a reader of this model holds. */
size_t qk_head_reader_bytes(const struct qk_model *model, size_t tile);

/* A norm weight as n doubles (1 + w applied; ones when there is none). QK_EFORMAT when the tensor has not n elements.
 */
enum qk_code qk_norm_weight_read(const struct qk_model *model, const struct qk_norm_weight *w, size_t n, double *dst,
                                 struct qk_err *err) QK_CHECKED;

#endif
