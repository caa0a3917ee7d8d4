/* The convolutions of token mixers, and Mamba 2, which has one over x, B and C. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/forward_builder.h"

/* Taps of a stored convolution; channels its rows. */
static enum qk_code find_conv(struct qk_model_builder *b, size_t layer, const char *module,
                              const struct qk_tensor **ret, uint64_t *ret_rows, uint64_t *ret_width, struct qk_err *err)
{
    char name[256];
    snprintf(name, sizeof name, "%s.weight", module);
    QK_TRY(qk_layer_tensor(b, layer, name, ret, err));
    qk_tensor_matrix(*ret, false, ret_rows, ret_width);
    if (*ret_width < 1 || *ret_width > 64) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not a short convolution (width %llu)", b->ckpt->path, (*ret)->name,
                       (unsigned long long)*ret_width);
    }
    return QK_OK;
}

enum qk_code qk_spec_conv_parts(struct qk_model_builder *b, size_t layer, const char *const *modules, size_t n_modules,
                                size_t first, size_t n, enum qk_function function, struct qk_conv_spec *ret,
                                struct qk_err *err)
{
    struct qk_rows *blocks = qk_arena_alloc(b->arena, n_modules, sizeof *blocks);
    struct qk_conv_spec conv = {.weight = blocks, .function = function};
    uint64_t at = 0, end = (uint64_t)first + n;
    if (!blocks) {
        return qk_fail_nomem(err, "convolution");
    }
    for (size_t i = 0; i < n_modules; i++) {
        const struct qk_tensor *t = NULL;
        uint64_t rows = 0, width = 0;
        QK_TRY(find_conv(b, layer, modules[i], &t, &rows, &width, err));
        if (i > 0 && width != conv.width) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: width of a convolution (expected %zu, found %llu)", b->ckpt->path,
                           t->name, conv.width, (unsigned long long)width);
        }
        conv.width = (size_t)width;
        uint64_t from = first > at ? first - at : 0, to = end < at + rows ? end - at : rows;
        if (end > at && from < to) {
            blocks[conv.n_blocks++] = (struct qk_rows){t, from, to - from, false};
        }
        at += rows;
    }
    if (at < end || conv.n_blocks == 0) {
        return qk_fail(err, QK_EFORMAT, "%s: layer %zu: %s: too few channels (expected %llu, found %llu)",
                       b->ckpt->path, layer, modules[0], (unsigned long long)end, (unsigned long long)at);
    }
    *ret = conv;
    return QK_OK;
}

enum qk_code qk_spec_conv(struct qk_model_builder *b, size_t layer, const char *module, size_t first, size_t n,
                          enum qk_function function, struct qk_conv_spec *ret, struct qk_err *err)
{
    char name[256];
    uint64_t rows = 0, cols = 0;
    struct qk_conv_spec conv = {0};
    QK_TRY(qk_spec_conv_parts(b, layer, &module, 1, first, n, function, &conv, err));
    snprintf(name, sizeof name, "%s.bias", module);
    const struct qk_tensor *bias = qk_layer_find(b, layer, name);
    qk_tensor_matrix(conv.weight[0].tensor, false, &rows, &cols);
    if (bias && bias->n_elements != rows) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: not one value per channel (expected %llu, found %llu)", b->ckpt->path,
                       bias->name, (unsigned long long)rows, (unsigned long long)bias->n_elements);
    }
    conv.bias = (struct qk_rows){bias, first, bias ? n : 0, false};
    *ret = conv;
    return QK_OK;
}

/* time_step_limit [lo, hi]; infinity may be written as a number or as an object. */
static enum qk_code read_limits(struct qk_model_builder *b, struct qk_linear_spec *s, struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(b, "time_step_limit"), *hi = NULL;
    if (!json) {
        return QK_OK;
    }
    const struct qk_json *lo = qk_json_type(json) == QK_JSON_ARRAY ? qk_json_first(json) : NULL;
    hi = lo ? qk_json_next(lo) : NULL;
    if (!hi || !qk_json_double(lo, &s->dt_min)) {
        return qk_cfg_fail(b, err, "time_step_limit", "not two numbers");
    }
    if (!qk_json_double(hi, &s->dt_max) || isinf(s->dt_max)) {
        s->dt_max = 0;
    }
    return QK_OK;
}

/* Rows of in_proj: [z | x | B | C | dt]; channels of conv1d: [x | B | C]. */
static enum qk_code mamba2_rows(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *m,
                                struct qk_linear_spec *s, struct qk_err *err)
{
    char in_proj[128], conv[128];
    size_t state = m->n_groups * m->d_state, at = 0;
    uint64_t total = 2 * (uint64_t)m->d_inner + 2 * (uint64_t)state + m->n_heads;
    snprintf(in_proj, sizeof in_proj, "%s.in_proj", m->module);
    snprintf(conv, sizeof conv, "%s.conv1d", m->module);
    struct {
        struct qk_projection *projection;
        size_t n;
    } parts[] = {{&s->gate.projection, m->d_inner},
                 {&s->v, m->d_inner},
                 {&s->k, state},
                 {&s->q, state},
                 {&s->decay, m->n_heads}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct qk_head_rows rows = {.module = in_proj, .total = total, .first = at};
        QK_TRY(qk_spec_head_rows(b, layer, &rows, 1, parts[i].n, m->n_in, parts[i].projection, err));
        at += parts[i].n;
    }
    enum qk_function act = QK_FUNCTION_NONE;
    QK_TRY(qk_spec_function(b, "mamba_hidden_act|hidden_act", "silu", &act, err));
    QK_TRY(qk_spec_conv(b, layer, conv, 0, m->d_inner, act, &s->v_conv, err));
    QK_TRY(qk_spec_conv(b, layer, conv, m->d_inner, state, act, &s->k_conv, err));
    return qk_spec_conv(b, layer, conv, m->d_inner + state, state, act, &s->q_conv, err);
}

enum qk_code qk_spec_mamba2(struct qk_model_builder *b, size_t layer, const struct qk_mamba2 *m, double eps,
                            struct qk_linear_spec *ret, struct qk_err *err)
{
    char name[128];
    struct qk_linear_spec s = {
        .n_heads = m->n_heads,
        .n_qk_heads = m->n_groups,
        .n_k_heads = m->n_groups,
        .n_v_heads = m->n_heads,
        .d_k = m->d_state,
        .d_v = m->d_inner / m->n_heads,
        .scale = 1,
        .v_times_dt = true,
        .gate = {.function = QK_FUNCTION_SILU, .before_norm = true},
    };
    if (m->d_inner % m->n_heads || m->n_heads % m->n_groups) {
        return qk_fail(err, QK_EFORMAT, "%s: %zu channels, %zu heads and %zu groups do not fit together", b->source,
                       m->d_inner, m->n_heads, m->n_groups);
    }
    QK_TRY(mamba2_rows(b, layer, m, &s, err));
    QK_TRY(qk_spec_decay(b, layer, m->module, NULL, m->n_heads, &s, err));
    QK_TRY(read_limits(b, &s, err));
    snprintf(name, sizeof name, "%s.D", m->module);
    QK_TRY(qk_spec_vector(b, layer, name, m->n_heads, &s.skip, err));
    snprintf(name, sizeof name, "%s.norm.weight", m->module);
    if (qk_layer_find(b, layer, name)) {
        name[strlen(name) - strlen(".weight")] = 0;
        QK_TRY(qk_spec_norm(b, layer, name, QK_NORM_RMS, false, eps, m->d_inner, 0, &s.out_norm, err));
    }
    snprintf(name, sizeof name, "%s.out_proj", m->module);
    QK_TRY(qk_spec_module(b, layer, name, false, m->n_in, m->d_inner, &s.o, err));
    *ret = s;
    return QK_OK;
}
