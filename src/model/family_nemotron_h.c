/* Nemotron-H: one mixer per layer, told by hybrid_override_pattern: M Mamba 2, * softmax attention (no position
 * encoding), - MLP, E experts. */
#include "model/builder.h"

#include <string.h>

static enum qk_code read_pattern(struct qk_model_builder *b, size_t n, const enum qk_layer_kind **ret,
                                 struct qk_err *err)
{
    static const char letters[] = "M*-E";
    static const enum qk_layer_kind meaning[] = {QK_LAYER_SSM, QK_LAYER_FULL, QK_LAYER_NONE, QK_LAYER_NONE};
    const char *pattern = NULL;
    QK_TRY(qk_cfg_string(b, "hybrid_override_pattern", NULL, &pattern, err));
    if (!pattern) {
        QK_TRY(qk_cfg_kinds(b, "layers_block_type|layer_types", n, ret, err));
        return *ret ? QK_OK
                    : qk_cfg_fail(b, err, "hybrid_override_pattern", "missing, and there is no layers_block_type");
    }
    enum qk_layer_kind *kinds = qk_arena_alloc(b->arena, n, sizeof *kinds);
    if (!kinds) {
        return qk_fail_nomem(err, "layer kinds");
    }
    if (strlen(pattern) != n) {
        return qk_cfg_fail(b, err, "hybrid_override_pattern", "has not one letter per layer (expected %zu, found %zu)",
                           n, strlen(pattern));
    }
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr(letters, pattern[i]);
        if (!at) {
            return qk_cfg_fail(b, err, "hybrid_override_pattern",
                               "letter %zu is unknown (expected one of %s, found %c)", i, letters, pattern[i]);
        }
        kinds[i] = meaning[at - letters];
    }
    *ret = kinds;
    return QK_OK;
}

static enum qk_code read_mamba(struct qk_model_builder *b, size_t hidden, struct qk_mamba2 *ret, struct qk_err *err)
{
    struct qk_mamba2 m = {.module = "mixer", .n_in = hidden, .input_norm = "norm.weight"};
    size_t d_head = 0;
    QK_TRY(qk_cfg_count(b, "mamba_num_heads", QK_REQUIRED, 1, QK_MAX_HEADS, &m.n_heads, err));
    QK_TRY(qk_cfg_count(b, "mamba_head_dim", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &d_head, err));
    QK_TRY(qk_cfg_count(b, "n_groups|mamba_n_groups", QK_REQUIRED, 1, QK_MAX_HEADS, &m.n_groups, err));
    QK_TRY(qk_cfg_count(b, "ssm_state_size|mamba_d_state", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.d_state, err));
    m.d_inner = m.n_heads * d_head;
    *ret = m;
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.q = "mixer.q_proj", .k = "mixer.k_proj", .input_norm = "norm.weight"};
    struct qk_mamba2 mamba;
    struct qk_dims d;
    const enum qk_layer_kind *kinds = NULL;
    bool published = qk_has_tensors(b->ckpt, "backbone.layers.0.");
    QK_TRY(qk_cfg_count(b, "attention_head_dim", 0, 1, QK_MAX_HEAD_DIM, &b->defaults.head_dim, err));
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, published ? "backbone.layers." : "model.layers.", &d, err));
    QK_TRY(read_pattern(b, d.n_layers, &kinds, err));
    QK_TRY(read_mamba(b, d.hidden, &mamba, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        if (kinds[i] == QK_LAYER_FULL) {
            QK_TRY(qk_build_plain_layer(b, i, &plain, &d, NULL, 0, err));
        } else if (kinds[i] == QK_LAYER_NONE) {
            qk_build_no_heads(b, i, QK_LAYER_NONE, "mlp");
        } else {
            QK_TRY(qk_build_mamba2(b, i, &mamba, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"nemotron_h", NULL};

const struct qk_family qk_family_nemotron_h = {
    .name = "nemotron_h",
    .title = "Nemotron-H (Mamba 2, softmax attention, MLP layers)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "mixer.{q,k}_proj; mixer.in_proj: C rows as Q, B rows as K",
    .build = build,
};
