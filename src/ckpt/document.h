/* JSON files of a checkpoint (config and index) under the rules of check.h. */
#ifndef QK_CKPT_DOCUMENT_H
#define QK_CKPT_DOCUMENT_H

#include <stddef.h>

#include "check.h"

/* The rules that a kind of document is held to. */
struct qk_document_rules {
    enum qk_rule_id json, duplicate_key, limit, object;
    size_t max_bytes;
};

extern const struct qk_document_rules qk_config_rules, qk_index_rules;

/* A whole file as NUL-terminated text, *ret from qk_calloc; NULL when a violation was reported instead. */
enum qk_code qk_document_read(struct qk_check *check, const struct qk_document_rules *rules, const char *path,
                              char **ret, size_t *ret_len, struct qk_err *err) QK_CHECKED;
/* The object in text; *ret is NULL when a violation was reported instead. */
enum qk_code qk_document_parse(struct qk_check *check, const struct qk_document_rules *rules, const char *path,
                               const char *text, size_t len, struct qk_json **ret, struct qk_err *err) QK_CHECKED;
/* Reports that a file cannot be opened or read, with the text of the failed call; passes ENOMEM on. */
enum qk_code qk_document_unreadable(struct qk_check *check, const char *path, enum qk_code code,
                                    const struct qk_err *cause, struct qk_err *err) QK_CHECKED;

#endif
