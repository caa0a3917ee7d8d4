/* Gemma 3 (text): five of six layers slide with their own rotary base; norms per head on q and k. */
#include "gemma.h"
#include "windows.h"

static const struct qk_plain plain = {
    .plus_one = true, .q_norm = "self_attn.q_norm.weight", .k_norm = "self_attn.k_norm.weight"};

static enum qk_code read_windows(struct qk_model_builder *b, size_t **ret, struct qk_err *err)
{
    size_t n = 0, window = 0, pattern = 0;
    QK_TRY(qk_windows_from_list(b, 4096, ret, &n, &window, err));
    if (*ret) {
        return QK_OK;
    }
    QK_TRY(qk_cfg_count(b, "sliding_window_pattern|_sliding_window_pattern", 6, 1, QK_MAX_LAYERS, &pattern, err));
    QK_TRY(qk_windows_new(b, n, 0, ret, err));
    for (size_t i = 0; i < n; i++) {
        (*ret)[i] = (i + 1) % pattern ? window : 0;
    }
    return QK_OK;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_rope_request full = {.layer_type = "full_attention", .theta = 1e6};
    static const struct qk_rope_request sliding = {
        .layer_type = "sliding_attention", .theta_key = "rope_local_base_freq", .theta = 1e4, .scaling_key = ""};
    struct qk_dims d;
    struct qk_position positions[2];
    size_t *windows = NULL;
    /* the multimodal configs leave out what is the default of the configuration class */
    b->defaults = (struct qk_dims){.n_heads = 8, .n_kv_heads = 4, .head_dim = 256};
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(read_windows(b, &windows, err));
    QK_TRY(qk_position_rope(b, &full, d.head_dim, &positions[0], err));
    QK_TRY(qk_position_rope(b, &sliding, d.head_dim, &positions[1], err));
    for (size_t i = 0; i < d.n_layers; i++) {
        QK_TRY(qk_build_plain_layer(b, i, &plain, &d, &positions[windows[i] != 0], windows[i], err));
    }
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    QK_TRY(qk_forward_gemma(b, spec, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        qk_spec_softmax(spec, i)->softcap = 0; /* the reference reads attn_logit_softcapping but never applies it */
    }
    return QK_OK;
}

static const char *const types[] = {"gemma3_text", "gemma3", NULL};

const struct qk_family qk_family_gemma3 = {
    .name = "gemma3",
    .title = "Gemma 3 (text)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj, norms per head",
    .build = build,
    .forward = forward,
};
