/* Reading and running steps: see step.h. */
#include "step.h"

#include <string.h>

#include "base/str.h"
#include "code_point.h"
#include "pattern.h"

enum { max_steps = 256 };

static size_t count(const struct qk_json *json, const char *members)
{
    const struct qk_json *list = qk_json_get(json, members);
    size_t n = list == NULL ? 1 : 0;
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        n += count(c, members);
    }
    return n;
}

static enum qk_code add_step(const struct qk_step_spec *spec, const struct qk_step_kind *kinds, const char *type,
                             struct qk_steps *steps, struct qk_err *err)
{
    for (const struct qk_step_kind *kind = kinds; kind->type != NULL; kind++) {
        if (qk_streq(kind->type, type)) {
            struct qk_step step = {kind, NULL};
            if (kind->read != NULL) {
                QK_TRY(kind->read(spec, &step.params, err));
            }
            steps->v[steps->n++] = step;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: type '%s' is not supported", spec->where, type);
}

/* Recursion is bounded by the depth of JSON. */
static enum qk_code add_steps(const struct qk_step_spec *spec, const struct qk_step_kind *kinds, const char *members,
                              struct qk_steps *steps, struct qk_err *err)
{
    const char *type;
    if (!qk_json_string(qk_json_get(spec->json, "type"), &type)) {
        return qk_fail(err, QK_EFORMAT, "%s: type: expected a string", spec->where);
    }
    const struct qk_json *list = qk_json_get(spec->json, members);
    if (!qk_streq(type, "Sequence")) {
        return list == NULL ? add_step(spec, kinds, type, steps, err)
                            : qk_fail(err, QK_EFORMAT, "%s: %s: only a Sequence has them", spec->where, members);
    }
    if (list == NULL || qk_json_type(list) != QK_JSON_ARRAY) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: expected an array", spec->where, members);
    }
    size_t i = 0;
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        struct qk_step_spec inner = {spec->arena, c,
                                     qk_arena_printf(spec->arena, "%s.%s[%zu]", spec->where, members, i++)};
        if (inner.where == NULL) {
            return qk_fail_nomem(err, "tokenizer");
        }
        QK_TRY(add_steps(&inner, kinds, members, steps, err));
    }
    return QK_OK;
}

enum qk_code qk_steps_read(const struct qk_step_spec *spec, const struct qk_step_kind *kinds, const char *members,
                           struct qk_steps *ret, struct qk_err *err)
{
    struct qk_steps steps = {0};
    if (spec->json != NULL && qk_json_type(spec->json) != QK_JSON_NULL) {
        size_t n = count(spec->json, members);
        if (n > max_steps) {
            return qk_fail(err, QK_EUNSUPPORTED, "%s: too many members (expected at most %d, found %zu)", spec->where,
                           max_steps, n);
        }
        steps.v = qk_arena_alloc(spec->arena, n, sizeof *steps.v);
        if (steps.v == NULL) {
            return qk_fail_nomem(err, "tokenizer");
        }
        QK_TRY(add_steps(spec, kinds, members, &steps, err));
    }
    *ret = steps;
    return QK_OK;
}

enum qk_code qk_steps_apply(const struct qk_steps *steps, struct qk_pieces *pieces, struct qk_err *err)
{
    for (size_t i = 0; i < steps->n; i++) {
        QK_TRY(steps->v[i].kind->apply(steps->v[i].params, pieces, err));
    }
    return QK_OK;
}

enum qk_code qk_step_params(const struct qk_step_spec *spec, size_t n, void **ret, struct qk_err *err)
{
    *ret = qk_arena_alloc(spec->arena, 1, n);
    return *ret == NULL ? qk_fail_nomem(err, "tokenizer") : QK_OK;
}

enum qk_code qk_step_string(const struct qk_step_spec *spec, const char *key, const char **ret, struct qk_err *err)
{
    const char *text;
    if (!qk_json_string(qk_json_get(spec->json, key), &text)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: expected a string", spec->where, key);
    }
    *ret = qk_arena_strdup(spec->arena, text);
    return *ret == NULL ? qk_fail_nomem(err, "tokenizer") : QK_OK;
}

enum qk_code qk_step_char(const struct qk_step_spec *spec, const char *key, uint32_t *ret, struct qk_err *err)
{
    const char *text;
    QK_TRY(qk_step_string(spec, key, &text, err));
    bool valid;
    size_t n = strlen(text);
    if (n == 0 || qk_utf8_read(text, n, ret, &valid) != n || !valid) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: expected one character", spec->where, key);
    }
    return QK_OK;
}

/* ---- Replace: every match of a pattern becomes a fixed text ---- */

struct replace {
    const struct qk_pattern *pattern;
    const char *content;
    size_t n_content;
};

static enum qk_code read_replace(const struct qk_step_spec *spec, const void **ret, struct qk_err *err)
{
    void *params;
    QK_TRY(qk_step_params(spec, sizeof(struct replace), &params, err));
    struct replace *self = params;
    QK_TRY(qk_pattern_read(spec->arena, spec->json, "pattern", spec->where, &self->pattern, err));
    QK_TRY(qk_step_string(spec, "content", &self->content, err));
    self->n_content = strlen(self->content);
    *ret = self;
    return QK_OK;
}

static enum qk_code replace(const void *params, struct qk_pieces *pieces, struct qk_piece piece, struct qk_err *err)
{
    const struct replace *self = params;
    const struct qk_aligned *text = &pieces->text;
    struct qk_cuts *cuts = &pieces->cuts;
    if (pieces->bytes && !qk_utf8_is_valid(text->s + piece.begin, piece.end - piece.begin)) {
        qk_aligned_copy(&pieces->next_text, text, piece.begin, piece.end); /* patterns are for text */
        return QK_OK;
    }
    QK_TRY(qk_pattern_find(self->pattern, text->s + piece.begin, piece.end - piece.begin, cuts, err));
    for (size_t i = 0; i < cuts->n; i++) {
        size_t begin = piece.begin + cuts->v[i].begin, end = piece.begin + cuts->v[i].end;
        if (!cuts->v[i].match) {
            qk_aligned_copy(&pieces->next_text, text, begin, end);
            continue;
        }
        bool empty = begin == end; /* then it stands where the next byte does, or behind the last */
        uint32_t from = begin < piece.end ? text->begin[begin] : text->end[begin - 1];
        qk_aligned_add(&pieces->next_text, self->content, self->n_content, from, empty ? from : text->end[end - 1]);
    }
    return QK_OK;
}

static enum qk_code apply_replace(const void *params, struct qk_pieces *pieces, struct qk_err *err)
{
    return qk_pieces_rewrite(pieces, replace, params, err);
}

const struct qk_step_kind qk_step_replace = {"Replace", read_replace, apply_replace};
