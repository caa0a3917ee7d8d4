/* Gemma 2: window in every other layer, the even ones. */
#include "windows.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.plus_one = true};
    size_t *windows = NULL;
    size_t n = 0, window = 0;
    QK_TRY(qk_windows_from_list(b, 4096, &windows, &n, &window, err));
    if (!windows) {
        QK_TRY(qk_windows_new(b, n, 0, &windows, err));
        for (size_t i = 0; i < n; i += 2) {
            windows[i] = window;
        }
    }
    return qk_build_plain(b, &plain, windows, err);
}

static const char *const types[] = {"gemma2", NULL};

const struct qk_family qk_family_gemma2 = {
    .name = "gemma2",
    .title = "Gemma 2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
