/* Where broken rules go: one call for opening (the first is the error) and validating (all are reported).
 *
 * Checking code says QK_TRY(qk_violate(check, …)) and then goes on as if validating: when opening, the call returns the
 * rule's code and the error is set; when validating it returns QK_OK. So the two cannot disagree. */
#ifndef QK_CKPT_CHECK_H
#define QK_CKPT_CHECK_H

#include <stddef.h>

#include "base/err.h"
#include "ckpt/ckpt.h"
#include "ckpt/rules.h"

enum { qk_cut_bytes = 301 };

/* src in dst[qk_cut_bytes], cut between characters and marked with an ellipsis when it is too long; gives dst. */
const char *qk_cut(char *dst, const char *src);

struct qk_check {
    qk_violation_fn report; /* NULL: the first violation is an error */
    void *ctx;
    size_t n; /* violations so far */
};

/* file: path; item: tensor or field, "" when the file as a whole is meant; hint: "" when there is none. Control
 * characters are replaced and long names cut, so that the texts can be shown as they are. */
enum qk_code qk_violate(struct qk_check *check, enum qk_rule_id rule, const char *file, const char *item,
                        const char *hint, struct qk_err *err, const char *fmt, ...) QK_CHECKED QK_PRINTF(7, 8);

#endif
