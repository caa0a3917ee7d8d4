/* Gemma 2: window in every other layer, the even ones. */
#include "gemma.h"

#include <math.h>

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

enum qk_code qk_forward_gemma(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .plus_one = true,
        .after_mixer_norm = "post_attention_layernorm",
        .mlp_norm = "pre_feedforward_layernorm",
        .after_mlp_norm = "post_feedforward_layernorm",
        .function_key = "hidden_activation",
        .function = "gelu_pytorch_tanh",
    };
    double softcap = 0, scalar = 256;
    QK_TRY(qk_spec_only_flag(b, "use_bidirectional_attention", false, err));
    QK_TRY(qk_cfg_number(b, "attn_logit_softcapping", 0, &softcap, err));
    QK_TRY(qk_cfg_number(b, "query_pre_attn_scalar", 256, &scalar, err));
    QK_TRY(qk_cfg_number(b, "final_logit_softcapping", 0, &spec->logit_softcap, err));
    if (!(scalar > 0)) {
        return qk_cfg_fail(b, err, "query_pre_attn_scalar", "out of range (found %g)", scalar);
    }
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    spec->embedding_multiplier = sqrt((double)spec->hidden);
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_softmax_spec *s = qk_spec_softmax(spec, i);
        s->scale = 1 / sqrt(scalar);
        s->softcap = softcap;
    }
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    return qk_forward_gemma(b, spec, err);
}

static const char *const types[] = {"gemma2", NULL};

const struct qk_family qk_family_gemma2 = {
    .name = "gemma2",
    .title = "Gemma 2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
