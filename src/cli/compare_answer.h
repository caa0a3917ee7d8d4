/* What `compare` prints: what differs, for people and as JSON. Private to src/cli. */
#ifndef QK_CLI_COMPARE_ANSWER_H
#define QK_CLI_COMPARE_ANSWER_H

#include "base/str.h"
#include "repair/compare.h"

struct qk_compare_answer {
    const char *a, *b; /* as the user wrote them */
    bool expected;     /* B was held against a plan */
    const struct qk_compare *result;
};

void qk_compare_answer_text(struct qk_str *out, const struct qk_compare_answer *answer);
void qk_compare_answer_json(struct qk_str *out, const struct qk_compare_answer *answer);

#endif
