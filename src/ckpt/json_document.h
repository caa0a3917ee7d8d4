/* Parsing JSON with the kind of fault told apart, for callers that report rules (check.h). */
#ifndef QK_CKPT_JSON_DOCUMENT_H
#define QK_CKPT_JSON_DOCUMENT_H

#include <stddef.h>

#include "check.h"
#include "ckpt/json.h"

enum qk_json_fault_kind { QK_JSON_SYNTAX, QK_JSON_LIMIT, QK_JSON_DUPLICATE };

struct qk_json_fault {
    enum qk_json_fault_kind kind;
    char key[qk_cut_bytes]; /* of a duplicate, else "" */
    char text[256];         /* what is wrong (expected X, found Y) */
};

/* As qk_json_parse; QK_EFORMAT comes with *ret_fault instead of an error text, QK_ENOMEM with neither. */
enum qk_code qk_json_parse_document(const char *text, size_t len, struct qk_json **ret,
                                    struct qk_json_fault *ret_fault) QK_CHECKED;
/* "a string", "an object" … for messages; "nothing" for NULL. */
const char *qk_json_type_name(const struct qk_json *json);

#endif
