/* OLMo 2 and 3: post-norm blocks (nothing in front of Q and K), norms over all heads of q and of k; OLMo 3 slides in
 * three of four layers, and only its full layers stretch the rotation. */
#include "windows.h"
#include "model/forward_builder.h"

#include <string.h>

static const struct qk_plain plain = {
    .input_norm = "", .q_norm = "self_attn.q_norm.weight", .k_norm = "self_attn.k_norm.weight"};

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_rope_request full = {.layer_type = "full_attention", .theta = 5e5};
    static const struct qk_rope_request sliding = {.layer_type = "sliding_attention", .theta = 5e5, .scaling_key = ""};
    struct qk_dims d;
    struct qk_position positions[2];
    size_t *windows = NULL;
    size_t n = 0, window = 0;
    bool three = !strcmp(b->model->model_type, "olmo3");
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_windows_from_list(b, three ? 4096 : 0, &windows, &n, &window, err));
    if (!windows) {
        QK_TRY(qk_windows_new(b, n, 0, &windows, err));
        for (size_t i = 0; three && i < n; i++) {
            windows[i] = (i + 1) % 4 ? window : 0;
        }
    }
    QK_TRY(qk_position_rope(b, &full, d.head_dim, &positions[0], err));
    QK_TRY(qk_position_rope(b, &sliding, d.head_dim, &positions[1], err));
    for (size_t i = 0; i < d.n_layers; i++) {
        QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &positions[windows[i] != 0], windows[i], err));
    }
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .eps = 1e-5,
        .mixer_norm = "",
        .after_mixer_norm = "post_attention_layernorm",
        .mlp_norm = "",
        .after_mlp_norm = "post_feedforward_layernorm",
    };
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"olmo2", "olmo3", NULL};

const struct qk_family qk_family_olmo2 = {
    .name = "olmo2",
    .title = "OLMo 2, OLMo 3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj, norms over all heads",
    .build = build,
    .forward = forward,
};
