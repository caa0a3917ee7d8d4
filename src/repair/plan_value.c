/* Values and objects of plan.json: see plan_value.h. */
#include "plan_value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json_text.h"

enum qk_code qk_plan_wrong(const struct qk_plan_reader *r, const char *key, const char *expected,
                           const struct qk_json *found, struct qk_err *err)
{
    struct qk_str text = {0};
    qk_json_add_text(&text, found);
    bool known = !text.failed && text.len <= 60;
    const char *colon = r->object[0] == 0 && key[0] == 0 ? "" : ": "; /* the file as a whole has no name in itself */
    enum qk_code code = text.failed ? qk_fail_nomem(err, r->name)
                                    : qk_fail(err, QK_EFORMAT, "%s: %s%s%swrong value (expected %s, found %s)", r->name,
                                              r->object, key, colon, expected, known ? text.s : "something else");
    qk_str_release(&text);
    return code;
}

enum qk_code qk_plan_read_text(struct qk_plan_reader *r, const char *key, const struct qk_json *json, const char **ret,
                               struct qk_err *err)
{
    const char *text;
    if (!qk_json_string(json, &text)) {
        return qk_plan_wrong(r, key, "a string", json, err);
    }
    const char *copy = qk_arena_strdup(r->arena, text);
    if (copy == NULL) {
        return qk_fail_nomem(err, r->name);
    }
    *ret = copy;
    return QK_OK;
}

/* The number of the word in words. */
enum qk_code qk_plan_read_word(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                               const char *const *words, unsigned *ret, struct qk_err *err)
{
    const char *text = NULL;
    struct qk_str expected = {0};
    (void)qk_json_string(json, &text);
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (text != NULL && strcmp(text, words[i]) == 0) {
            qk_str_release(&expected);
            *ret = i;
            return QK_OK;
        }
        qk_str_addf(&expected, "%s\"%s\"", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
    }
    enum qk_code code = expected.failed ? qk_fail_nomem(err, r->name) : qk_plan_wrong(r, key, expected.s, json, err);
    qk_str_release(&expected);
    return code;
}

enum qk_code qk_plan_read_words(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                                const char *const *words, unsigned *ret, struct qk_err *err)
{
    unsigned bits = 0, i;
    if (qk_json_type(json) != QK_JSON_ARRAY) {
        return qk_plan_wrong(r, key, "an array of names", json, err);
    }
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        QK_TRY(qk_plan_read_word(r, key, c, words, &i, err));
        if ((bits >> i & 1u) != 0) {
            return qk_plan_wrong(r, key, "each name once", json, err);
        }
        bits |= 1u << i;
    }
    *ret = bits;
    return QK_OK;
}

enum qk_code qk_plan_read_object(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                                 const struct qk_plan_member *members, void *dst, struct qk_err *err)
{
    if (qk_json_type(json) != QK_JSON_OBJECT) {
        return qk_plan_wrong(r, key, "an object", json, err);
    }
    snprintf(r->object, sizeof r->object, "%s%s", key, key[0] == 0 ? "" : ".");
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        const struct qk_plan_member *m = members;
        while (m->key != NULL && strcmp(m->key, qk_json_key(c)) != 0) {
            m++;
        }
        if (m->key == NULL) {
            return qk_fail(err, QK_EFORMAT, "%s: %s%s: unknown member (expected one that version 1 of a plan has)",
                           r->name, r->object, qk_json_key(c));
        }
    }
    char object[sizeof r->object];
    memcpy(object, r->object, sizeof object);
    for (const struct qk_plan_member *m = members; m->key != NULL; m++) {
        const struct qk_json *value = qk_json_get(json, m->key);
        memcpy(r->object, object, sizeof object);
        if (value == NULL && m->required) {
            return qk_fail(err, QK_EFORMAT, "%s: %s%s: is missing (expected in every plan, found none)", r->name,
                           object, m->key);
        }
        if (value != NULL) {
            QK_TRY(m->read(r, m->key, value, dst, err));
        }
    }
    return QK_OK;
}

/* A number, or null for none. */
enum qk_code qk_plan_read_number(struct qk_plan_reader *r, const char *key, const struct qk_json *json, double *ret,
                                 struct qk_err *err)
{
    if (qk_json_type(json) == QK_JSON_NULL) {
        *ret = NAN;
    } else if (!qk_json_double(json, ret) || !isfinite(*ret)) {
        return qk_plan_wrong(r, key, "a finite number or null", json, err);
    }
    return QK_OK;
}
