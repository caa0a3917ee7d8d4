/* Reading values of plan.json: each checked for its type, errors naming file, object and member. Private to the layer.
 */
#ifndef QK_REPAIR_PLAN_VALUE_H
#define QK_REPAIR_PLAN_VALUE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ckpt/json.h"

struct qk_plan_reader {
    const char *name; /* of the file, in errors */
    char object[48];  /* the object at hand: "units[3]." or "" */
    struct qk_arena *arena;
};

/* One member that a kind of object has; tables end with key NULL. */
struct qk_plan_member {
    const char *key;
    bool required;
    enum qk_code (*read)(struct qk_plan_reader *r, const char *key, const struct qk_json *json, void *dst,
                         struct qk_err *err);
};

/* QK_EFORMAT: the member has not what was expected. */
enum qk_code qk_plan_wrong(const struct qk_plan_reader *r, const char *key, const char *expected,
                           const struct qk_json *found, struct qk_err *err) QK_CHECKED;
/* A string, copied into the arena. */
enum qk_code qk_plan_read_text(struct qk_plan_reader *r, const char *key, const struct qk_json *json, const char **ret,
                               struct qk_err *err) QK_CHECKED;
/* A number; null gives NaN. */
enum qk_code qk_plan_read_number(struct qk_plan_reader *r, const char *key, const struct qk_json *json, double *ret,
                                 struct qk_err *err) QK_CHECKED;
/* A string that is one of words (ends with NULL): its index. */
enum qk_code qk_plan_read_word(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                               const char *const *words, unsigned *ret, struct qk_err *err) QK_CHECKED;
/* An array of such strings, each once: bit i for word i. */
enum qk_code qk_plan_read_words(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                                const char *const *words, unsigned *ret, struct qk_err *err) QK_CHECKED;
/* An object's members into dst, in the order of the table. Unknown members, and required ones that are missing, are
 * QK_EFORMAT. key: of the object, "" at the top. */
enum qk_code qk_plan_read_object(struct qk_plan_reader *r, const char *key, const struct qk_json *json,
                                 const struct qk_plan_member *members, void *dst, struct qk_err *err) QK_CHECKED;

#endif
