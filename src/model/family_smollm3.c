/* SmolLM3: Llama with layers that do not rotate (no_rope_layers: 0 = no rotation) and may slide instead. */
#include "model/forward_builder.h"

#include <string.h>

#include "windows.h"

static bool rotates(const char *const *list, size_t interval, size_t layer)
{
    return list ? strcmp(list[layer], "0") != 0 : (layer + 1) % interval != 0;
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.theta = 2e6};
    const char *const *list = NULL;
    size_t *windows = NULL;
    size_t n = 0, interval = 0, window = 0;
    bool slides = false, listed = false;
    QK_TRY(qk_windows_from_list(b, 0, &windows, &n, &window, err));
    QK_TRY(qk_cfg_names(b, "no_rope_layers", n, &list, err));
    QK_TRY(qk_cfg_count(b, "no_rope_layer_interval", 4, 1, QK_MAX_LAYERS, &interval, err));
    QK_TRY(qk_cfg_flag(b, "use_sliding_window", false, &slides, err));
    listed = windows != NULL;
    if (!listed) {
        QK_TRY(qk_windows_new(b, n, 0, &windows, err));
    }
    for (size_t i = 0; i < n && !listed; i++) {
        windows[i] = slides && !rotates(list, interval, i) ? window : 0;
    }
    QK_TRY(qk_build_plain(b, &plain, windows, err));
    for (size_t i = 0; i < n; i++) {
        if (!rotates(list, interval, i)) {
            b->layers[i].position = (struct qk_position){.kind = QK_POSITION_NONE};
        }
    }
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {0};
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"smollm3", NULL};

const struct qk_family qk_family_smollm3 = {
    .name = "smollm3",
    .title = "SmolLM3",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj; some layers without position encoding",
    .build = build,
    .forward = forward,
};
