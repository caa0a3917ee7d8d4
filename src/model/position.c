/* The rotary parameters of a config, in the spellings of transformers ≥ 5 (rope_parameters, possibly per layer type)
 * and of older published configs (rope_theta, rope_scaling, partial_rotary_factor, rotary_pct, rotary_emb_base). */
#include "model/builder.h"

#include <math.h>
#include <string.h>

#include "model/rope.h"

/* The objects that hold this request's parameters. */
struct sources {
    const struct qk_json *parameters; /* rope_parameters (of the layer type), or NULL */
    const struct qk_json *scaling;    /* the same, or rope_scaling; NULL = plain */
    bool own;                         /* parameters are of this layer type alone */
};

/* Of an object per layer type the one asked for, else the object itself. */
static const struct qk_json *for_layer_type(const struct qk_json *json, const char *layer_type)
{
    const struct qk_json *own = layer_type ? qk_json_get(json, layer_type) : NULL;
    if (own && qk_json_type(own) == QK_JSON_OBJECT) {
        return own;
    }
    return json;
}

static struct sources find_sources(const struct qk_model_builder *b, const struct qk_rope_request *r)
{
    struct sources s = {0};
    const struct qk_json *parameters = qk_cfg_find(b, "rope_parameters");
    bool scaled = !r->scaling_key || r->scaling_key[0];
    if (parameters && qk_json_type(parameters) == QK_JSON_OBJECT) {
        s.parameters = for_layer_type(parameters, r->layer_type);
        s.own = s.parameters != parameters;
        s.scaling = scaled || s.own ? s.parameters : NULL;
        return s;
    }
    const struct qk_json *scaling = scaled ? qk_cfg_find(b, r->scaling_key ? r->scaling_key : "rope_scaling") : NULL;
    if (scaling && qk_json_type(scaling) == QK_JSON_OBJECT) {
        s.scaling = for_layer_type(scaling, r->layer_type);
    }
    return s;
}

/* Within an object the config functions work as on the config. */
static struct qk_model_builder inside(const struct qk_model_builder *b, const struct qk_json *json)
{
    struct qk_model_builder in = *b;
    in.config = json;
    return in;
}

static enum qk_code read_theta(const struct qk_model_builder *b, const struct sources *s,
                               const struct qk_rope_request *r, double *ret, struct qk_err *err)
{
    double theta = r->theta > 0 ? r->theta : 10000;
    const char *keys = r->theta_key ? r->theta_key : "rope_theta|rotary_emb_base";
    struct qk_model_builder in = inside(b, s->parameters);
    /* what stands with the other parameters, or is said of this layer type alone, goes before what is said elsewhere */
    if (s->own || qk_cfg_find(&in, "rope_theta") || !qk_cfg_find(b, keys)) {
        return qk_cfg_number(&in, "rope_theta", theta, ret, err);
    }
    return qk_cfg_number(b, keys, theta, ret, err);
}

static enum qk_code read_rotary_dim(const struct qk_model_builder *b, const struct sources *s,
                                    const struct qk_rope_request *r, size_t head_dim, size_t *ret, struct qk_err *err)
{
    size_t dim = r->dim ? r->dim : head_dim, explicit_dim = 0;
    double partial = r->partial > 0 ? r->partial : 1;
    struct qk_model_builder in = inside(b, s->parameters);
    QK_TRY(qk_cfg_number(b, "partial_rotary_factor|rotary_pct|rope_pct", partial, &partial, err));
    QK_TRY(qk_cfg_number(&in, "partial_rotary_factor", partial, &partial, err));
    QK_TRY(qk_cfg_count(b, "rotary_dim", 0, 0, dim, &explicit_dim, err));
    if (!(partial >= 0 && partial <= 1)) {
        return qk_cfg_fail(b, err, "partial_rotary_factor", "out of range (expected 0 to 1, found %g)", partial);
    }
    *ret = r->dim ? dim : explicit_dim ? explicit_dim : (size_t)(partial * (double)dim);
    return QK_OK;
}

/* A list of rotary_dim / 2 divisors. */
static enum qk_code read_factors(const struct qk_model_builder *in, const char *key, size_t n, const double **ret,
                                 struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(in, key);
    if (!json) {
        return QK_OK;
    }
    if (qk_json_type(json) != QK_JSON_ARRAY || qk_json_count(json) != n) {
        return qk_cfg_fail(in, err, key, "not a list of one number per frequency (expected %zu, found %zu)", n,
                           qk_json_count(json));
    }
    double *values = qk_arena_alloc(in->arena, n, sizeof *values);
    if (!values) {
        return qk_fail_nomem(err, "rotary factors");
    }
    size_t i = 0;
    for (const struct qk_json *c = qk_json_first(json); c && i < n; c = qk_json_next(c), i++) {
        if (!qk_json_double(c, &values[i])) {
            return qk_cfg_fail(in, err, key, "value %zu is not a number", i);
        }
    }
    *ret = values;
    return QK_OK;
}

static enum qk_code read_scaling(const struct qk_model_builder *b, const struct sources *s, struct qk_rope *rope,
                                 struct qk_err *err)
{
    struct qk_model_builder in = inside(b, s->scaling);
    const char *type = NULL;
    bool truncate = true;
    rope->scaling = "default";
    rope->max_position = (double)b->model->max_position;
    QK_TRY(qk_cfg_string(&in, "rope_type|type", "default", &type, err));
    rope->scaling = type;
    QK_TRY(qk_cfg_number(b, "original_max_position_embeddings", 0, &rope->original_max, err));
    QK_TRY(qk_cfg_number(&in, "original_max_position_embeddings", rope->original_max, &rope->original_max, err));
    QK_TRY(qk_cfg_number(&in, "factor", 0, &rope->factor, err));
    QK_TRY(qk_cfg_number(&in, "low_freq_factor", 0, &rope->low_freq_factor, err));
    QK_TRY(qk_cfg_number(&in, "high_freq_factor", 0, &rope->high_freq_factor, err));
    QK_TRY(qk_cfg_number(&in, "beta_fast", 0, &rope->beta_fast, err));
    QK_TRY(qk_cfg_number(&in, "beta_slow", 0, &rope->beta_slow, err));
    QK_TRY(qk_cfg_number(&in, "mscale", 0, &rope->mscale, err));
    QK_TRY(qk_cfg_number(&in, "mscale_all_dim", 0, &rope->mscale_all_dim, err));
    QK_TRY(qk_cfg_number(&in, "attention_factor", 0, &rope->attention_factor, err));
    QK_TRY(qk_cfg_flag(&in, "truncate", true, &truncate, err));
    rope->no_truncate = !truncate;
    if (qk_rope_scaling_name(type) && !strcmp(qk_rope_scaling_name(type), "longrope")) {
        QK_TRY(read_factors(&in, "short_factor", rope->rotary_dim / 2, &rope->short_factor, err));
        QK_TRY(read_factors(&in, "long_factor", rope->rotary_dim / 2, &rope->long_factor, err));
    }
    return QK_OK;
}

/* What scalings that look at the text's length do with short or long texts (model.h). */
static enum qk_code read_length_rule(struct qk_model_builder *b, const struct qk_rope *rope, struct qk_position *ret,
                                     struct qk_err *err)
{
    size_t n = rope->rotary_dim / 2;
    const char *scaling = ret->scaling;
    bool far = rope->original_max > 0 && rope->max_position > rope->original_max;
    if (!strcmp(scaling, "dynamic") && rope->factor > 0 && rope->max_position > 0 && rope->rotary_dim > 2) {
        ret->dynamic_factor = rope->factor;
        ret->n_near = (size_t)rope->max_position;
    }
    if (strcmp(scaling, "longrope") != 0 || !far || !rope->short_factor) {
        return QK_OK;
    }
    double *values = qk_arena_alloc(b->arena, n, sizeof *values);
    if (!values) {
        return qk_fail_nomem(err, "rotary frequencies");
    }
    for (size_t p = 0; p < n; p++) {
        if (!(rope->short_factor[p] > 0)) {
            return qk_cfg_fail(b, err, "short_factor", "value %zu is not positive (found %g)", p,
                               rope->short_factor[p]);
        }
        values[p] = ret->inv_freq[p] * rope->long_factor[p] / rope->short_factor[p];
    }
    ret->near_freq = values;
    ret->n_near = (size_t)rope->original_max;
    return QK_OK;
}

enum qk_code qk_position_rope(struct qk_model_builder *b, const struct qk_rope_request *request, size_t head_dim,
                              struct qk_position *ret, struct qk_err *err)
{
    struct sources sources = find_sources(b, request);
    struct qk_rope rope = {0};
    QK_TRY(read_theta(b, &sources, request, &rope.theta, err));
    QK_TRY(read_rotary_dim(b, &sources, request, head_dim, &rope.rotary_dim, err));
    if (rope.rotary_dim == 0) {
        *ret = (struct qk_position){.kind = QK_POSITION_NONE};
        return QK_OK;
    }
    QK_TRY(read_scaling(b, &sources, &rope, err));
    double *inv_freq = qk_arena_alloc(b->arena, rope.rotary_dim / 2, sizeof *inv_freq);
    double attention_factor = 1;
    if (!inv_freq) {
        return qk_fail_nomem(err, "rotary frequencies");
    }
    enum qk_code code = qk_rope_frequencies(&rope, inv_freq, &attention_factor, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s: %s", b->source, sources.parameters ? "rope_parameters" : "rope_scaling");
        return code;
    }
    *ret = (struct qk_position){
        .kind = QK_POSITION_ROPE,
        .first = request->first,
        .rotary_dim = rope.rotary_dim,
        .interleaved = request->interleaved,
        .inv_freq = inv_freq,
        .theta = rope.theta,
        .scaling = qk_rope_scaling_name(rope.scaling),
        .attention_factor = attention_factor,
    };
    return read_length_rule(b, &rope, ret, err);
}
