/* Lists in config.json that say what each layer is: layer_types, mixer_types, attn_type_list, full_attn_layers … */
#include "model/builder.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* '["jet", 'attn', …]' as text: quoted names between brackets and commas, nothing else. False when it is not that. */
static bool next_python_name(const char **at, const char **ret, size_t *ret_len, bool first)
{
    const char *s = *at + strspn(*at, " \t\r\n");
    if (!first) {
        if (*s != ',') {
            return false;
        }
        s++;
        s += strspn(s, " \t\r\n");
    }
    if (*s != '\'' && *s != '"') {
        return false;
    }
    const char *end = strchr(s + 1, *s);
    if (!end || memchr(s, '\\', (size_t)(end - s))) {
        return false;
    }
    *ret = s + 1;
    *ret_len = (size_t)(end - s - 1);
    *at = end + 1;
    return true;
}

static enum qk_code python_names(const struct qk_model_builder *b, const char *keys, const char *text, size_t n,
                                 const char **names, struct qk_err *err)
{
    const char *at = text + strspn(text, " \t\r\n");
    const char *name = NULL;
    size_t len = 0, count = 0;
    bool ok = *at == '[';
    at += ok;
    while (ok && next_python_name(&at, &name, &len, count == 0)) {
        if (count < n) {
            names[count] = qk_arena_strndup(b->arena, name, len);
            if (!names[count]) {
                return qk_fail_nomem(err, "layer names");
            }
        }
        count++;
    }
    at += strspn(at, " ,\t\r\n");
    if (!ok || *at != ']' || at[1 + strspn(at + 1, " \t\r\n")]) {
        return qk_cfg_fail(b, err, keys, "a string that is not a list of quoted names");
    }
    if (count != n) {
        return qk_cfg_fail(b, err, keys, "has not one entry per layer (expected %zu, found %zu)", n, count);
    }
    return QK_OK;
}

static enum qk_code array_names(const struct qk_model_builder *b, const char *keys, const struct qk_json *json,
                                size_t n, const char **names, struct qk_err *err)
{
    size_t i = 0;
    if (qk_json_count(json) != n) {
        return qk_cfg_fail(b, err, keys, "has not one entry per layer (expected %zu, found %zu)", n,
                           qk_json_count(json));
    }
    for (const struct qk_json *c = qk_json_first(json); c && i < n; c = qk_json_next(c), i++) {
        uint64_t number = 0;
        if (qk_json_string(c, &names[i])) {
            continue;
        }
        if (!qk_json_u64(c, &number)) {
            return qk_cfg_fail(b, err, keys, "entry %zu is neither a name nor a number", i);
        }
        names[i] = qk_arena_printf(b->arena, "%llu", (unsigned long long)number);
        if (!names[i]) {
            return qk_fail_nomem(err, "layer names");
        }
    }
    return QK_OK;
}

enum qk_code qk_cfg_names(const struct qk_model_builder *b, const char *keys, size_t n, const char *const **ret,
                          struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(b, keys);
    const char *text = NULL;
    if (!json) {
        *ret = NULL;
        return QK_OK;
    }
    const char **names = qk_arena_alloc(b->arena, n, sizeof *names);
    if (!names) {
        return qk_fail_nomem(err, "layer names");
    }
    if (qk_json_string(json, &text)) {
        QK_TRY(python_names(b, keys, text, n, names, err));
    } else if (qk_json_type(json) == QK_JSON_ARRAY) {
        QK_TRY(array_names(b, keys, json, n, names, err));
    } else {
        return qk_cfg_fail(b, err, keys, "not a list of names");
    }
    *ret = names;
    return QK_OK;
}

enum qk_code qk_cfg_index_set(const struct qk_model_builder *b, const char *keys, size_t base, size_t n, bool *marks,
                              bool *ret_found, struct qk_err *err)
{
    const struct qk_json *json = qk_cfg_find(b, keys);
    if (!json) {
        *ret_found = false;
        return QK_OK;
    }
    if (qk_json_type(json) != QK_JSON_ARRAY) {
        return qk_cfg_fail(b, err, keys, "not a list of layer numbers");
    }
    for (const struct qk_json *c = qk_json_first(json); c; c = qk_json_next(c)) {
        uint64_t i = 0;
        if (!qk_json_u64(c, &i) || i < base || i - base >= n) {
            return qk_cfg_fail(b, err, keys, "names a layer that does not exist (expected %zu to %zu)", base,
                               base + n - 1);
        }
        marks[i - base] = true;
    }
    *ret_found = true;
    return QK_OK;
}

static const struct {
    const char *name;
    enum qk_layer_kind kind;
} kind_names[] = {
    {"full_attention", QK_LAYER_FULL},
    {"attention", QK_LAYER_FULL},
    {"attn", QK_LAYER_FULL},
    {"full", QK_LAYER_FULL},
    {"global", QK_LAYER_FULL},
    {"hybrid", QK_LAYER_FULL},
    {"sliding_attention", QK_LAYER_SLIDING},
    {"sliding_window_attention", QK_LAYER_SLIDING},
    {"chunked_attention", QK_LAYER_SLIDING},
    {"swa", QK_LAYER_SLIDING},
    {"local", QK_LAYER_SLIDING},
    {"linear_attention", QK_LAYER_LINEAR},
    {"lightning-attn", QK_LAYER_LINEAR},
    {"lightning_attn", QK_LAYER_LINEAR},
    {"jet", QK_LAYER_LINEAR},
    {"gdn", QK_LAYER_LINEAR},
    {"kda", QK_LAYER_LINEAR},
    {"mamba", QK_LAYER_SSM},
    {"mamba2", QK_LAYER_SSM},
    {"conv", QK_LAYER_NONE},
    {"mlp", QK_LAYER_NONE},
    {"moe", QK_LAYER_NONE},
};

enum qk_code qk_kind_of(const struct qk_model_builder *b, const char *key, const char *name, enum qk_layer_kind *ret,
                        struct qk_err *err)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof *kind_names; i++) {
        if (!strcmp(name, kind_names[i].name)) {
            *ret = kind_names[i].kind;
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EUNSUPPORTED, "%s: %s: unknown kind of layer '%s'", b->source, key, name);
}

enum qk_code qk_cfg_kinds(const struct qk_model_builder *b, const char *keys, size_t n, const enum qk_layer_kind **ret,
                          struct qk_err *err)
{
    const char *const *names = NULL;
    QK_TRY(qk_cfg_names(b, keys, n, &names, err));
    if (!names) {
        *ret = NULL;
        return QK_OK;
    }
    enum qk_layer_kind *kinds = qk_arena_alloc(b->arena, n, sizeof *kinds);
    if (!kinds) {
        return qk_fail_nomem(err, "layer kinds");
    }
    for (size_t i = 0; i < n; i++) {
        QK_TRY(qk_kind_of(b, keys, names[i], &kinds[i], err));
    }
    *ret = kinds;
    return QK_OK;
}

enum qk_code qk_cfg_windows(const struct qk_model_builder *b, size_t n_layers, size_t window, size_t **ret,
                            struct qk_err *err)
{
    const enum qk_layer_kind *kinds = NULL;
    QK_TRY(qk_cfg_kinds(b, "layer_types", n_layers, &kinds, err));
    if (!kinds) {
        *ret = NULL;
        return QK_OK;
    }
    size_t *windows = qk_arena_alloc(b->arena, n_layers, sizeof *windows);
    if (!windows) {
        return qk_fail_nomem(err, "layer windows");
    }
    for (size_t i = 0; i < n_layers; i++) {
        if (kinds[i] != QK_LAYER_FULL && kinds[i] != QK_LAYER_SLIDING) {
            return qk_cfg_fail(b, err, "layer_types", "layer %zu is not a softmax attention layer", i);
        }
        if (kinds[i] == QK_LAYER_SLIDING && window == 0) {
            return qk_cfg_fail(b, err, "sliding_window", "missing, but layer %zu is a sliding-window layer", i);
        }
        windows[i] = kinds[i] == QK_LAYER_SLIDING ? window : 0;
    }
    *ret = windows;
    return QK_OK;
}
