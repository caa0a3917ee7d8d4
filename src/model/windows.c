/* Which layers see a window only, for families that say it by a number instead of a list. */
#include "windows.h"

enum qk_code qk_windows_new(const struct qk_model_builder *b, size_t n_layers, size_t window, size_t **ret,
                            struct qk_err *err)
{
    size_t *windows = qk_arena_alloc(b->arena, n_layers, sizeof *windows);
    if (!windows) {
        return qk_fail_nomem(err, "layer windows");
    }
    for (size_t i = 0; i < n_layers; i++) {
        windows[i] = window;
    }
    *ret = windows;
    return QK_OK;
}

enum qk_code qk_windows_from_list(const struct qk_model_builder *b, size_t dflt, size_t **ret, size_t *ret_n,
                                  size_t *ret_window, struct qk_err *err)
{
    size_t n = 0, window = 0;
    QK_TRY(qk_cfg_count(b, "num_hidden_layers", QK_REQUIRED, 1, QK_MAX_LAYERS, &n, err));
    QK_TRY(qk_cfg_window(b, "sliding_window", &window, err));
    window = window ? window : dflt;
    QK_TRY(qk_cfg_windows(b, n, window, ret, err));
    *ret_n = n;
    *ret_window = window;
    return QK_OK;
}
