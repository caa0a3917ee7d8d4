/* Kimi Linear (arXiv 2510.26692): Kimi delta attention, and latent attention without rotation now and then. */
#include "model/builder.h"

/* layer_types, else the lists of linear_attn_config, which count from 1. */
static enum qk_code read_full(struct qk_model_builder *b, size_t n, bool *full, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    bool found = false;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, &kinds, err));
    if (kinds) {
        for (size_t i = 0; i < n; i++) {
            full[i] = kinds[i] == QK_LAYER_FULL;
        }
        return QK_OK;
    }
    QK_TRY(qk_cfg_index_set(b, "linear_attn_config.full_attn_layers", 1, n, full, &found, err));
    if (!found) {
        return qk_cfg_fail(b, err, "linear_attn_config.full_attn_layers", "missing, and there is no layer_types");
    }
    return QK_OK;
}

static enum qk_code build_kda(struct qk_model_builder *b, size_t layer, size_t n_heads, size_t head_dim, size_t hidden,
                              struct qk_err *err)
{
    uint64_t rows = (uint64_t)n_heads * head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "kda",
        .n_heads = n_heads,
        .n_kv_heads = n_heads,
        .head_dim = head_dim,
        .n_in = hidden,
        .q = {.module = "self_attn.q_proj", .total = rows},
        .k = {.module = "self_attn.k_proj", .total = rows},
        .input_norm = "input_layernorm.weight",
    };
    return qk_build_heads(b, layer, &heads, err);
}

static enum qk_code read_position(struct qk_model_builder *b, const struct qk_mla *mla, struct qk_position *ret,
                                  struct qk_err *err)
{
    bool nope = true;
    struct qk_rope_request rope = {.first = mla->nope, .dim = mla->rope, .interleaved = true};
    QK_TRY(qk_cfg_flag(b, "mla_use_nope", true, &nope, err));
    *ret = (struct qk_position){.kind = QK_POSITION_NONE};
    return nope ? QK_OK : qk_position_rope(b, &rope, mla->nope + mla->rope, ret, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_mla mla;
    struct qk_position position;
    size_t n_heads = 0, head_dim = 0;
    b->defaults.head_dim = 1; /* latent attention has its own */
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_mla(b, &d, &mla, err));
    QK_TRY(read_position(b, &mla, &position, err));
    mla.position = &position;
    QK_TRY(qk_cfg_count(b, "linear_num_heads|linear_attn_config.num_heads", d.n_heads, 1, QK_MAX_HEADS, &n_heads, err));
    QK_TRY(qk_cfg_count(b, "linear_head_dim|linear_attn_config.head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &head_dim,
                        err));
    bool *full = qk_arena_alloc(b->arena, d.n_layers, sizeof *full);
    if (!full) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_full(b, d.n_layers, full, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (full[i]) {
            QK_TRY(qk_build_mla(b, i, &mla, err));
        } else {
            QK_TRY(build_kda(b, i, n_heads, head_dim, d.hidden, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"kimi_linear", NULL};

const struct qk_family qk_family_kimi_linear = {
    .name = "kimi_linear",
    .title = "Kimi Linear (KDA and latent attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "KDA: self_attn.{q,k}_proj; MLA: q_proj, kv_b_proj through kv_a_proj_with_mqa",
    .build = build,
};
