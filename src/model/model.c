/* Opening a model: the text model's config, its family, its layers. */
#include "model/model.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "model/builder.h"
#include "slices.h"

extern const struct qk_family *const qk_families[];
extern const unsigned qk_families_count;

static const char *const kind_names[QK_N_LAYER_KINDS] = {"full", "sliding", "linear", "ssm", "none"};
static const char *const role_names[QK_N_ROLES] = {
    "q",        "k",      "v",    "o",     "gate", "qk_norm", "qk_bias", "mlp_gate", "mlp_up",
    "mlp_down", "router", "norm", "decay", "beta", "conv",    "ssm",     "other",
};
static const char *const position_names[] = {"nope", "rope", "learned", "alibi"};

const char *qk_layer_kind_name(enum qk_layer_kind kind)
{
    return kind_names[kind];
}

bool qk_layer_kind_by_name(const char *name, enum qk_layer_kind *ret)
{
    for (unsigned i = 0; i < QK_N_LAYER_KINDS; i++) {
        if (!strcmp(name, kind_names[i])) {
            *ret = (enum qk_layer_kind)i;
            return true;
        }
    }
    return false;
}

const char *qk_role_name(enum qk_role role)
{
    return role_names[role];
}

const char *qk_position_name(enum qk_position_kind kind)
{
    return position_names[kind];
}

size_t qk_family_count(void)
{
    return qk_families_count;
}

const struct qk_family *qk_family_at(size_t i)
{
    return qk_families[i];
}

static const struct qk_family *find_family(const char *model_type)
{
    for (unsigned i = 0; i < qk_families_count; i++) {
        for (const char *const *t = qk_families[i]->model_types; *t; t++) {
            if (!strcmp(*t, model_type)) {
                return qk_families[i];
            }
        }
    }
    return NULL;
}

/* Multimodal configs nest the text model. */
static const struct qk_json *text_config(const struct qk_json *config)
{
    static const char *const keys[] = {"text_config", "language_config", "llm_config"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct qk_json *inner = qk_json_get(config, keys[i]);
        if (inner && qk_json_type(inner) == QK_JSON_OBJECT && qk_json_count(inner) > 0) {
            return inner;
        }
    }
    return config;
}

static enum qk_code choose_family(struct qk_model_builder *b, struct qk_err *err)
{
    const char *outer = NULL, *inner = NULL;
    struct qk_model_builder top = *b;
    top.config = b->outer_config;
    QK_TRY(qk_cfg_string(&top, "model_type", NULL, &outer, err));
    QK_TRY(qk_cfg_string(b, "model_type", outer, &inner, err));
    if (!inner) {
        return qk_fail(err, QK_EFORMAT, "%s: model_type: missing", b->source);
    }
    b->model->model_type = inner;
    b->model->family = find_family(inner);
    if (!b->model->family && outer && outer != inner) {
        b->model->family = find_family(outer);
    }
    if (!b->model->family) {
        b->model->family = qk_families[qk_families_count - 1]; /* by tensor names */
    }
    return QK_OK;
}

static bool has_lm_head(const struct qk_model *m)
{
    for (size_t i = 0; i < m->n_outer; i++) {
        if (!strcmp(m->outer[i].role, "lm_head")) {
            return true;
        }
    }
    return false;
}

static enum qk_code read_tied(const struct qk_model_builder *b, struct qk_err *err)
{
    struct qk_model_builder top = *b;
    bool tied = !has_lm_head(b->model);
    top.config = b->outer_config;
    QK_TRY(qk_cfg_flag(&top, "tie_word_embeddings", tied, &tied, err));
    return qk_cfg_flag(b, "tie_word_embeddings", tied, &b->model->tied_embeddings, err);
}

static enum qk_code build(struct qk_model_builder *b, struct qk_err *err)
{
    QK_TRY(choose_family(b, err));
    QK_TRY(b->model->family->build(b, err));
    QK_TRY(qk_build_slices(b, err));
    return read_tied(b, err);
}

enum qk_code qk_model_open(const struct qk_ckpt *ckpt, struct qk_model **ret, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    struct qk_model *model = arena ? qk_arena_alloc(arena, 1, sizeof *model) : NULL;
    if (!model) {
        qk_arena_free(arena);
        return qk_fail_nomem(err, "model");
    }
    struct qk_model_builder b = {
        .model = model,
        .ckpt = ckpt,
        .config = text_config(ckpt->config),
        .outer_config = ckpt->config,
        .source = ckpt->config_path,
        .arena = arena,
    };
    model->arena = arena;
    model->ckpt = ckpt;
    model->config = b.config;
    enum qk_code code = build(&b, err);
    qk_free(b.claims);
    if (code != QK_OK) {
        qk_arena_free(arena);
        return code;
    }
    *ret = model;
    return QK_OK;
}

void qk_model_free(struct qk_model *model)
{
    if (model) {
        qk_arena_free(model->arena);
    }
}
