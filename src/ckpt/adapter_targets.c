/* Which modules an adapter's config chooses: see adapter_targets.h. The rules are those of PEFT's
 * check_target_module_exists. */
#include "adapter_targets.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "name_pattern.h"

/* A list of names, or a regular expression. */
struct choice {
    const struct qk_json *names; /* NULL: none */
    const struct qk_name_pattern *pattern;
    bool everything; /* "all-linear", or an expression that is not handled */
};

struct layer_pattern {
    const struct qk_name_pattern *pattern; /* of all in front of the layer's number */
};

struct qk_adapter_targets {
    struct choice targets, excluded;
    const struct qk_json *layers; /* a number or a list of them; NULL: all */
    size_t n_patterns;
    const struct layer_pattern *patterns;
};

static enum qk_code bad_type(const struct qk_adapter_config *config, const char *key, const char *expected,
                             struct qk_err *err)
{
    return qk_fail(err, QK_EFORMAT, "%s: %s: of another type (expected %s)", config->path, key, expected);
}

static bool all_strings(const struct qk_json *list)
{
    const char *s;
    for (const struct qk_json *item = qk_json_first(list); item != NULL; item = qk_json_next(item)) {
        if (!qk_json_string(item, &s)) {
            return false;
        }
    }
    return qk_json_type(list) == QK_JSON_ARRAY;
}

/* The value, NULL where it is null, absent or an empty list. */
static const struct qk_json *value_of(const struct qk_adapter_config *config, const char *key)
{
    const struct qk_json *value = qk_json_get(config->json, key);
    bool none = value == NULL || qk_json_type(value) == QK_JSON_NULL ||
                (qk_json_type(value) == QK_JSON_ARRAY && qk_json_count(value) == 0);
    return none ? NULL : value;
}

static enum qk_code read_choice(const struct qk_adapter_config *config, const char *key, struct qk_arena *arena,
                                struct choice *ret, struct qk_err *err)
{
    const struct qk_json *value = value_of(config, key);
    const char *text;
    if (value == NULL) {
        return QK_OK;
    }
    if (!qk_json_string(value, &text)) {
        ret->names = value;
        return all_strings(value) ? QK_OK : bad_type(config, key, "a list of names or a regular expression", err);
    }
    if (qk_streq(text, "all-linear")) {
        ret->everything = true;
        return QK_OK;
    }
    enum qk_code code = qk_name_pattern_new("(", text, ")", arena, &ret->pattern, err);
    if (code == QK_EUNSUPPORTED) {
        ret->everything = true;
        return QK_OK;
    }
    if (code != QK_OK) {
        qk_err_context(err, "%s: %s", config->path, key);
    }
    return code;
}

static enum qk_code read_layer_pattern(const struct qk_adapter_config *config, const char *text, struct qk_arena *arena,
                                       struct layer_pattern *ret, struct qk_err *err)
{
    enum qk_code code = qk_name_pattern_new(".*\\.", text, "", arena, &ret->pattern, err);
    if (code != QK_OK) {
        qk_err_context(err, "%s: layers_pattern", config->path);
    }
    return code;
}

static enum qk_code read_layers(const struct qk_adapter_config *config, struct qk_arena *arena,
                                struct qk_adapter_targets *ret, struct qk_err *err)
{
    const struct qk_json *patterns = value_of(config, "layers_pattern"), *layers;
    uint64_t index;
    ret->layers = layers = value_of(config, "layers_to_transform");
    for (const struct qk_json *item = layers == NULL ? NULL : qk_json_first(layers); item != NULL;
         item = qk_json_next(item)) {
        if (!qk_json_u64(item, &index)) {
            return bad_type(config, "layers_to_transform", "layer numbers", err);
        }
    }
    if (layers != NULL && qk_json_type(layers) != QK_JSON_ARRAY && !qk_json_u64(layers, &index)) {
        return bad_type(config, "layers_to_transform", "layer numbers", err);
    }
    const char *only = NULL;
    if (patterns == NULL || (qk_json_string(patterns, &only) && only[0] == 0)) {
        only = "[^.]*";
    } else if (only == NULL && !all_strings(patterns)) {
        return bad_type(config, "layers_pattern", "a name or a list of names", err);
    }
    size_t n = only != NULL ? 1 : qk_json_count(patterns), i = 0;
    struct layer_pattern *rows = qk_arena_alloc(arena, n, sizeof *rows);
    if (rows == NULL) {
        return qk_fail_nomem(err, config->path);
    }
    ret->patterns = rows;
    ret->n_patterns = n;
    if (only != NULL) {
        return read_layer_pattern(config, only, arena, rows, err);
    }
    for (const struct qk_json *item = qk_json_first(patterns); item != NULL; item = qk_json_next(item), i++) {
        const char *text = "";
        (void)qk_json_string(item, &text);
        QK_TRY(read_layer_pattern(config, text, arena, &rows[i], err));
    }
    return QK_OK;
}

enum qk_code qk_adapter_targets_read(const struct qk_adapter_config *config, struct qk_arena *arena,
                                     const struct qk_adapter_targets **ret, struct qk_err *err)
{
    struct qk_adapter_targets *t = qk_arena_alloc(arena, 1, sizeof *t);
    if (t == NULL) {
        return qk_fail_nomem(err, config->path);
    }
    QK_TRY(read_choice(config, "target_modules", arena, &t->targets, err));
    QK_TRY(read_choice(config, "exclude_modules", arena, &t->excluded, err));
    QK_TRY(read_layers(config, arena, t, err));
    *ret = t;
    return QK_OK;
}

/* A name itself, or the end of a longer one behind a dot. */
static enum qk_code chosen(const struct choice *choice, const char *module, bool *ret, struct qk_err *err)
{
    *ret = choice->everything;
    if (choice->pattern != NULL) {
        return qk_name_pattern_match(choice->pattern, module, ret, err);
    }
    size_t len = strlen(module);
    for (const struct qk_json *item = qk_json_first(choice->names); item != NULL && !*ret; item = qk_json_next(item)) {
        const char *name = "";
        (void)qk_json_string(item, &name);
        size_t n = strlen(name);
        *ret = qk_streq(name, module) || (n < len && module[len - n - 1] == '.' && qk_streq(module + len - n, name));
    }
    return QK_OK;
}

static bool is_listed(const struct qk_json *layers, uint64_t index)
{
    uint64_t value = 0;
    if (qk_json_u64(layers, &value)) {
        return value == index;
    }
    for (const struct qk_json *item = qk_json_first(layers); item != NULL; item = qk_json_next(item)) {
        if (qk_json_u64(item, &value) && value == index) {
            return true;
        }
    }
    return false;
}

/* The first number between dots in front of which a pattern matches is the layer's. */
static enum qk_code in_layers(const struct qk_adapter_targets *t, const char *module, struct qk_arena *arena, bool *ret,
                              struct qk_err *err)
{
    *ret = false;
    for (const char *dot = strchr(module, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const char *end = dot + 1;
        uint64_t index = 0;
        while (isdigit((unsigned char)*end)) {
            index = index > UINT32_MAX ? index : 10 * index + (uint64_t)(*end - '0');
            end++;
        }
        if (end == dot + 1 || *end != '.') {
            continue;
        }
        const char *front = qk_arena_strndup(arena, module, (size_t)(dot - module));
        if (front == NULL) {
            return qk_fail_nomem(err, module);
        }
        for (size_t i = 0; i < t->n_patterns; i++) {
            bool matches;
            QK_TRY(qk_name_pattern_match(t->patterns[i].pattern, front, &matches, err));
            if (matches) {
                *ret = is_listed(t->layers, index);
                return QK_OK;
            }
        }
    }
    return QK_OK;
}

enum qk_code qk_adapter_config_targets(const struct qk_adapter_config *config, const char *module, bool *ret,
                                       struct qk_err *err)
{
    const struct qk_adapter_targets *t = config->targets;
    bool excluded = false;
    /* absent: PEFT chose by the architecture when the adapter was made */
    bool unsaid = t->targets.names == NULL && t->targets.pattern == NULL && !t->targets.everything;
    if (t->excluded.pattern != NULL || t->excluded.names != NULL) {
        QK_TRY(chosen(&t->excluded, module, &excluded, err));
    }
    if (excluded || unsaid) {
        *ret = !excluded;
        return QK_OK;
    }
    QK_TRY(chosen(&t->targets, module, ret, err));
    if (!*ret || t->layers == NULL) {
        return QK_OK;
    }
    struct qk_arena *arena = qk_arena_new();
    enum qk_code code = arena == NULL ? qk_fail_nomem(err, module) : in_layers(t, module, arena, ret, err);
    qk_arena_free(arena);
    return code;
}
