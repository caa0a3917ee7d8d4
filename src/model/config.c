/* Checked access to config.json: alternatives of keys, nested objects, bounded integers. */
#include "model/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { KEY_MAX = 96 };

/* One alternative: goes down the '.'-separated path. */
static const struct qk_json *find_path(const struct qk_json *json, const char *path, size_t len)
{
    char key[KEY_MAX];
    while (json && len > 0) {
        const char *dot = memchr(path, '.', len);
        size_t n = dot ? (size_t)(dot - path) : len;
        if (n >= sizeof key) {
            return NULL;
        }
        memcpy(key, path, n);
        key[n] = 0;
        json = qk_json_get(json, key);
        path += dot ? n + 1 : n;
        len -= dot ? n + 1 : n;
    }
    return json;
}

/* Also says which alternative it was (the first when none is there), for errors. */
static const struct qk_json *find_named(const struct qk_model_builder *b, const char *keys, const char **ret_key,
                                        int *ret_len)
{
    const char *at = keys;
    *ret_key = keys;
    *ret_len = (int)strcspn(keys, "|");
    for (;;) {
        size_t n = strcspn(at, "|");
        const struct qk_json *json = find_path(b->config, at, n);
        if (json && qk_json_type(json) != QK_JSON_NULL) {
            *ret_key = at;
            *ret_len = (int)n;
            return json;
        }
        if (!at[n]) {
            return NULL;
        }
        at += n + 1;
    }
}

const struct qk_json *qk_cfg_find(const struct qk_model_builder *b, const char *keys)
{
    const char *key = NULL;
    int len = 0;
    return find_named(b, keys, &key, &len);
}

enum qk_code qk_cfg_fail(const struct qk_model_builder *b, struct qk_err *err, const char *key, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return qk_fail(err, QK_EFORMAT, "%s: %s: %s", b->source, key, text);
}

enum qk_code qk_cfg_count(const struct qk_model_builder *b, const char *keys, size_t dflt, size_t lo, size_t hi,
                          size_t *ret, struct qk_err *err)
{
    const char *key = NULL;
    int len = 0;
    uint64_t value = 0;
    const struct qk_json *json = find_named(b, keys, &key, &len);
    if (!json) {
        if (dflt == QK_REQUIRED) {
            return qk_fail(err, QK_EFORMAT, "%s: %.*s: missing (expected an integer)", b->source, len, key);
        }
        *ret = dflt;
        return QK_OK;
    }
    if (!qk_json_u64(json, &value)) {
        return qk_fail(err, QK_EFORMAT, "%s: %.*s: not an integer from 0 to 2^53", b->source, len, key);
    }
    if (value < lo || value > hi) {
        return qk_fail(err, QK_EFORMAT, "%s: %.*s: out of range (expected %zu to %zu, found %llu)", b->source, len, key,
                       lo, hi, (unsigned long long)value);
    }
    *ret = (size_t)value;
    return QK_OK;
}

enum qk_code qk_cfg_number(const struct qk_model_builder *b, const char *keys, double dflt, double *ret,
                           struct qk_err *err)
{
    const char *key = NULL;
    int len = 0;
    double value = dflt;
    const struct qk_json *json = find_named(b, keys, &key, &len);
    if (json && (!qk_json_double(json, &value) || !isfinite(value))) {
        return qk_fail(err, QK_EFORMAT, "%s: %.*s: not a finite number", b->source, len, key);
    }
    *ret = value;
    return QK_OK;
}

enum qk_code qk_cfg_flag(const struct qk_model_builder *b, const char *keys, bool dflt, bool *ret, struct qk_err *err)
{
    const char *key = NULL;
    int len = 0;
    bool value = dflt;
    const struct qk_json *json = find_named(b, keys, &key, &len);
    if (json && !qk_json_bool(json, &value)) {
        return qk_fail(err, QK_EFORMAT, "%s: %.*s: not true or false", b->source, len, key);
    }
    *ret = value;
    return QK_OK;
}

enum qk_code qk_cfg_string(const struct qk_model_builder *b, const char *keys, const char *dflt, const char **ret,
                           struct qk_err *err)
{
    const char *key = NULL;
    int len = 0;
    const char *value = dflt;
    const struct qk_json *json = find_named(b, keys, &key, &len);
    if (json && !qk_json_string(json, &value)) {
        return qk_fail(err, QK_EFORMAT, "%s: %.*s: not a string", b->source, len, key);
    }
    *ret = value;
    return QK_OK;
}

enum qk_code qk_cfg_dims(const struct qk_model_builder *b, struct qk_dims *ret, struct qk_err *err)
{
    struct qk_dims d = {0};
    size_t heads_dflt = b->defaults.n_heads ? b->defaults.n_heads : QK_REQUIRED;
    QK_TRY(qk_cfg_count(b, "hidden_size|n_embd|n_embed|d_model", QK_REQUIRED, 1, QK_MAX_HIDDEN, &d.hidden, err));
    size_t layers_dflt = b->defaults.n_layers ? b->defaults.n_layers : QK_REQUIRED;
    QK_TRY(qk_cfg_count(b, "num_hidden_layers|n_layer|n_layers", layers_dflt, 1, QK_MAX_LAYERS, &d.n_layers, err));
    QK_TRY(
        qk_cfg_count(b, "num_attention_heads|n_head|n_heads|num_heads", heads_dflt, 1, QK_MAX_HEADS, &d.n_heads, err));
    size_t kv_dflt = b->defaults.n_kv_heads ? b->defaults.n_kv_heads : d.n_heads;
    QK_TRY(qk_cfg_count(b, "num_key_value_heads", kv_dflt, 1, QK_MAX_HEADS, &d.n_kv_heads, err));
    QK_TRY(qk_cfg_count(b, "head_dim", b->defaults.head_dim, 1, QK_MAX_HEAD_DIM, &d.head_dim, err));
    if (d.n_heads % d.n_kv_heads) {
        return qk_cfg_fail(b, err, "num_key_value_heads",
                           "does not divide num_attention_heads (expected a divisor of %zu, found %zu)", d.n_heads,
                           d.n_kv_heads);
    }
    if (d.head_dim == 0) {
        if (d.hidden % d.n_heads) {
            return qk_cfg_fail(b, err, "num_attention_heads",
                               "does not divide hidden_size (expected a divisor of %zu, found %zu)", d.hidden,
                               d.n_heads);
        }
        d.head_dim = d.hidden / d.n_heads;
    }
    *ret = d;
    return QK_OK;
}

enum qk_code qk_cfg_window(const struct qk_model_builder *b, const char *keys, size_t *ret, struct qk_err *err)
{
    /* a few configs write false or 0 for "no window" */
    const struct qk_json *json = qk_cfg_find(b, keys);
    if (json && qk_json_type(json) == QK_JSON_BOOL) {
        *ret = 0;
        return QK_OK;
    }
    return qk_cfg_count(b, keys, 0, 0, (size_t)1 << 53, ret, err);
}
