/* cJSON behind a strict scan: see ckpt/json.h.
 *
 * The scan (json_scan.h) decides what is JSON, so cJSON only ever sees well-formed text of bounded depth, and its NULL
 * can mean nothing but "out of memory". Python's NaN and infinities are put into a copy in a form that cJSON takes:
 * 1e999 for infinity, and for NaN a string of the byte 0xff, which the scan admits nowhere else. */
#include "ckpt/json.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "check.h"
#include "json_document.h"
#include "json_scan.h"
#include "order.h"

enum { max_values = 8 << 20 }; /* a node of cJSON takes about 100 bytes; the largest tokenizers have 2 million */

static const char nan_mark[] = "\xff";

static void *allocate(size_t size)
{
    return qk_calloc(size, 1);
}

__attribute__((constructor)) static void use_own_allocator(void)
{
    cJSON_Hooks hooks = {allocate, qk_free};
    cJSON_InitHooks(&hooks);
}

static const cJSON *node(const struct qk_json *json)
{
    return (const cJSON *)(const void *)json;
}

static const struct qk_json *wrap(const cJSON *item)
{
    return (const struct qk_json *)(const void *)item;
}

static void replace_at(char *p, const char *word, const char *with)
{
    size_t n = strlen(word), m = strlen(with);
    memcpy(p, with, m);
    memset(p + m, ' ', n - m);
}

/* A copy of scanned text in which Python's numbers have a form that cJSON takes. NULL when out of memory. */
static char *copy_for_cjson(const char *text, size_t len)
{
    char *copy = qk_calloc(len, 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, text, len);
    bool in_string = false;
    for (char *p = copy; p < copy + len; p++) {
        if (*p == '"') {
            in_string = !in_string;
        } else if (in_string) {
            p += *p == '\\';
        } else if (*p == 'N') {
            replace_at(p, "NaN", "\"\xff\"");
            p += 2;
        } else if (*p == 'I') {
            replace_at(p, "Infinity", "1e999");
            p += 7;
        }
    }
    return copy;
}

struct walk {
    struct qk_named *names; /* scratch: children of one object */
    size_t cap;
    struct qk_json_fault *fault;
};

static enum qk_code check_keys(struct walk *walk, const cJSON *object)
{
    size_t n = 0;
    for (const cJSON *c = object->child; c != NULL; c = c->next) {
        n++;
    }
    if (n > walk->cap) {
        struct qk_named *grown = qk_realloc(walk->names, n * 2, sizeof *grown);
        if (grown == NULL) {
            return QK_ENOMEM;
        }
        walk->names = grown;
        walk->cap = n * 2;
    }
    size_t i = 0;
    for (const cJSON *c = object->child; c != NULL; c = c->next) {
        walk->names[i] = (struct qk_named){c->string, i};
        i++;
    }
    QK_TRY(qk_order_names(walk->names, n, NULL));
    for (i = 1; i < n; i++) {
        if (strcmp(walk->names[i - 1].name, walk->names[i].name) == 0) {
            walk->fault->kind = QK_JSON_DUPLICATE;
            (void)qk_cut(walk->fault->key, walk->names[i].name);
            snprintf(walk->fault->text, sizeof walk->fault->text,
                     "key occurs twice in one object (expected once, found members %zu and %zu)",
                     walk->names[i - 1].index + 1, walk->names[i].index + 1);
            return QK_EFORMAT;
        }
    }
    return QK_OK;
}

/* Recursion is bounded by the depth that the scan allowed. */
static enum qk_code walk_value(struct walk *walk, cJSON *item)
{
    if (cJSON_IsString(item) && strcmp(item->valuestring, nan_mark) == 0) {
        cJSON_free(item->valuestring);
        item->valuestring = NULL;
        item->type = cJSON_Number;
        item->valuedouble = (double)NAN;
    }
    if (cJSON_IsObject(item)) {
        QK_TRY(check_keys(walk, item));
    }
    for (cJSON *c = item->child; c != NULL; c = c->next) {
        QK_TRY(walk_value(walk, c));
    }
    return QK_OK;
}

static bool scan_document(const char *text, size_t len, size_t *ret_n_python, struct qk_json_fault *fault)
{
    struct qk_scan scan;
    qk_scan_init(&scan, text, len);
    scan.python_numbers = true;
    scan.max_values = max_values;
    if (qk_scan_value(&scan) && qk_scan_end(&scan)) {
        *ret_n_python = scan.n_python_numbers;
        return true;
    }
    char where[200];
    qk_scan_explain(&scan, where, sizeof where);
    bool limit = scan.fault == QK_SCAN_LIMIT;
    fault->kind = limit ? QK_JSON_LIMIT : QK_JSON_SYNTAX;
    snprintf(fault->text, sizeof fault->text, "%s %s", limit ? "exceeds a limit" : "not valid JSON", where);
    return false;
}

enum qk_code qk_json_parse_document(const char *text, size_t len, struct qk_json **ret, struct qk_json_fault *ret_fault)
{
    ret_fault->key[0] = 0;
    size_t n_python;
    if (!scan_document(text, len, &n_python, ret_fault)) {
        return QK_EFORMAT;
    }
    char *copy = NULL;
    if (n_python > 0) {
        copy = copy_for_cjson(text, len);
        if (copy == NULL) {
            return QK_ENOMEM;
        }
    }
    cJSON *root = cJSON_ParseWithLength(copy == NULL ? text : copy, len);
    qk_free(copy);
    if (root == NULL) {
        return QK_ENOMEM;
    }
    struct walk walk = {.fault = ret_fault};
    enum qk_code code = walk_value(&walk, root);
    qk_free(walk.names);
    if (code != QK_OK) {
        cJSON_Delete(root);
        return code;
    }
    *ret = (struct qk_json *)(void *)root;
    return QK_OK;
}

enum qk_code qk_json_parse(const char *text, size_t len, const char *source, struct qk_json **ret, struct qk_err *err)
{
    struct qk_json_fault fault;
    enum qk_code code = qk_json_parse_document(text, len, ret, &fault);
    if (code == QK_ENOMEM) {
        return qk_fail_nomem(err, source);
    }
    if (code != QK_OK) {
        return qk_fail(err, fault.kind == QK_JSON_LIMIT ? QK_EUNSUPPORTED : QK_EFORMAT, "%s: %s%s%s", source, fault.key,
                       fault.key[0] == 0 ? "" : ": ", fault.text);
    }
    return QK_OK;
}

enum qk_code qk_json_load(const char *path, size_t max, struct qk_json **ret, struct qk_err *err)
{
    char *text;
    size_t len;
    QK_TRY(qk_file_slurp(path, max, &text, &len, err));
    enum qk_code code = qk_json_parse(text, len, path, ret, err);
    qk_free(text);
    return code;
}

void qk_json_free(struct qk_json *json)
{
    cJSON_Delete((cJSON *)(void *)json);
}

enum qk_json_type qk_json_type(const struct qk_json *json)
{
    const cJSON *item = node(json);
    return cJSON_IsBool(item)     ? QK_JSON_BOOL
           : cJSON_IsNumber(item) ? QK_JSON_NUMBER
           : cJSON_IsString(item) ? QK_JSON_STRING
           : cJSON_IsArray(item)  ? QK_JSON_ARRAY
           : cJSON_IsObject(item) ? QK_JSON_OBJECT
                                  : QK_JSON_NULL;
}

const char *qk_json_type_name(const struct qk_json *json)
{
    static const char *const names[] = {
        [QK_JSON_NULL] = "null",       [QK_JSON_BOOL] = "a boolean", [QK_JSON_NUMBER] = "a number",
        [QK_JSON_STRING] = "a string", [QK_JSON_ARRAY] = "an array", [QK_JSON_OBJECT] = "an object"};
    return json == NULL ? "nothing" : names[qk_json_type(json)];
}

const struct qk_json *qk_json_get(const struct qk_json *json, const char *key)
{
    return wrap(cJSON_GetObjectItemCaseSensitive(node(json), key));
}

const struct qk_json *qk_json_first(const struct qk_json *json)
{
    return json == NULL ? NULL : wrap(node(json)->child);
}

const struct qk_json *qk_json_next(const struct qk_json *json)
{
    return wrap(node(json)->next);
}

size_t qk_json_count(const struct qk_json *json)
{
    size_t n = 0;
    for (const struct qk_json *c = qk_json_first(json); c != NULL; c = qk_json_next(c)) {
        n++;
    }
    return n;
}

const char *qk_json_key(const struct qk_json *json)
{
    return node(json)->string;
}
