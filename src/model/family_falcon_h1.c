/* Falcon-H1: every layer has softmax attention and a Mamba 2 mixer side by side; Q and K are the attention's. */
#include "model/forward_builder.h"

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

/* n numbers of a list, ones without it. */
static enum qk_code read_list(struct qk_model_builder *b, const char *key, size_t n, double *ret, struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(b, key), *item = NULL;
    if (json && (qk_json_type(json) != QK_JSON_ARRAY || qk_json_count(json) != n)) {
        return qk_cfg_fail(b, err, key, "not a list of %zu numbers", n);
    }
    item = qk_json_first(json);
    for (size_t i = 0; i < n; i++) {
        ret[i] = 1;
        if (item && !qk_json_double(item, &ret[i])) {
            return qk_cfg_fail(b, err, key, "value %zu is not a number", i);
        }
        item = item ? qk_json_next(item) : NULL;
    }
    return QK_OK;
}

static enum qk_code forward_mamba(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                  const struct qk_mamba2 *mamba, double eps, struct qk_err *err)
{
    double m[5];
    bool norm_first = true;
    struct qk_mixer_spec *mixer = &qk_spec_layer(spec, i)->mixers[1];
    struct qk_linear_spec *s = qk_arena_alloc(b->arena, 1, sizeof *s);
    if (!s) {
        return qk_fail_nomem(err, "mixer");
    }
    QK_TRY(qk_spec_mamba2(b, i, mamba, eps, s, err));
    QK_TRY(read_list(b, "ssm_multipliers", 5, m, err));
    QK_TRY(qk_cfg_flag(b, "mamba_norm_before_gate", true, &norm_first, err));
    struct qk_projection *parts[5] = {&s->gate.projection, &s->v, &s->k, &s->q, &s->decay};
    for (size_t p = 0; p < 5; p++) {
        parts[p]->multiplier = m[p];
    }
    s->gate.before_norm = !norm_first;
    s->out_norm.group = mamba->d_inner / mamba->n_groups;
    *mixer = (struct qk_mixer_spec){.kind = QK_MIXER_LINEAR, .linear = s};
    QK_TRY(qk_cfg_number(b, "ssm_in_multiplier", 1, &mixer->in_multiplier, err));
    return qk_cfg_number(b, "ssm_out_multiplier", 1, &mixer->out_multiplier, err);
}

static enum qk_code forward_layer(struct qk_model_builder *b, struct qk_forward_spec *spec, size_t i,
                                  const struct qk_mamba2 *mamba, double eps, struct qk_err *err)
{
    double m[2];
    struct qk_layer_spec *l = qk_spec_layer(spec, i);
    struct qk_mlp_spec *mlp = qk_spec_plain_mlp(spec, i);
    QK_TRY(qk_cfg_number(b, "attention_in_multiplier", 1, &l->mixers[0].in_multiplier, err));
    QK_TRY(qk_cfg_number(b, "attention_out_multiplier", 1, &l->mixers[0].out_multiplier, err));
    QK_TRY(qk_cfg_number(b, "key_multiplier", 1, &qk_spec_softmax(spec, i)->k.multiplier, err));
    QK_TRY(read_list(b, "mlp_multipliers", 2, m, err));
    mlp->gate.multiplier = m[0];
    mlp->down.multiplier = m[1];
    QK_TRY(forward_mamba(b, spec, i, mamba, eps, err));
    l->n_mixers = 2;
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    static const struct qk_block_names names = {
        .eps = 1e-5,
        .mlp_norm = "pre_ff_layernorm",
        .gate = "feed_forward.gate_proj",
        .up = "feed_forward.up_proj",
        .down = "feed_forward.down_proj",
    };
    struct qk_mamba2 mamba = {0};
    double eps = 0;
    QK_TRY(qk_spec_eps(b, &names, &eps, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    QK_TRY(qk_cfg_mamba2(b, spec->hidden, &mamba, err));
    QK_TRY(qk_cfg_number(b, "embedding_multiplier", 1, &spec->embedding_multiplier, err));
    QK_TRY(qk_cfg_number(b, "lm_head_multiplier", 1, &spec->head.multiplier, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        QK_TRY(forward_layer(b, spec, i, &mamba, eps, err));
    }
    return QK_OK;
}

static const char *const types[] = {"falcon_h1", NULL};

const struct qk_family qk_family_falcon_h1 = {
    .name = "falcon_h1",
    .title = "Falcon-H1 (softmax attention and Mamba 2 in parallel)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD | QK_SUPPORT_IMPLICIT,
    .layout = "self_attn.{q,k}_proj",
    .build = build,
    .forward = forward,
};
