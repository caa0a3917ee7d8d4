/* Opening a forward description, and the pieces that every family's is made of. */
#include "model/forward_spec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "heads.h"
#include "model/forward_builder.h"

/* Appends rows to the last block when they continue it, so that a plain projection is one block. */
static void add_block(struct qk_rows *blocks, size_t *n, const struct qk_rows *rows)
{
    struct qk_rows *last = *n > 0 ? &blocks[*n - 1] : NULL;
    if (last && last->tensor == rows->tensor && last->transposed == rows->transposed &&
        last->first + last->count == rows->first) {
        last->count += rows->count;
        return;
    }
    blocks[(*n)++] = *rows;
}

enum qk_code qk_spec_module(struct qk_model_builder *b, size_t layer, const char *module, bool transposed, size_t n_out,
                            size_t n_in, struct qk_projection *ret, struct qk_err *err)
{
    struct qk_head_rows rows = {.module = module, .total = n_out, .transposed = transposed};
    return qk_spec_head_rows(b, layer, &rows, 1, n_out, n_in, ret, err);
}

enum qk_code qk_spec_head_rows(struct qk_model_builder *b, size_t layer, const struct qk_head_rows *r, size_t n,
                               size_t count, size_t n_in, struct qk_projection *ret, struct qk_err *err)
{
    char name[256];
    struct qk_projection p = {.n_out = n * count, .n_in = n_in};
    const struct qk_tensor *weight = NULL, *bias = NULL;
    snprintf(name, sizeof name, "%s.weight", r->module);
    QK_TRY(qk_layer_tensor(b, layer, name, &weight, err));
    QK_TRY(qk_check_matrix(b, weight, r->transposed, r->total, n_in, err));
    snprintf(name, sizeof name, "%s.bias", r->module);
    bias = qk_layer_find(b, layer, name);
    if (bias) {
        QK_TRY(qk_check_matrix(b, bias, false, r->total, 1, err));
    }
    if (n == 0 || count == 0 || qk_head_first(r, n - 1, count) + count > r->total) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: too few rows (expected %zu times %zu, found %llu)", b->ckpt->path,
                       weight->name, n, count, (unsigned long long)r->total);
    }
    struct qk_rows *blocks = qk_arena_alloc(b->arena, n, sizeof *blocks);
    struct qk_rows *biases = qk_arena_alloc(b->arena, n, sizeof *biases);
    if (!blocks || !biases) {
        return qk_fail_nomem(err, "projection");
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t first = qk_head_first(r, i, count);
        add_block(blocks, &p.n_blocks, &(struct qk_rows){weight, first, count, r->transposed});
        if (bias) {
            add_block(biases, &p.n_bias, &(struct qk_rows){bias, first, count, false});
        }
    }
    p.blocks = blocks;
    p.bias = biases;
    *ret = p;
    return QK_OK;
}

static enum qk_code heads_of(struct qk_model_builder *b, const struct qk_head_part *parts, const struct qk_rows *bias,
                             size_t n, size_t head_dim, size_t n_in, struct qk_projection *ret, struct qk_err *err)
{
    struct qk_projection p = {.n_out = n * head_dim, .n_in = n_in};
    struct qk_rows *blocks = qk_arena_alloc(b->arena, n, sizeof *blocks);
    struct qk_rows *biases = qk_arena_alloc(b->arena, n, sizeof *biases);
    if (!blocks || !biases) {
        return qk_fail_nomem(err, "projection");
    }
    for (size_t h = 0; h < n; h++) {
        add_block(blocks, &p.n_blocks, &parts[h].rows);
        if (bias) {
            add_block(biases, &p.n_bias, &bias[h]);
        }
    }
    p.blocks = blocks;
    p.bias = biases;
    *ret = p;
    return QK_OK;
}

enum qk_code qk_spec_qk(struct qk_model_builder *b, size_t layer, struct qk_projection *ret_q,
                        struct qk_projection *ret_k, struct qk_err *err)
{
    const struct qk_layer *l = &b->model->layers[layer];
    QK_TRY(heads_of(b, l->q, l->q_bias, l->n_heads, l->head_dim, l->n_in, ret_q, err));
    return heads_of(b, l->k, l->k_bias, l->n_kv_heads, l->head_dim, l->n_in, ret_k, err);
}

enum qk_code qk_spec_vector(struct qk_model_builder *b, size_t layer, const char *name, uint64_t n, struct qk_rows *ret,
                            struct qk_err *err)
{
    const struct qk_tensor *t = NULL;
    QK_TRY(qk_layer_tensor(b, layer, name, &t, err));
    if (t->n_elements != n) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %llu, found %llu)", b->ckpt->path,
                       t->name, (unsigned long long)n, (unsigned long long)t->n_elements);
    }
    uint64_t rows = 0, cols = 0;
    qk_tensor_matrix(t, false, &rows, &cols);
    *ret = (struct qk_rows){t, 0, rows, false};
    return QK_OK;
}

enum qk_code qk_spec_norm(struct qk_model_builder *b, size_t layer, const char *module, enum qk_norm_kind kind,
                          bool plus_one, double eps, size_t n, size_t group, struct qk_norm_spec *ret,
                          struct qk_err *err)
{
    char name[256];
    struct qk_norm_spec norm = {.kind = kind, .plus_one = plus_one, .eps = eps, .n = n, .group = group};
    if (!module || !module[0]) {
        *ret = (struct qk_norm_spec){0};
        return QK_OK;
    }
    snprintf(name, sizeof name, "%s.weight", module);
    QK_TRY(qk_layer_tensor(b, layer, name, &norm.weight, err));
    snprintf(name, sizeof name, "%s.bias", module);
    norm.bias = kind == QK_NORM_LAYER ? qk_layer_find(b, layer, name) : NULL;
    bool shared = group && norm.weight->n_elements == group;
    if ((norm.weight->n_elements != n && !shared) || (kind == QK_NORM_LAYER && group && !shared) ||
        (norm.bias && norm.bias->n_elements != norm.weight->n_elements)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %zu, found %llu)", b->ckpt->path,
                       norm.weight->name, group ? group : n, (unsigned long long)norm.weight->n_elements);
    }
    *ret = norm;
    return QK_OK;
}

enum qk_code qk_spec_only_string(const struct qk_model_builder *b, const char *key, const char *value,
                                 struct qk_err *err)
{
    const char *found = NULL;
    QK_TRY(qk_cfg_string(b, key, value, &found, err));
    return !strcmp(found, value) ? QK_OK
                                 : qk_fail(err, QK_EUNSUPPORTED, "%s: %s: no forward pass with '%s' (expected '%s')",
                                           b->source, key, found, value);
}

enum qk_code qk_spec_only_flag(const struct qk_model_builder *b, const char *key, bool value, struct qk_err *err)
{
    bool found = value;
    QK_TRY(qk_cfg_flag(b, key, value, &found, err));
    return found == value ? QK_OK
                          : qk_fail(err, QK_EUNSUPPORTED, "%s: %s: no forward pass with %s (expected %s)", b->source,
                                    key, found ? "true" : "false", value ? "true" : "false");
}

void qk_spec_qk_norms(const struct qk_layer *l, double eps, struct qk_norm_spec *ret_q, struct qk_norm_spec *ret_k)
{
    const struct qk_norm_weight *weights[2] = {&l->q_norm, &l->k_norm};
    struct qk_norm_spec *norms[2] = {ret_q, ret_k};
    size_t n[2] = {l->n_heads * l->head_dim, l->n_kv_heads * l->head_dim};
    for (size_t i = 0; i < 2; i++) {
        *norms[i] = (struct qk_norm_spec){0};
        if (l->qk_norm_kind != QK_QK_NORM_NONE) {
            *norms[i] = (struct qk_norm_spec){.kind = QK_NORM_RMS,
                                              .weight = weights[i]->tensor,
                                              .plus_one = weights[i]->plus_one,
                                              .eps = eps,
                                              .n = n[i],
                                              .group = l->qk_norm_kind == QK_QK_NORM_HEAD ? l->head_dim : 0};
        }
    }
}

enum qk_code qk_spec_new_linear(struct qk_forward_spec *spec, size_t layer, struct qk_linear_spec **ret,
                                struct qk_err *err)
{
    struct qk_layer_spec *l = qk_spec_layer(spec, layer);
    struct qk_linear_spec *linear = qk_arena_alloc(spec->arena, 1, sizeof *linear);
    if (!linear) {
        return qk_fail_nomem(err, "linear mixer");
    }
    l->n_mixers = 1;
    l->mixers[0] = (struct qk_mixer_spec){.kind = QK_MIXER_LINEAR, .linear = linear};
    *ret = linear;
    return QK_OK;
}

enum qk_code qk_spec_decay(struct qk_model_builder *b, size_t layer, const char *prefix, const char *module, size_t n,
                           struct qk_linear_spec *ret, struct qk_err *err)
{
    char name[256];
    snprintf(name, sizeof name, "%s.A_log", prefix);
    QK_TRY(qk_spec_vector(b, layer, name, n, &ret->a_log, err));
    snprintf(name, sizeof name, "%s.dt_bias", prefix);
    QK_TRY(qk_spec_vector(b, layer, name, n, &ret->dt_bias, err));
    return module ? qk_spec_module(b, layer, module, false, n, b->model->hidden_size, &ret->decay, err) : QK_OK;
}

enum qk_code qk_spec_slopes(struct qk_forward_spec *spec, size_t n, double **ret, struct qk_err *err)
{
    double *slopes = qk_arena_alloc(spec->arena, n, sizeof *slopes);
    size_t power = 1;
    if (!slopes) {
        return qk_fail_nomem(err, "slopes");
    }
    while (power <= n / 2) {
        power *= 2;
    }
    for (size_t h = 0; h < n; h++) {
        slopes[h] = h < power ? exp2(-8.0 * (double)(h + 1) / (double)power)
                              : exp2(-8.0 * (double)(2 * (h - power) + 1) / (double)(2 * power));
    }
    *ret = slopes;
    return QK_OK;
}

struct qk_layer_spec *qk_spec_layer(struct qk_forward_spec *spec, size_t layer)
{
    /* spec owns its layers; they are const for those who run it */
    return (struct qk_layer_spec *)(uintptr_t)&spec->layers[layer];
}

struct qk_softmax_spec *qk_spec_softmax(struct qk_forward_spec *spec, size_t layer)
{
    return (struct qk_softmax_spec *)(uintptr_t)spec->layers[layer].mixers[0].softmax;
}

struct qk_mlp_spec *qk_spec_plain_mlp(struct qk_forward_spec *spec, size_t layer)
{
    return (struct qk_mlp_spec *)(uintptr_t)spec->layers[layer].mlp;
}

static enum qk_code check_complete(const struct qk_forward_spec *spec, struct qk_err *err)
{
    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct qk_layer_spec *l = &spec->layers[i];
        if (l->n_mixers == 0 && !l->mlp && !l->moe) {
            return qk_fail(err, QK_EUNSUPPORTED, "%s: layer %zu: no forward pass for a mixer of kind '%s'",
                           spec->model->ckpt->path, i, spec->model->layers[i].mixer);
        }
    }
    return QK_OK;
}

enum qk_code qk_forward_spec_open(const struct qk_model *model, struct qk_forward_spec **ret, struct qk_err *err)
{
    if (!model->family->forward) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: model_type '%s': there is no forward pass for this family",
                       model->ckpt->path, model->model_type);
    }
    struct qk_arena *arena = qk_arena_new();
    struct qk_forward_spec *spec = arena ? qk_arena_alloc(arena, 1, sizeof *spec) : NULL;
    if (!spec) {
        qk_arena_free(arena);
        return qk_fail_nomem(err, "forward description");
    }
    /* the model is only read through the builder */
    struct qk_model_builder b = {
        .model = (struct qk_model *)(uintptr_t)model,
        .ckpt = model->ckpt,
        .config = model->config,
        .outer_config = model->ckpt->config,
        .source = model->ckpt->config_path,
        .arena = arena,
        .prefix = model->prefix,
        .n_layers = model->n_layers,
    };
    spec->model = model;
    spec->arena = arena;
    enum qk_code code = model->family->forward(&b, spec, err);
    if (code == QK_OK) {
        code = check_complete(spec, err);
    }
    if (code != QK_OK) {
        qk_arena_free(arena);
        return code;
    }
    *ret = spec;
    return QK_OK;
}

void qk_forward_spec_free(struct qk_forward_spec *spec)
{
    if (spec) {
        qk_arena_free(spec->arena);
    }
}
