/* Zamba2 (arXiv 2411.15242): Mamba 2 layers; hybrid layers add one of num_mem_blocks shared transformer blocks, which
 * reads the hidden state beside the embedding (2 · hidden columns) and has low-rank adapters per use. The shared
 * weights are stored once, under the name of one of the layers that use them. */
#include "model/builder.h"

#include <stdio.h>

static const struct qk_role_rule rules[] = {
    {"shared_transformer.self_attn.linear_q_adapter_list.*", QK_ROLE_Q},
    {"shared_transformer.self_attn.linear_k_adapter_list.*", QK_ROLE_K},
    {"shared_transformer.self_attn.linear_v_adapter_list.*", QK_ROLE_V},
    {"shared_transformer.feed_forward.gate_up_proj_adapter_list.*", QK_ROLE_MLP_UP},
};

struct shared {
    struct qk_heads heads;
    size_t n_blocks, rank; /* rank 0: no adapters in attention */
    size_t *hybrid;        /* layer of the n-th use */
    size_t n_hybrid;
};

static enum qk_code read_hybrid(struct qk_model_builder *b, size_t n_layers, struct shared *s, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    bool found = false;
    bool *marks = qk_arena_alloc(b->arena, n_layers, sizeof *marks);
    s->hybrid = qk_arena_alloc(b->arena, n_layers, sizeof *s->hybrid);
    if (!marks || !s->hybrid) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(qk_cfg_index_set(b, "hybrid_layer_ids", 0, n_layers, marks, &found, err));
    if (!found) {
        QK_TRY(qk_cfg_kinds(b, "layers_block_type|layer_types", n_layers, &kinds, err));
        if (!kinds) {
            return qk_cfg_fail(b, err, "hybrid_layer_ids", "missing, and there is no layers_block_type");
        }
    }
    for (size_t i = 0; i < n_layers; i++) {
        if (kinds ? kinds[i] == QK_LAYER_FULL : marks[i]) {
            s->hybrid[s->n_hybrid++] = i;
        }
    }
    return QK_OK;
}

static enum qk_code read_attention(struct qk_model_builder *b, const struct qk_dims *d, struct shared *s,
                                   struct qk_position *position, struct qk_err *err)
{
    static const struct qk_rope_request rope = {0};
    size_t n_in = 2 * d->hidden, head_dim = 0;
    bool mem_rope = false, adapters = false;
    QK_TRY(qk_cfg_count(b, "attention_head_dim", n_in / d->n_heads, 1, QK_MAX_HEAD_DIM, &head_dim, err));
    QK_TRY(qk_cfg_count(b, "num_mem_blocks", 1, 1, QK_MAX_LAYERS, &s->n_blocks, err));
    QK_TRY(qk_cfg_flag(b, "use_mem_rope", false, &mem_rope, err));
    QK_TRY(qk_cfg_flag(b, "use_shared_attention_adapter", false, &adapters, err));
    if (adapters) {
        QK_TRY(qk_cfg_count(b, "adapter_rank", QK_REQUIRED, 1, QK_MAX_HIDDEN, &s->rank, err));
    }
    if (mem_rope) {
        QK_TRY(qk_position_rope(b, &rope, head_dim, position, err));
    }
    s->heads = (struct qk_heads){
        .kind = QK_LAYER_FULL,
        .mixer = "attention",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_kv_heads,
        .head_dim = head_dim,
        .n_in = n_in,
        .position = position,
        .q = {.module = "shared_transformer.self_attn.q_proj", .total = (uint64_t)d->n_heads * head_dim},
        .k = {.module = "shared_transformer.self_attn.k_proj", .total = (uint64_t)d->n_kv_heads * head_dim},
        .input_norm = "shared_transformer.input_layernorm.weight",
    };
    return QK_OK;
}

/* The layer under which a tensor of use's block is stored: the layer itself, or another user of the same block. */
static enum qk_code find_owner(const struct qk_model_builder *b, const struct shared *s, size_t use, const char *name,
                               size_t *ret, struct qk_err *err)
{
    if (qk_layer_find(b, s->hybrid[use], name)) {
        *ret = s->hybrid[use];
        return QK_OK;
    }
    for (size_t u = use % s->n_blocks; u < s->n_hybrid; u += s->n_blocks) {
        if (qk_layer_find(b, s->hybrid[u], name)) {
            *ret = s->hybrid[u];
            return QK_OK;
        }
    }
    const struct qk_tensor *none = NULL;
    return qk_layer_tensor(b, s->hybrid[use], name, &none, err); /* names what is missing */
}

/* Adds up · down of this use to every head. */
static enum qk_code add_adapter(struct qk_model_builder *b, const struct shared *s, size_t use, char side,
                                size_t n_heads, const struct qk_head_part **parts, struct qk_err *err)
{
    char name[128];
    size_t owner = 0;
    const struct qk_tensor *t[2] = {0}; /* down (rank, n_in), up (heads · head_dim, rank) */
    enum qk_role role = side == 'q' ? QK_ROLE_Q : QK_ROLE_K;
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "shared_transformer.self_attn.linear_%c_adapter_list.%zu.%d.weight", side, use, i);
        QK_TRY(find_owner(b, s, use, name, &owner, err));
        QK_TRY(qk_layer_tensor(b, owner, name, &t[i], err));
    }
    QK_TRY(qk_check_matrix(b, t[0], false, s->rank, s->heads.n_in, err));
    QK_TRY(qk_check_matrix(b, t[1], false, (uint64_t)n_heads * s->heads.head_dim, s->rank, err));
    struct qk_head_part *with = qk_arena_alloc(b->arena, n_heads, sizeof *with);
    if (!with) {
        return qk_fail_nomem(err, "heads");
    }
    struct qk_rows down = {t[0], 0, s->rank, false};
    QK_TRY(qk_claim_rows(b, &down, role, err));
    for (size_t h = 0; h < n_heads; h++) {
        with[h] = (*parts)[h];
        with[h].down = down;
        with[h].up = (struct qk_rows){t[1], (uint64_t)h * s->heads.head_dim, s->heads.head_dim, false};
        QK_TRY(qk_claim_rows(b, &with[h].up, role, err));
    }
    *parts = with;
    return QK_OK;
}

static enum qk_code build_hybrid(struct qk_model_builder *b, const struct shared *s, size_t use,
                                 const struct qk_mamba2 *mamba, struct qk_err *err)
{
    size_t layer = s->hybrid[use], owner = 0;
    struct qk_heads heads = s->heads;
    struct qk_mamba2 parallel = *mamba;
    QK_TRY(find_owner(b, s, use, "shared_transformer.self_attn.q_proj.weight", &owner, err));
    heads.tensors_of = &owner;
    QK_TRY(qk_build_heads(b, layer, &heads, err));
    if (s->rank) {
        QK_TRY(add_adapter(b, s, use, 'q', heads.n_heads, &b->layers[layer].q, err));
        QK_TRY(add_adapter(b, s, use, 'k', heads.n_kv_heads, &b->layers[layer].k, err));
    }
    parallel.module = "mamba_decoder.mamba";
    return qk_claim_parallel_mamba2(b, layer, &parallel, err);
}

static enum qk_code read_mamba(struct qk_model_builder *b, size_t hidden, struct qk_mamba2 *ret, struct qk_err *err)
{
    struct qk_mamba2 m = {.module = "mamba", .n_in = hidden, .input_norm = "input_layernorm.weight"};
    size_t expand = 0;
    QK_TRY(qk_cfg_count(b, "mamba_expand", 2, 1, 1024, &expand, err));
    QK_TRY(qk_cfg_count(b, "mamba_ngroups", 1, 1, QK_MAX_HEADS, &m.n_groups, err));
    QK_TRY(qk_cfg_count(b, "mamba_d_state", 64, 1, QK_MAX_HEAD_DIM, &m.d_state, err));
    QK_TRY(qk_cfg_count(b, "n_mamba_heads", 8, 1, QK_MAX_HEADS, &m.n_heads, err));
    m.d_inner = expand * hidden;
    *ret = m;
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_mamba2 mamba;
    struct shared s = {0};
    struct qk_position position = {.kind = QK_POSITION_NONE};
    b->rules = rules;
    b->n_rules = sizeof rules / sizeof *rules;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(read_hybrid(b, d.n_layers, &s, err));
    QK_TRY(read_attention(b, &d, &s, &position, err));
    QK_TRY(read_mamba(b, d.hidden, &mamba, err));
    for (size_t i = 0, use = 0; i < d.n_layers; i++) {
        if (use < s.n_hybrid && s.hybrid[use] == i) {
            QK_TRY(build_hybrid(b, &s, use++, &mamba, err));
        } else {
            QK_TRY(qk_build_mamba2(b, i, &mamba, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"zamba2", NULL};

const struct qk_family qk_family_zamba2 = {
    .name = "zamba2",
    .title = "Zamba2 (Mamba 2 and shared softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "shared_transformer.self_attn.{q,k}_proj with adapters per use; mamba.in_proj: C as Q, B as K",
    .build = build,
};
