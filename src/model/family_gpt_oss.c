/* gpt-oss: a window in every other layer, attention sinks, biases, experts stored [expert, in, out] with gate and up
 * columns interleaved. */
#include "windows.h"

static const struct qk_role_rule rules[] = {
    {"mlp.experts.gate_up_proj*", QK_ROLE_MLP_UP}, /* both: the columns cannot be cut by rows */
    {"mlp.experts.down_proj*", QK_ROLE_MLP_DOWN},
};

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {.theta = 150000};
    size_t *windows = NULL;
    size_t n = 0, window = 0;
    b->rules = rules;
    b->n_rules = sizeof rules / sizeof *rules;
    QK_TRY(qk_windows_from_list(b, 128, &windows, &n, &window, err));
    if (!windows) {
        QK_TRY(qk_windows_new(b, n, 0, &windows, err));
        for (size_t i = 0; i < n; i += 2) {
            windows[i] = window;
        }
    }
    return qk_build_plain(b, &plain, windows, err);
}

static const char *const types[] = {"gpt_oss", NULL};

const struct qk_family qk_family_gpt_oss = {
    .name = "gpt_oss",
    .title = "gpt-oss",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj with bias",
    .build = build,
};
