/* Qwen2, Qwen2.5 and their mixtures of experts: biases on q, k, v. */
#include "qwen.h"
#include "windows.h"

#include <string.h>

/* The mixtures read max_window_layers otherwise, or not at all. */
static bool slides(const char *model_type, size_t layer, size_t max_window_layers)
{
    if (!strcmp(model_type, "qwen2_moe")) {
        return layer % 2 == 0 && layer < max_window_layers;
    }
    return !strcmp(model_type, "qwen3_moe") || layer >= max_window_layers;
}

enum qk_code qk_build_qwen(struct qk_model_builder *b, const struct qk_plain *plain, struct qk_err *err)
{
    size_t *windows = NULL;
    size_t n = 0, window = 0, first = 0;
    bool use = false;
    QK_TRY(qk_cfg_flag(b, "use_sliding_window", false, &use, err));
    QK_TRY(qk_cfg_count(b, "max_window_layers", 28, 0, QK_MAX_LAYERS, &first, err));
    QK_TRY(qk_windows_from_list(b, use ? 4096 : 0, &windows, &n, &window, err));
    if (!windows) {
        QK_TRY(qk_windows_new(b, n, 0, &windows, err));
        for (size_t i = 0; use && i < n; i++) {
            windows[i] = slides(b->model->model_type, i, first) ? window : 0;
        }
    }
    return qk_build_plain(b, plain, windows, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    return qk_build_qwen(b, &plain, err);
}

static const struct qk_moe_names moe = {
    .router = "mlp.gate",
    .gate = "mlp.experts.%zu.gate_proj",
    .up = "mlp.experts.%zu.up_proj",
    .down = "mlp.experts.%zu.down_proj",
    .shared_gate = "mlp.shared_expert.gate_proj",
    .shared_up = "mlp.shared_expert.up_proj",
    .shared_down = "mlp.shared_expert.down_proj",
    .shared_switch = "mlp.shared_expert_gate",
    .renormalise_key = "norm_topk_prob",
};

enum qk_code qk_forward_qwen(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.moe = &moe};
    return qk_spec_blocks(b, spec, &names, err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    return qk_forward_qwen(b, spec, err);
}

static const char *const types[] = {"qwen2", "qwen2_moe", NULL};

const struct qk_family qk_family_qwen2 = {
    .name = "qwen2",
    .title = "Qwen2, Qwen2.5",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj with bias",
    .build = build,
    .forward = forward,
};
