/* Phi-1, Phi-1.5, Phi-2: separate projections with bias (transformers), or fused mixer.Wqkv (as first published). */
#include "fused.h"
#include "model/forward_builder.h"

static enum qk_code build_separate(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_plain plain = {.partial = 0.5};
    bool norm = false;
    QK_TRY(qk_cfg_flag(b, "qk_layernorm", false, &norm, err));
    if (norm) {
        plain.q_norm = "self_attn.q_layernorm.weight";
        plain.k_norm = "self_attn.k_layernorm.weight";
    }
    return qk_build_plain(b, &plain, NULL, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    static const struct qk_fused fused = {.module = "mixer.Wqkv", .input_norm = "ln.weight"};
    static const struct qk_rope_request rope = {.partial = 0.5};
    struct qk_dims d;
    struct qk_position position;
    if (!qk_ckpt_find(b->ckpt, "transformer.h.0.mixer.Wqkv.weight")) {
        return build_separate(b, err);
    }
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "transformer.h.", &d, err));
    QK_TRY(qk_position_rope(b, &rope, d.head_dim, &position, err));
    return qk_build_all_fused(b, "transformer.h.", &fused, &d, &position, 0, err);
}

static const struct qk_block_names names = {
    .norm = QK_NORM_LAYER,
    .eps = 1e-5,
    .mlp_norm = "input_layernorm", /* one norm in front of both, which run side by side */
    .o = "self_attn.dense",
    .gate = "",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
    .function = "gelu_new",
};

/* LayerNorms over each head, with bias. */
static enum qk_code forward_norms(struct qk_model_builder *b, size_t i, struct qk_softmax_spec *s, struct qk_err *err)
{
    double eps = 0;
    size_t dim = s->head_dim;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(
        qk_spec_norm(b, i, "self_attn.q_layernorm", QK_NORM_LAYER, false, eps, s->n_heads * dim, dim, &s->q_norm, err));
    return qk_spec_norm(b, i, "self_attn.k_layernorm", QK_NORM_LAYER, false, eps, s->n_kv_heads * dim, dim, &s->k_norm,
                        err);
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    bool fused = qk_ckpt_find(b->ckpt, "transformer.h.0.mixer.Wqkv.weight") != NULL, norm = false;
    if (fused) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: no forward pass with the first published names (mixer.Wqkv)",
                       b->ckpt->path);
    }
    QK_TRY(qk_cfg_flag(b, "qk_layernorm", false, &norm, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        struct qk_softmax_spec *s = qk_spec_softmax(spec, i);
        qk_spec_layer(spec, i)->parallel = true;
        if (norm) {
            QK_TRY(forward_norms(b, i, s, err));
        }
    }
    return QK_OK;
}

static const char *const types[] = {"phi", "phi-msft", NULL};

const struct qk_family qk_family_phi = {
    .name = "phi",
    .title = "Phi-1, Phi-2",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "self_attn.{q,k}_proj with bias, or mixer.Wqkv, rows [q|k|v]",
    .build = build,
    .forward = forward,
};
