/* Values out of parsed JSON, with checks and defaults: see ckpt/json.h. */
#include <cJSON.h>
#include <math.h>

#include "ckpt/json.h"
#include "json_document.h"

static const cJSON *node(const struct qk_json *json)
{
    return (const cJSON *)(const void *)json;
}

bool qk_json_string(const struct qk_json *json, const char **ret)
{
    if (!cJSON_IsString(node(json))) {
        return false;
    }
    *ret = node(json)->valuestring;
    return true;
}

bool qk_json_double(const struct qk_json *json, double *ret)
{
    if (!cJSON_IsNumber(node(json))) {
        return false;
    }
    *ret = node(json)->valuedouble;
    return true;
}

bool qk_json_u64(const struct qk_json *json, uint64_t *ret)
{
    double value;
    if (!qk_json_double(json, &value) || !(value >= 0.0 && value <= 0x1p53) || value != floor(value)) {
        return false;
    }
    *ret = (uint64_t)value;
    return true;
}

bool qk_json_bool(const struct qk_json *json, bool *ret)
{
    if (!cJSON_IsBool(node(json))) {
        return false;
    }
    *ret = cJSON_IsTrue(node(json)) != 0;
    return true;
}

/* The member when it is there and not null, else NULL. */
static const struct qk_json *given(const struct qk_json *obj, const char *key)
{
    const struct qk_json *value = qk_json_get(obj, key);
    return value == NULL || qk_json_type(value) == QK_JSON_NULL ? NULL : value;
}

static enum qk_code wrong_type(const struct qk_json *value, const char *source, const char *key, const char *expected,
                               struct qk_err *err)
{
    double number;
    if (qk_json_double(value, &number)) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: unusable value (expected %s, found %.17g)", source, key, expected,
                       number);
    }
    return qk_fail(err, QK_EFORMAT, "%s: %s: unusable value (expected %s, found %s)", source, key, expected,
                   qk_json_type_name(value));
}

enum qk_code qk_json_opt_u64(const struct qk_json *obj, const char *key, uint64_t dflt, const char *source,
                             uint64_t *ret, struct qk_err *err)
{
    const struct qk_json *value = given(obj, key);
    uint64_t number = dflt;
    if (value != NULL && !qk_json_u64(value, &number)) {
        return wrong_type(value, source, key, "an integer from 0 to 2^53", err);
    }
    *ret = number;
    return QK_OK;
}

enum qk_code qk_json_opt_double(const struct qk_json *obj, const char *key, double dflt, const char *source,
                                double *ret, struct qk_err *err)
{
    const struct qk_json *value = given(obj, key);
    double number = dflt;
    if (value != NULL && !qk_json_double(value, &number)) {
        return wrong_type(value, source, key, "a number", err);
    }
    *ret = number;
    return QK_OK;
}

enum qk_code qk_json_opt_bool(const struct qk_json *obj, const char *key, bool dflt, const char *source, bool *ret,
                              struct qk_err *err)
{
    const struct qk_json *value = given(obj, key);
    bool flag = dflt;
    if (value != NULL && !qk_json_bool(value, &flag)) {
        return wrong_type(value, source, key, "true or false", err);
    }
    *ret = flag;
    return QK_OK;
}

enum qk_code qk_json_opt_string(const struct qk_json *obj, const char *key, const char *dflt, const char *source,
                                const char **ret, struct qk_err *err)
{
    const struct qk_json *value = given(obj, key);
    const char *text = dflt;
    if (value != NULL && !qk_json_string(value, &text)) {
        return wrong_type(value, source, key, "a string", err);
    }
    *ret = text;
    return QK_OK;
}
