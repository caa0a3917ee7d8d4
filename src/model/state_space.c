/* Mamba 2 layers: what stands for Q and K are C and B (arXiv 2405.21060), rows of the fused input projection. */
#include "model/builder.h"

#include <stdio.h>

struct rows_at {
    uint64_t x, b, c, dt, total;
};

static struct rows_at layout(const struct qk_mamba2 *m)
{
    uint64_t state = (uint64_t)m->n_groups * m->d_state;
    struct rows_at at = {.x = m->d_inner};
    at.b = at.x + m->d_inner;
    at.c = at.b + state;
    at.dt = at.c + state;
    at.total = at.dt + m->n_heads;
    return at;
}

/* Weight and, where there is one, bias of the input projection; rows checked. */
static enum qk_code find_in_proj(const struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *m,
                                 const struct qk_tensor *ret[2], struct qk_err *err)
{
    char name[256];
    uint64_t total = layout(m).total;
    snprintf(name, sizeof name, "%s.in_proj.weight", m->module);
    QK_TRY(qk_layer_tensor(b, layer, name, &ret[0], err));
    QK_TRY(qk_check_matrix(b, ret[0], false, total, m->n_in, err));
    snprintf(name, sizeof name, "%s.in_proj.bias", m->module);
    ret[1] = qk_layer_find(b, layer, name);
    return ret[1] ? qk_check_matrix(b, ret[1], false, total, 1, err) : QK_OK;
}

enum qk_code qk_build_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *m, struct qk_err *err)
{
    const struct qk_tensor *in_proj[2] = {0};
    struct rows_at at = layout(m);
    char module[256];
    QK_TRY(find_in_proj(b, layer, m, in_proj, err));
    snprintf(module, sizeof module, "%s.in_proj", m->module);
    struct qk_heads heads = {
        .kind = QK_LAYER_SSM,
        .mixer = "mamba2",
        .n_heads = m->n_groups,
        .n_kv_heads = m->n_groups,
        .n_value_heads = m->n_heads,
        .head_dim = m->d_state,
        .v_head_dim = m->n_heads ? m->d_inner / m->n_heads : 0,
        .n_in = m->n_in,
        .q = {.module = module, .total = at.total, .first = at.c},
        .k = {.module = module, .total = at.total, .first = at.b},
        .input_norm = m->input_norm,
    };
    QK_TRY(qk_build_heads(b, layer, &heads, err));
    for (size_t i = 0; i < 2 && in_proj[i]; i++) {
        struct qk_rows gate = {in_proj[i], 0, m->d_inner, false}, dt = {in_proj[i], at.dt, m->n_heads, false};
        QK_TRY(qk_claim_rows(b, &gate, QK_ROLE_GATE, err));
        QK_TRY(qk_claim_rows(b, &dt, QK_ROLE_DECAY, err));
    }
    return QK_OK;
}

enum qk_code qk_claim_parallel_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *m,
                                      struct qk_err *err)
{
    const struct qk_tensor *in_proj[2] = {0}, *out = NULL;
    struct rows_at at = layout(m);
    char name[256];
    QK_TRY(find_in_proj(b, layer, m, in_proj, err));
    for (size_t i = 0; i < 2 && in_proj[i]; i++) {
        struct qk_rows rest = {in_proj[i], 0, at.dt, false}, dt = {in_proj[i], at.dt, m->n_heads, false};
        QK_TRY(qk_claim_rows(b, &rest, QK_ROLE_SSM, err));
        QK_TRY(qk_claim_rows(b, &dt, QK_ROLE_DECAY, err));
    }
    snprintf(name, sizeof name, "%s.out_proj.weight", m->module);
    QK_TRY(qk_layer_tensor(b, layer, name, &out, err));
    struct qk_rows all = {out, 0, m->n_in, false};
    QK_TRY(qk_check_matrix(b, out, false, m->n_in, m->d_inner, err));
    return qk_claim_rows(b, &all, QK_ROLE_SSM, err);
}

enum qk_code qk_cfg_mamba2(const struct qk_model_builder *b, size_t hidden, struct qk_mamba2 *ret, struct qk_err *err)
{
    struct qk_mamba2 m = {.module = "mamba", .n_in = hidden, .input_norm = "input_layernorm.weight"};
    double expand = 0;
    size_t d_head = 0;
    QK_TRY(qk_cfg_number(b, "mamba_expand", 2, &expand, err));
    if (!(expand >= 0 && expand * (double)hidden <= (double)QK_MAX_HIDDEN)) {
        return qk_cfg_fail(b, err, "mamba_expand", "out of range (found %g)", expand);
    }
    QK_TRY(qk_cfg_count(b, "mamba_d_ssm", (size_t)(expand * (double)hidden), 1, QK_MAX_HIDDEN, &m.d_inner, err));
    QK_TRY(qk_cfg_count(b, "mamba_n_groups", 1, 1, QK_MAX_HEADS, &m.n_groups, err));
    QK_TRY(qk_cfg_count(b, "mamba_d_state", QK_REQUIRED, 1, QK_MAX_HEAD_DIM, &m.d_state, err));
    QK_TRY(qk_cfg_count(b, "mamba_n_heads", QK_REQUIRED, 1, QK_MAX_HEADS, &m.n_heads, err));
    const struct qk_json *json = qk_cfg_find(b, "mamba_d_head");
    if (json && qk_json_type(json) == QK_JSON_NUMBER) { /* "auto" follows from the others */
        QK_TRY(qk_cfg_count(b, "mamba_d_head", 0, 1, QK_MAX_HEAD_DIM, &d_head, err));
        if (d_head * m.n_heads != m.d_inner) {
            return qk_cfg_fail(b, err, "mamba_d_head", "does not fit mamba_n_heads (expected %zu / %zu, found %zu)",
                               m.d_inner, m.n_heads, d_head);
        }
    }
    *ret = m;
    return QK_OK;
}
