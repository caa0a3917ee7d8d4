/* MiniMax-Text-01 and M1: lightning attention with one fused qkv per head, softmax attention with RoPE now and then. */
#include "model/builder.h"

#include <string.h>

/* layer_types (transformers), attn_type_list (published: 1 softmax, 0 lightning), else alternating from softmax. */
static enum qk_code read_linear(struct qk_model_builder *b, size_t n, bool *linear, struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    const char *const *list = NULL;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n, &kinds, err));
    QK_TRY(qk_cfg_names(b, "attn_type_list", n, &list, err));
    for (size_t i = 0; i < n; i++) {
        linear[i] = kinds ? kinds[i] == QK_LAYER_LINEAR : list ? !strcmp(list[i], "0") : i % 2 == 1;
        if (!kinds && list && !linear[i] && strcmp(list[i], "1") != 0) {
            return qk_cfg_fail(b, err, "attn_type_list", "layer %zu is neither 0 nor 1 (found %s)", i, list[i]);
        }
    }
    return QK_OK;
}

static enum qk_code build_lightning(struct qk_model_builder *b, size_t i, const struct qk_dims *d, struct qk_err *err)
{
    uint64_t total = 3 * (uint64_t)d->n_heads * d->head_dim;
    struct qk_heads heads = {
        .kind = QK_LAYER_LINEAR,
        .mixer = "lightning",
        .n_heads = d->n_heads,
        .n_kv_heads = d->n_heads,
        .head_dim = d->head_dim,
        .n_in = d->hidden,
        .q = {.module = "self_attn.qkv_proj", .total = total, .stride = 3 * d->head_dim},
        .k = {.module = "self_attn.qkv_proj", .total = total, .first = d->head_dim, .stride = 3 * d->head_dim},
        .input_norm = "input_layernorm.weight",
    };
    return qk_build_heads(b, i, &heads, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    static const struct qk_rope_request rope = {.theta = 1e6};
    struct qk_dims d;
    struct qk_position position;
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    bool *linear = qk_arena_alloc(b->arena, d.n_layers, sizeof *linear);
    if (!linear) {
        return qk_fail_nomem(err, "layer kinds");
    }
    QK_TRY(read_linear(b, d.n_layers, linear, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (linear[i]) {
            QK_TRY(build_lightning(b, i, &d, err));
        } else {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &position, 0, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"minimax", "minimax_text_01", "minimax_m1", "minimax_text01", NULL};

const struct qk_family qk_family_minimax = {
    .name = "minimax",
    .title = "MiniMax-Text-01, MiniMax-M1 (lightning and softmax attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "softmax: self_attn.{q,k}_proj; lightning: self_attn.qkv_proj, rows [q|k|v] per head",
    .build = build,
};
