/* Falcon-H1: every layer has softmax attention and a Mamba 2 mixer side by side; Q and K are the attention's. */
#include "model/builder.h"

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_plain plain = {0};
    struct qk_mamba2 mamba;
    struct qk_dims d;
    QK_TRY(qk_build_plain(b, &plain, NULL, err));
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_cfg_mamba2(b, d.hidden, &mamba, err));
    for (size_t i = 0; i < d.n_layers; i++) {
        QK_TRY(qk_claim_parallel_mamba2(b, i, &mamba, err));
    }
    return QK_OK;
}

static const char *const types[] = {"falcon_h1", NULL};

const struct qk_family qk_family_falcon_h1 = {
    .name = "falcon_h1",
    .title = "Falcon-H1 (softmax attention and Mamba 2 in parallel)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
};
