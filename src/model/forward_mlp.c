/* MLPs and mixtures of experts of a layer, sizes told by the stored tensors. */
#include "model/forward_builder.h"

#include <stdio.h>

static const char *either(const char *name, const char *usual)
{
    return name ? name : usual;
}

/* Rows of a stored module; its columns must be n_in. */
static enum qk_code rows_of(struct qk_model_builder *b, size_t layer, const char *module, bool transposed, size_t *ret,
                            struct qk_err *err)
{
    char name[256];
    const struct qk_tensor *t = NULL;
    uint64_t rows = 0, cols = 0;
    snprintf(name, sizeof name, "%s.weight", module);
    QK_TRY(qk_layer_tensor(b, layer, name, &t, err));
    qk_tensor_matrix(t, transposed, &rows, &cols);
    if (rows == 0 || rows > QK_MAX_HIDDEN * 16) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: unlikely number of rows (%llu)", b->ckpt->path, t->name,
                       (unsigned long long)rows);
    }
    *ret = (size_t)rows;
    return QK_OK;
}

struct mlp_names {
    const char *gate_up, *gate, *up, *down;
    bool transposed;
};

static enum qk_code read_mlp(struct qk_model_builder *b, size_t layer, const struct mlp_names *n,
                             enum qk_function function, struct qk_mlp_spec *ret, struct qk_err *err)
{
    struct qk_mlp_spec mlp = {.function = function};
    size_t hidden = b->model->hidden_size, inner = 0;
    if (n->gate_up) {
        QK_TRY(rows_of(b, layer, n->gate_up, n->transposed, &inner, err));
        inner /= 2;
        struct qk_head_rows gate = {.module = n->gate_up, .total = 2 * inner}, up = gate;
        up.first = inner;
        QK_TRY(qk_spec_head_rows(b, layer, &gate, 1, inner, hidden, &mlp.gate, err));
        QK_TRY(qk_spec_head_rows(b, layer, &up, 1, inner, hidden, &mlp.up, err));
    } else {
        QK_TRY(rows_of(b, layer, n->up, n->transposed, &inner, err));
        QK_TRY(qk_spec_module(b, layer, n->up, n->transposed, inner, hidden, &mlp.up, err));
        if (n->gate && n->gate[0]) {
            QK_TRY(qk_spec_module(b, layer, n->gate, n->transposed, inner, hidden, &mlp.gate, err));
        }
    }
    QK_TRY(qk_spec_module(b, layer, n->down, n->transposed, hidden, inner, &mlp.down, err));
    *ret = mlp;
    return QK_OK;
}

/* One expert of tensors (experts, rows, columns). */
static enum qk_code stacked(struct qk_model_builder *b, const struct qk_tensor *t, size_t n_experts, size_t e,
                            size_t first, size_t count, size_t n_in, struct qk_projection *ret, struct qk_err *err)
{
    struct qk_rows *block = qk_arena_alloc(b->arena, 1, sizeof *block);
    if (!block) {
        return qk_fail_nomem(err, "expert");
    }
    QK_TRY(qk_check_matrix(b, t, false, t->shape[0] * t->shape[1], n_in, err));
    if (t->n_dims != 3 || t->shape[0] != n_experts) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not one matrix for each of %zu experts", b->ckpt->path, t->name,
                       n_experts);
    }
    *block = (struct qk_rows){t, e * t->shape[1] + first, count, false};
    *ret = (struct qk_projection){.n_blocks = 1, .blocks = block, .n_out = count, .n_in = n_in};
    return QK_OK;
}

static enum qk_code read_stacked(struct qk_model_builder *b, size_t layer, const struct qk_moe_names *m,
                                 size_t n_experts, struct qk_mlp_spec *experts, struct qk_err *err)
{
    const struct qk_tensor *in = NULL, *out = NULL;
    QK_TRY(qk_layer_tensor(b, layer, m->stacked_gate_up, &in, err));
    QK_TRY(qk_layer_tensor(b, layer, m->stacked_down, &out, err));
    if (in->n_dims != 3 || in->shape[1] < 2 || in->shape[1] % 2 || in->shape[1] > QK_MAX_HIDDEN * 16) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not gate and up rows of experts", b->ckpt->path, in->name);
    }
    size_t hidden = b->model->hidden_size, inner = (size_t)(in->shape[1] / 2);
    for (size_t e = 0; e < n_experts; e++) {
        QK_TRY(stacked(b, in, n_experts, e, 0, inner, hidden, &experts[e].gate, err));
        QK_TRY(stacked(b, in, n_experts, e, inner, inner, hidden, &experts[e].up, err));
        QK_TRY(stacked(b, out, n_experts, e, 0, hidden, inner, &experts[e].down, err));
    }
    return QK_OK;
}

static enum qk_code read_experts(struct qk_model_builder *b, size_t layer, const struct qk_moe_names *m,
                                 struct qk_moe_spec *moe, enum qk_function function, struct qk_err *err)
{
    char gate[128], up[128], down[128];
    struct qk_mlp_spec *experts = qk_arena_alloc(b->arena, moe->n_experts, sizeof *experts);
    if (!experts) {
        return qk_fail_nomem(err, "experts");
    }
    moe->experts = experts;
    if (m->stacked_gate_up) {
        QK_TRY(read_stacked(b, layer, m, moe->n_experts, experts, err));
    }
    for (size_t e = 0; e < moe->n_experts; e++) {
        experts[e].function = function;
        if (!m->stacked_gate_up) {
            snprintf(gate, sizeof gate, m->gate, e);
            snprintf(up, sizeof up, m->up, e);
            snprintf(down, sizeof down, m->down, e);
            struct mlp_names names = {.gate = gate, .up = up, .down = down};
            QK_TRY(read_mlp(b, layer, &names, function, &experts[e], err));
        }
    }
    return QK_OK;
}

static enum qk_code read_shared(struct qk_model_builder *b, size_t layer, const struct qk_moe_names *m,
                                struct qk_moe_spec *moe, enum qk_function function, struct qk_err *err)
{
    char name[256];
    snprintf(name, sizeof name, "%s.weight", m->shared_gate_up ? m->shared_gate_up : either(m->shared_up, ""));
    if (!qk_layer_find(b, layer, name)) {
        return QK_OK;
    }
    struct qk_mlp_spec *shared = qk_arena_alloc(b->arena, 1, sizeof *shared);
    if (!shared) {
        return qk_fail_nomem(err, "shared expert");
    }
    struct mlp_names names = {
        .gate_up = m->shared_gate_up, .gate = m->shared_gate, .up = m->shared_up, .down = m->shared_down};
    QK_TRY(read_mlp(b, layer, &names, function, shared, err));
    moe->shared = shared;
    return m->shared_switch
               ? qk_spec_module(b, layer, m->shared_switch, false, 1, b->model->hidden_size, &moe->shared_gate, err)
               : QK_OK;
}

static enum qk_code read_groups(struct qk_model_builder *b, const struct qk_moe_names *m, struct qk_moe_spec *moe,
                                struct qk_err *err)
{
    if (!m->groups_key) {
        return QK_OK;
    }
    QK_TRY(qk_cfg_count(b, m->groups_key, 1, 1, moe->n_experts, &moe->n_groups, err));
    QK_TRY(qk_cfg_count(b, m->kept_key, 1, 1, moe->n_groups, &moe->n_groups_kept, err));
    moe->group_best = m->group_best ? m->group_best : 1;
    size_t size = moe->n_experts / moe->n_groups;
    if (moe->n_experts % moe->n_groups || size < moe->group_best || size * moe->n_groups_kept < moe->top_k) {
        return qk_cfg_fail(b, err, m->groups_key, "%zu groups, of which %zu are kept, do not fit %zu of %zu experts",
                           moe->n_groups, moe->n_groups_kept, moe->top_k, moe->n_experts);
    }
    return QK_OK;
}

static enum qk_code read_moe(struct qk_model_builder *b, size_t layer, const struct qk_moe_names *m,
                             enum qk_function function, struct qk_layer_spec *l, struct qk_err *err)
{
    struct qk_moe_spec *moe = qk_arena_alloc(b->arena, 1, sizeof *moe);
    if (!moe) {
        return qk_fail_nomem(err, "mixture of experts");
    }
    *moe = (struct qk_moe_spec){.sigmoid = m->sigmoid, .renormalise = m->renormalise, .scale = 1};
    QK_TRY(rows_of(b, layer, m->router, false, &moe->n_experts, err));
    QK_TRY(qk_spec_module(b, layer, m->router, false, moe->n_experts, b->model->hidden_size, &moe->router, err));
    QK_TRY(qk_cfg_count(b, "num_experts_per_tok|num_experts_per_token|moe_topk", QK_REQUIRED, 1, moe->n_experts,
                        &moe->top_k, err));
    if (m->renormalise_key) {
        QK_TRY(qk_cfg_flag(b, m->renormalise_key, m->renormalise, &moe->renormalise, err));
    }
    if (m->scale_key) {
        QK_TRY(qk_cfg_number(b, m->scale_key, 1, &moe->scale, err));
    }
    QK_TRY(read_groups(b, m, moe, err));
    moe->choice_bias = m->choice_bias ? qk_layer_find(b, layer, m->choice_bias) : NULL;
    if (moe->choice_bias && moe->choice_bias->n_elements != moe->n_experts) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not one value per expert", b->ckpt->path, moe->choice_bias->name);
    }
    l->moe = moe;
    QK_TRY(read_experts(b, layer, m, moe, function, err));
    return read_shared(b, layer, m, moe, function, err);
}

enum qk_code qk_spec_mlp(struct qk_model_builder *b, const struct qk_block_names *names, size_t layer,
                         struct qk_layer_spec *l, struct qk_err *err)
{
    char router[256];
    enum qk_function function = QK_FUNCTION_SILU;
    const char *keys = either(names->function_key, "hidden_act|hidden_activation|activation_function");
    QK_TRY(qk_spec_function(b, keys, either(names->function, "silu"), &function, err));
    if (names->moe) {
        snprintf(router, sizeof router, "%s.weight", names->moe->router);
        if (qk_layer_find(b, layer, router)) {
            return read_moe(b, layer, names->moe, function, l, err);
        }
    }
    if (names->up && !names->up[0]) {
        return QK_OK;
    }
    struct qk_mlp_spec *mlp = qk_arena_alloc(b->arena, 1, sizeof *mlp);
    if (!mlp) {
        return qk_fail_nomem(err, "MLP");
    }
    struct mlp_names plain = {
        .gate_up = names->gate_up,
        .gate = either(names->gate, "mlp.gate_proj"),
        .up = either(names->up, "mlp.up_proj"),
        .down = either(names->down, "mlp.down_proj"),
        .transposed = names->transposed,
    };
    QK_TRY(read_mlp(b, layer, &plain, function, mlp, err));
    l->mlp = mlp;
    return QK_OK;
}
