/* DeepSeek-V2, V3, R1, Kimi K2: latent attention, the rotary part behind the rest of each head, pairs interleaved. */
#include "model/forward_builder.h"

#include <math.h>
#include <string.h>

static const struct qk_role_rule rules[] = {{"self_attn.indexer.*", QK_ROLE_OTHER}};

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_dims d;
    struct qk_mla mla;
    struct qk_position position;
    struct qk_rope_request rope = {0};
    b->rules = rules;
    b->n_rules = sizeof rules / sizeof *rules;
    b->defaults.head_dim = 1; /* latent attention has its own */
    QK_TRY(qk_cfg_dims(b, &d, err));
    QK_TRY(qk_build_layers(b, "model.layers.", &d, err));
    QK_TRY(qk_cfg_mla(b, &d, &mla, err));
    rope.first = mla.nope;
    rope.dim = mla.rope;
    QK_TRY(qk_cfg_flag(b, "rope_interleave", true, &rope.interleaved, err));
    QK_TRY(qk_position_rope(b, &rope, mla.nope + mla.rope, &position, err));
    mla.position = &position;
    for (size_t i = 0; i < d.n_layers; i++) {
        QK_TRY(qk_build_mla(b, i, &mla, err));
    }
    return QK_OK;
}

static const struct qk_moe_names third_moe = {
    .router = "mlp.gate",
    .gate = "mlp.experts.%zu.gate_proj",
    .up = "mlp.experts.%zu.up_proj",
    .down = "mlp.experts.%zu.down_proj",
    .shared_gate = "mlp.shared_experts.gate_proj",
    .shared_up = "mlp.shared_experts.up_proj",
    .shared_down = "mlp.shared_experts.down_proj",
    .choice_bias = "mlp.gate.e_score_correction_bias",
    .sigmoid = true,
    .renormalise_key = "norm_topk_prob",
    .renormalise = true,
    .scale_key = "routed_scaling_factor",
    .groups_key = "n_group",
    .kept_key = "topk_group",
    .group_best = 2,
};
/* softmax scores, a group ranked by its best, weights never renormalised */
static const struct qk_moe_names second_moe = {
    .router = "mlp.gate",
    .gate = "mlp.experts.%zu.gate_proj",
    .up = "mlp.experts.%zu.up_proj",
    .down = "mlp.experts.%zu.down_proj",
    .shared_gate = "mlp.shared_experts.gate_proj",
    .shared_up = "mlp.shared_experts.up_proj",
    .shared_down = "mlp.shared_experts.down_proj",
    .scale_key = "routed_scaling_factor",
    .groups_key = "n_group",
    .kept_key = "topk_group",
};

/* A stretched rotation sharpens the softmax too: 0.1 · mscale_all_dim · ln(factor) + 1, squared. */
static enum qk_code read_stretch(struct qk_model_builder *b, double *ret, struct qk_err *err)
{
    double factor = 1, all = 0;
    QK_TRY(qk_cfg_number(b, "rope_parameters.factor|rope_scaling.factor", 1, &factor, err));
    QK_TRY(qk_cfg_number(b, "rope_parameters.mscale_all_dim|rope_scaling.mscale_all_dim", 0, &all, err));
    *ret = factor > 1 && all != 0 ? 0.1 * all * log(factor) + 1 : 1;
    return QK_OK;
}

static enum qk_code forward(struct qk_model_builder *b, struct qk_forward_spec *spec, struct qk_err *err)
{
    bool second = !strcmp(b->model->model_type, "deepseek_v2");
    struct qk_block_names names = {.moe = second ? &second_moe : &third_moe};
    struct qk_moe_names ungrouped = second_moe;
    const char *method = NULL;
    double stretch = 1;
    if (qk_cfg_find(b, "index_topk") || !strcmp(b->model->model_type, "deepseek_v32")) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: index_topk: no forward pass with sparse attention", b->source);
    }
    QK_TRY(qk_cfg_string(b, "topk_method", second ? "greedy" : "noaux_tc", &method, err));
    if (second && !strcmp(method, "greedy")) {
        ungrouped.groups_key = NULL;
        names.moe = &ungrouped;
    } else if (strcmp(method, second ? "group_limited_greedy" : "noaux_tc") != 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: topk_method: no such way of choosing experts here (found '%s')",
                       b->source, method);
    }
    QK_TRY(qk_spec_only_string(b, "scoring_func", second ? "softmax" : "sigmoid", err));
    if (second) {
        QK_TRY(qk_spec_only_flag(b, "norm_topk_prob", false, err));
    }
    QK_TRY(read_stretch(b, &stretch, err));
    QK_TRY(qk_spec_blocks(b, spec, &names, err));
    for (size_t i = 0; i < spec->n_layers; i++) {
        /* the latents' norms keep their default eps, whatever the config says */
        QK_TRY(qk_spec_latent(b, spec, i, "self_attn", 1e-6, err));
        qk_spec_softmax(spec, i)->scale *= stretch * stretch;
    }
    return QK_OK;
}

static const char *const types[] = {"deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", NULL};

const struct qk_family qk_family_deepseek_v3 = {
    .name = "deepseek_v3",
    .title = "DeepSeek-V2, V3, R1, Kimi K2 (latent attention)",
    .model_types = types,
    .support = QK_SUPPORT_WEIGHTS | QK_SUPPORT_FORWARD,
    .layout = "q_b_proj through q_a_proj (or q_proj); kv_b_proj through kv_a_proj_with_mqa, and its rotary rows",
    .build = build,
    .forward = forward,
};
