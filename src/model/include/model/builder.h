/* What families fill a model with: checked access to the config, the layers' tensors by name, and builders for the
 * forms that attention takes (separate or fused projections, low-rank latents, state-space mixers).
 *
 * A family's build function reads the config (qk_cfg_*), says where the layers are (qk_build_layers), and gives each
 * layer its Q and K (qk_build_heads and what is made of it). Rows that a builder hands to a role are "claimed"; what no
 * one claims gets its role from the tensor's name (roles.c). Nothing here survives qk_model_open but the model itself.
 */
#ifndef QK_MODEL_BUILDER_H
#define QK_MODEL_BUILDER_H

#include "model/model.h"

/* Bounds on what a config may ask for, so that a hostile one cannot ask for memory. */
#define QK_MAX_LAYERS      ((size_t)4096)
#define QK_MAX_HEADS       ((size_t)4096)
#define QK_MAX_HEAD_DIM    ((size_t)65536)
#define QK_MAX_HIDDEN      ((size_t)1 << 24)
#define QK_MAX_ROWS        ((size_t)1 << 40)
#define QK_MAX_TOTAL_HEADS ((size_t)1 << 20) /* heads of all layers together */

/* A family's own rule for names that the general table reads otherwise: glob on the name after "<prefix><layer>.". */
struct qk_role_rule {
    const char *pattern;
    enum qk_role role;
};

struct qk_claim; /* slices.c */

/* The numbers that almost every config has. */
struct qk_dims {
    size_t hidden, n_layers, n_heads, n_kv_heads, head_dim;
};

struct qk_model_builder {
    struct qk_model *model;
    const struct qk_ckpt *ckpt;
    const struct qk_json *config;       /* the text model's object */
    const struct qk_json *outer_config; /* the file's object; the same where nothing is nested */
    const char *source;                 /* the config's path, for errors */
    struct qk_arena *arena;
    const char *prefix; /* set by qk_build_layers */
    struct qk_layer *layers;
    size_t n_layers;
    struct qk_dims defaults;          /* of the family, for configs that leave them out; 0 = must be there */
    size_t n_heads_built;             /* against QK_MAX_TOTAL_HEADS */
    const struct qk_role_rule *rules; /* borrowed; n_rules of them */
    size_t n_rules;
    struct qk_claim *claims;
    size_t n_claims, cap_claims;
};

/* ---- config (config.c) -------------------------------------------------------------------------------------------
 * keys: alternatives separated by '|', the first that is present and not null counts; '.' goes into nested objects. */

#define QK_REQUIRED SIZE_MAX /* as default of qk_cfg_count: the key must be there */

/* The value, or NULL. */
const struct qk_json *qk_cfg_find(const struct qk_model_builder *b, const char *keys);
/* An integer in [lo, hi]. */
enum qk_code qk_cfg_count(const struct qk_model_builder *b, const char *keys, size_t dflt, size_t lo, size_t hi,
                          size_t *ret, struct qk_err *err) QK_CHECKED;
enum qk_code qk_cfg_number(const struct qk_model_builder *b, const char *keys, double dflt, double *ret,
                           struct qk_err *err) QK_CHECKED;
enum qk_code qk_cfg_flag(const struct qk_model_builder *b, const char *keys, bool dflt, bool *ret,
                         struct qk_err *err) QK_CHECKED;
enum qk_code qk_cfg_string(const struct qk_model_builder *b, const char *keys, const char *dflt, const char **ret,
                           struct qk_err *err) QK_CHECKED;
/* Exactly n names: a JSON array of strings or of integers (given as decimal text), or a string holding a Python list of
 * quoted names (read, never evaluated). *ret NULL when the key is absent. */
enum qk_code qk_cfg_names(const struct qk_model_builder *b, const char *keys, size_t n, const char *const **ret,
                          struct qk_err *err) QK_CHECKED;
/* Marks which of n indices an array of integers names, each minus base (1 for lists that count from 1). False marks
 * when the key is absent (*ret_found). */
enum qk_code qk_cfg_index_set(const struct qk_model_builder *b, const char *keys, size_t base, size_t n, bool *marks,
                              bool *ret_found, struct qk_err *err) QK_CHECKED;
/* "<config>: <key>: <text>" as QK_EFORMAT. */
enum qk_code qk_cfg_fail(const struct qk_model_builder *b, struct qk_err *err, const char *key, const char *fmt, ...)
    QK_PRINTF(4, 5);

/* head_dim defaults to hidden / heads (which must divide), kv heads to heads, unless b->defaults has them;
 * heads % kv heads must be 0. */
enum qk_code qk_cfg_dims(const struct qk_model_builder *b, struct qk_dims *ret, struct qk_err *err) QK_CHECKED;

/* Kind of a name of layer_types, layers_block_type …; unknown names are QK_EUNSUPPORTED. */
enum qk_code qk_kind_of(const struct qk_model_builder *b, const char *key, const char *name, enum qk_layer_kind *ret,
                        struct qk_err *err) QK_CHECKED;
/* Kinds of all layers from a list of names under keys; *ret NULL when absent. */
enum qk_code qk_cfg_kinds(const struct qk_model_builder *b, const char *keys, size_t n, const enum qk_layer_kind **ret,
                          struct qk_err *err) QK_CHECKED;

/* ---- layers and tensors (builder.c) ------------------------------------------------------------------------------ */

/* Sets prefix, layers and the model's sizes. prefix: "model.layers."; found as it is, under "model.language_model." or
 * "language_model." (multimodal checkpoints), or without its first component (bare models). */
enum qk_code qk_build_layers(struct qk_model_builder *b, const char *prefix, const struct qk_dims *dims,
                             struct qk_err *err) QK_CHECKED;
/* True when the checkpoint has a tensor whose name starts with prefix. */
bool qk_has_tensors(const struct qk_ckpt *ckpt, const char *prefix);
/* Tensor "<prefix><layer>.<name>", or NULL. */
const struct qk_tensor *qk_layer_find(const struct qk_model_builder *b, size_t layer, const char *name);
/* The same, QK_EFORMAT naming it when missing. */
enum qk_code qk_layer_tensor(const struct qk_model_builder *b, size_t layer, const char *name,
                             const struct qk_tensor **ret, struct qk_err *err) QK_CHECKED;
/* Logical rows and columns of t: rank 1 is (n, 1), rank > 2 flattened, transposed swapped. */
void qk_tensor_matrix(const struct qk_tensor *t, bool transposed, uint64_t *ret_rows, uint64_t *ret_cols);
/* QK_EFORMAT unless t has that logical shape. */
enum qk_code qk_check_matrix(const struct qk_model_builder *b, const struct qk_tensor *t, bool transposed,
                             uint64_t rows, uint64_t cols, struct qk_err *err) QK_CHECKED;
/* Gives rows [first, first + count) of t to a role. */
enum qk_code qk_claim_rows(struct qk_model_builder *b, const struct qk_rows *rows, enum qk_role role,
                           struct qk_err *err) QK_CHECKED;
/* count rows from first, shifted by stride, n times: cuts of stacked or interleaved tensors. */
enum qk_code qk_claim_strided(struct qk_model_builder *b, const struct qk_tensor *t, bool transposed, uint64_t first,
                              uint64_t count, uint64_t stride, uint64_t n, enum qk_role role,
                              struct qk_err *err) QK_CHECKED;
/* A norm weight of the layer by name; n elements. name NULL gives none. */
enum qk_code qk_layer_norm(const struct qk_model_builder *b, size_t layer, const char *name, bool plus_one, uint64_t n,
                           struct qk_norm_weight *ret, struct qk_err *err) QK_CHECKED;
/* A line for the user, kept by the model (the first one stays). */
enum qk_code qk_build_notice(struct qk_model_builder *b, struct qk_err *err, const char *fmt, ...) QK_CHECKED
    QK_PRINTF(3, 4);

/* ---- position (position.c) --------------------------------------------------------------------------------------- */

struct qk_rope_request {
    const char *layer_type; /* key of rope_parameters where that is per layer type; NULL = none */
    const char *theta_key;  /* '|' keys of an older config's base; NULL = "rope_theta|rotary_emb_base" */
    double theta;           /* default base; 0 = 10000 */
    double partial;         /* default share of head_dim that is turned; 0 = 1 */
    size_t first;           /* first rotary dimension */
    size_t dim;             /* dimensions that may turn; 0 = head_dim */
    bool interleaved;
    const char *scaling_key; /* of an older config; NULL = "rope_scaling", "" = never scaled */
};
/* Rotary position of the config for heads of head_dim. *ret lives in the arena. */
enum qk_code qk_position_rope(struct qk_model_builder *b, const struct qk_rope_request *request, size_t head_dim,
                              struct qk_position *ret, struct qk_err *err) QK_CHECKED;

/* ---- heads (heads.c, mla.c, state_space.c, plain.c) ----------------------------------------------------------------
 */

/* Where the heads of Q or K lie in a stored tensor: head h starts at row
 * first + (h / per_group) · group_stride + (h % per_group) · stride. */
struct qk_head_rows {
    const char *module; /* ".weight" and, where present, ".bias" are appended */
    uint64_t total;     /* rows that the tensor must have */
    uint64_t first;
    uint64_t stride;    /* 0 = head_dim */
    uint64_t per_group; /* 0 = no groups */
    uint64_t group_stride;
    bool transposed;
};

struct qk_heads {
    enum qk_layer_kind kind;
    const char *mixer;
    size_t n_heads, n_kv_heads;
    size_t n_value_heads; /* 0 = n_kv_heads */
    size_t head_dim;
    size_t v_head_dim; /* 0 = head_dim */
    size_t n_in;
    size_t window;
    const struct qk_position *position; /* NULL = none; copied */
    struct qk_head_rows q, k;
    const size_t *tensors_of;    /* the layer under whose name shared tensors are stored; NULL = this one */
    const char *input_norm;      /* names after "<prefix><layer>."; NULL = none; must exist otherwise */
    bool plus_one;               /* of all three norms */
    const char *q_norm, *k_norm; /* shape (head_dim) or all heads together: told by the tensor */
};
/* Fills layers[layer] from separate or fused projections and claims the rows of Q and K. */
enum qk_code qk_build_heads(struct qk_model_builder *b, size_t layer, const struct qk_heads *heads,
                            struct qk_err *err) QK_CHECKED;

/* Multi-head latent attention (DeepSeek). */
struct qk_mla {
    const char *module;                                            /* "self_attn" */
    size_t n_heads, nope, rope, v_head_dim, q_rank, kv_rank, n_in; /* q_rank 0: a plain q_proj */
    const struct qk_position *position;
    const char *input_norm;
};
enum qk_code qk_build_mla(struct qk_model_builder *b, size_t layer, const struct qk_mla *mla,
                          struct qk_err *err) QK_CHECKED;
/* Reads qk_nope_head_dim and its like from the config; the rotary part from rope_interleave. */
enum qk_code qk_cfg_mla(struct qk_model_builder *b, const struct qk_dims *dims, struct qk_mla *ret,
                        struct qk_err *err) QK_CHECKED;

/* Mamba 2: Q = C rows, K = B rows of in_proj, rows [z d_inner | x d_inner | B G·N | C G·N | dt heads]. */
struct qk_mamba2 {
    const char *module; /* "mamba" */
    size_t d_inner, n_groups, d_state, n_heads, n_in;
    const char *input_norm;
};
enum qk_code qk_build_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *mamba,
                             struct qk_err *err) QK_CHECKED;
/* The same tensors beside an attention (falcon_h1): cut into decay, conv and ssm; no heads. */
enum qk_code qk_claim_parallel_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *mamba,
                                      struct qk_err *err) QK_CHECKED;
/* mamba_d_state and its like, as bamba, granite, falcon_h1 write them. */
enum qk_code qk_cfg_mamba2(const struct qk_model_builder *b, size_t hidden, struct qk_mamba2 *ret,
                           struct qk_err *err) QK_CHECKED;
/* A layer without Q and K. */
void qk_build_no_heads(struct qk_model_builder *b, size_t layer, enum qk_layer_kind kind, const char *mixer);

/* Plain transformers and the softmax layers of hybrids: separate q/k projections, described by a table row. */
struct qk_plain {
    const char *prefix;     /* NULL = "model.layers." */
    const char *q, *k;      /* NULL = "self_attn.q_proj", "self_attn.k_proj" */
    const char *input_norm; /* NULL = "input_layernorm.weight"; "" = none in front of the mixer */
    bool plus_one;
    const char *q_norm, *k_norm;    /* NULL = none; must exist otherwise */
    double theta, partial;          /* defaults as in qk_rope_request */
    enum qk_position_kind position; /* QK_POSITION_NONE means the default, rotary */
};
enum qk_code qk_build_plain_layer(struct qk_model_builder *b, size_t layer, const struct qk_plain *plain,
                                  const struct qk_dims *dims, const struct qk_position *position, size_t window,
                                  struct qk_err *err) QK_CHECKED;
/* windows: per layer, 0 = full. NULL = all full. One position for all layers. */
enum qk_code qk_build_plain(struct qk_model_builder *b, const struct qk_plain *plain, const size_t *windows,
                            struct qk_err *err) QK_CHECKED;
/* Windows from layer_types and sliding_window. window 0 where the list says so; *ret NULL when there is no list. */
enum qk_code qk_cfg_windows(const struct qk_model_builder *b, size_t n_layers, size_t window, size_t **ret,
                            struct qk_err *err) QK_CHECKED;
/* sliding_window (null, absent or 0: none = 0). */
enum qk_code qk_cfg_window(const struct qk_model_builder *b, const char *keys, size_t *ret,
                           struct qk_err *err) QK_CHECKED;

#endif
