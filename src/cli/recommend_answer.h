/* What `recommend` prints: findings and plan, for people and as JSON. Private to src/cli. */
#ifndef QK_CLI_RECOMMEND_ANSWER_H
#define QK_CLI_RECOMMEND_ANSWER_H

#include "advise/finding.h"
#include "advise/recommendation.h"
#include "base/str.h"

struct qk_recommend_answer {
    const struct qk_evidence *evidence;
    const struct qk_finding *findings;
    size_t n_findings;
    const struct qk_recommendation *recommendation;
    const char *output; /* where the plan went; NULL: nowhere */
};

/* Lines are wrapped at width columns. */
void qk_recommend_answer_text(struct qk_str *out, const struct qk_recommend_answer *a, size_t width);
void qk_recommend_answer_json(struct qk_str *out, const struct qk_recommend_answer *a);

#endif
