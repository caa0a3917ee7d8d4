/* Post-processors: see post_processor.h. */
#include "post_processor.h"

#include <string.h>

#include "base/str.h"
#include "vocabulary.h"

enum { max_frame = 1024 }; /* special tokens on one side */

/* side = front + side, or side + back. */
static enum qk_code join(struct qk_arena *arena, uint32_t **side, size_t *n, const uint32_t *added, size_t n_added,
                         bool in_front, struct qk_err *err)
{
    uint32_t *joined = qk_arena_alloc(arena, *n + n_added, sizeof *joined);
    if (joined == NULL) {
        return qk_fail_nomem(err, "post-processor");
    }
    for (size_t i = 0; i < *n; i++) {
        joined[(in_front ? n_added : 0) + i] = (*side)[i];
    }
    for (size_t i = 0; i < n_added; i++) {
        joined[(in_front ? 0 : *n) + i] = added[i];
    }
    *side = joined;
    *n += n_added;
    return QK_OK;
}

static enum qk_code wrap(const struct qk_step_spec *spec, const struct qk_frame *outer, struct qk_frame *frame,
                         struct qk_err *err)
{
    if (outer->n_before + frame->n_before > max_frame || outer->n_after + frame->n_after > max_frame) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: more than %d special tokens", spec->where, max_frame);
    }
    QK_TRY(join(spec->arena, &frame->before, &frame->n_before, outer->before, outer->n_before, true, err));
    return join(spec->arena, &frame->after, &frame->n_after, outer->after, outer->n_after, false, err);
}

static enum qk_code read_id(const struct qk_step_spec *spec, const struct qk_json *json, const char *key, uint32_t *ret,
                            struct qk_err *err)
{
    uint64_t id;
    if (!qk_json_u64(json, &id) || id > qk_vocabulary_max_id) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: expected an id from 0 to %d", spec->where, key, qk_vocabulary_max_id);
    }
    *ret = (uint32_t)id;
    return QK_OK;
}

/* ---- TemplateProcessing ---- */

/* Adds the ids of one special token of the template to a side. */
static enum qk_code add_special(const struct qk_step_spec *spec, const char *name, uint32_t *ids, size_t *n,
                                struct qk_err *err)
{
    const struct qk_json *token = qk_json_get(qk_json_get(spec->json, "special_tokens"), name);
    const struct qk_json *list = qk_json_get(token, "ids");
    if (list == NULL || qk_json_type(list) != QK_JSON_ARRAY) {
        return qk_fail(err, QK_EFORMAT, "%s: special_tokens: no ids for '%.100s'", spec->where, name);
    }
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        if (*n == max_frame) {
            return qk_fail(err, QK_EUNSUPPORTED, "%s: more than %d special tokens", spec->where, max_frame);
        }
        QK_TRY(read_id(spec, c, "special_tokens", &ids[(*n)++], err));
    }
    return QK_OK;
}

static enum qk_code read_template(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err)
{
    uint32_t before[max_frame], after[max_frame];
    struct qk_frame outer = {.before = before, .after = after};
    const struct qk_json *single = qk_json_get(spec->json, "single");
    if (single == NULL || qk_json_type(single) != QK_JSON_ARRAY) {
        return qk_fail(err, QK_EFORMAT, "%s: single: expected an array", spec->where);
    }
    size_t n_texts = 0;
    for (const struct qk_json *c = qk_json_first(single); c != NULL; c = qk_json_next(c)) {
        const char *name;
        if (qk_json_string(qk_json_get(qk_json_get(c, "SpecialToken"), "id"), &name)) {
            QK_TRY(add_special(spec, name, n_texts == 0 ? before : after,
                               n_texts == 0 ? &outer.n_before : &outer.n_after, err));
        } else if (qk_json_string(qk_json_get(qk_json_get(c, "Sequence"), "id"), &name) && qk_streq(name, "A")) {
            n_texts++;
        } else {
            return qk_fail(err, QK_EFORMAT, "%s: single: expected SpecialToken or Sequence A", spec->where);
        }
    }
    if (n_texts != 1) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: single: expected Sequence A once, found %zu times", spec->where,
                       n_texts);
    }
    return wrap(spec, &outer, frame, err);
}

/* ---- RobertaProcessing, BertProcessing: cls text sep ---- */

static enum qk_code read_pair(const struct qk_step_spec *spec, const char *key, uint32_t *ret, struct qk_err *err)
{
    const struct qk_json *first = qk_json_first(qk_json_get(spec->json, key));
    return read_id(spec, first == NULL ? NULL : qk_json_next(first), key, ret, err);
}

static enum qk_code read_cls_sep(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err)
{
    uint32_t cls, sep;
    QK_TRY(read_pair(spec, "cls", &cls, err));
    QK_TRY(read_pair(spec, "sep", &sep, err));
    struct qk_frame outer = {.before = &cls, .after = &sep, .n_before = 1, .n_after = 1};
    return wrap(spec, &outer, frame, err);
}

/* It only trims offsets. */
static enum qk_code read_byte_level(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err)
{
    (void)spec;
    (void)frame;
    (void)err;
    return QK_OK;
}

static enum qk_code add_processor(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err);

static enum qk_code read_sequence(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err)
{
    const struct qk_json *list = qk_json_get(spec->json, "processors");
    if (list == NULL || qk_json_type(list) != QK_JSON_ARRAY) {
        return qk_fail(err, QK_EFORMAT, "%s: processors: expected an array", spec->where);
    }
    size_t i = 0;
    for (const struct qk_json *c = qk_json_first(list); c != NULL; c = qk_json_next(c)) {
        struct qk_step_spec inner = {spec->arena, c,
                                     qk_arena_printf(spec->arena, "%s.processors[%zu]", spec->where, i++)};
        if (inner.where == NULL) {
            return qk_fail_nomem(err, "post-processor");
        }
        QK_TRY(add_processor(&inner, frame, err));
    }
    return QK_OK;
}

static const struct processor {
    const char *type;
    enum qk_code (*read)(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err);
} processors[] = {
    {"TemplateProcessing", read_template}, {"ByteLevel", read_byte_level},   {"Sequence", read_sequence},
    {"RobertaProcessing", read_cls_sep},   {"BertProcessing", read_cls_sep},
};

/* Recursion is bounded by the depth of JSON. */
static enum qk_code add_processor(const struct qk_step_spec *spec, struct qk_frame *frame, struct qk_err *err)
{
    const char *type;
    if (!qk_json_string(qk_json_get(spec->json, "type"), &type)) {
        return qk_fail(err, QK_EFORMAT, "%s: type: expected a string", spec->where);
    }
    for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++) {
        if (qk_streq(processors[i].type, type)) {
            return processors[i].read(spec, frame, err);
        }
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: type '%s' is not supported", spec->where, type);
}

enum qk_code qk_frame_read(const struct qk_step_spec *spec, struct qk_frame *ret, struct qk_err *err)
{
    struct qk_frame frame = {0};
    if (spec->json != NULL && qk_json_type(spec->json) != QK_JSON_NULL) {
        QK_TRY(add_processor(spec, &frame, err));
    }
    *ret = frame;
    return QK_OK;
}
