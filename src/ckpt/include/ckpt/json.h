/* JSON for configs, indices, headers and plans: cJSON behind checks that it lacks.
 *
 * Duplicate keys are refused, depth and size bounded, trailing text refused, integers must be integral and ≤ 2^53,
 * keys are case-sensitive. A struct qk_json is a borrowed pointer into a document. */
#ifndef QK_CKPT_JSON_H
#define QK_CKPT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct qk_json; /* a value: object, array, string, number, true, false, null */

/* Parses len bytes; source names them in errors. Strict RFC 8259, except that "NaN", "Infinity" and "-Infinity" are
 * accepted as numbers where Python's json writes them. Release with qk_json_free. */
enum qk_code qk_json_parse(const char *text, size_t len, const char *source, struct qk_json **ret,
                           struct qk_err *err) QK_CHECKED;
/* Reads and parses a file of at most max bytes. */
enum qk_code qk_json_load(const char *path, size_t max, struct qk_json **ret, struct qk_err *err) QK_CHECKED;
void qk_json_free(struct qk_json *json);

enum qk_json_type { QK_JSON_NULL, QK_JSON_BOOL, QK_JSON_NUMBER, QK_JSON_STRING, QK_JSON_ARRAY, QK_JSON_OBJECT };
enum qk_json_type qk_json_type(const struct qk_json *json);

/* Member of an object (NULL json, not an object, or no such key: NULL). An explicit null is given as QK_JSON_NULL. */
const struct qk_json *qk_json_get(const struct qk_json *json, const char *key);
/* Children in order: for (c = qk_json_first(j); c; c = qk_json_next(c)); count for arrays and objects. */
const struct qk_json *qk_json_first(const struct qk_json *json);
const struct qk_json *qk_json_next(const struct qk_json *json);
size_t qk_json_count(const struct qk_json *json);
const char *qk_json_key(const struct qk_json *json); /* of an object's child */

/* Values; false when of another type (or, for u64, not an integer in [0, 2^53]). */
bool qk_json_string(const struct qk_json *json, const char **ret);
bool qk_json_double(const struct qk_json *json, double *ret);
bool qk_json_u64(const struct qk_json *json, uint64_t *ret);
bool qk_json_bool(const struct qk_json *json, bool *ret);

/* Config access with a default: absent or null gives the default; another type is QK_EFORMAT naming source and key. */
enum qk_code qk_json_opt_u64(const struct qk_json *obj, const char *key, uint64_t dflt, const char *source,
                             uint64_t *ret, struct qk_err *err) QK_CHECKED;
enum qk_code qk_json_opt_double(const struct qk_json *obj, const char *key, double dflt, const char *source,
                                double *ret, struct qk_err *err) QK_CHECKED;
enum qk_code qk_json_opt_bool(const struct qk_json *obj, const char *key, bool dflt, const char *source, bool *ret,
                              struct qk_err *err) QK_CHECKED;
enum qk_code qk_json_opt_string(const struct qk_json *obj, const char *key, const char *dflt, const char *source,
                                const char **ret, struct qk_err *err) QK_CHECKED;

#endif
