/* Mistral and Mixtral: a sliding window in every layer where the config has one. */
#include <string.h>

#include "windows.h"
#include "model/forward_builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    size_t *windows = NULL;
    size_t n = 0, window = 0;
    /* without the key Mistral slides; null says that it does not, and Mixtral never did */
    bool said = qk_json_get(b->config, "sliding_window") != NULL || !strcmp(b->model->model_type, "mixtral");
    QK_TRY(qk_windows_from_list(b, said ? 0 : 4096, &windows, &n, &window, err));
    if (!windows) {
        QK_TRY(qk_windows_new(b, n, window, &windows, err));
    }
    return qk_build_plain(b, &plain, windows, err);
}

static const struct qk_moe_names mixtral = {
    .router = "block_sparse_moe.gate",
    .gate = "block_sparse_moe.experts.%zu.w1",
    .up = "block_sparse_moe.experts.%zu.w3",
    .down = "block_sparse_moe.experts.%zu.w2",
    .renormalise = true,
};

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {.moe = &mixtral};
    return qk_spec_blocks(b, spec, &names, err);
}

static const char *const types[] = {"mistral", "mixtral", "ministral", NULL};

const struct qk_family qk_family_mistral = {
    .name = "mistral",
    .title = "Mistral, Mixtral",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
