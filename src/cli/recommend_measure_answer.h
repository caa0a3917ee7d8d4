/* What `recommend --measure` prints, for people and as JSON. Private to src/cli. */
#ifndef QK_CLI_RECOMMEND_MEASURE_ANSWER_H
#define QK_CLI_RECOMMEND_MEASURE_ANSWER_H

#include "base/str.h"
#include "run/measure.h"

struct qk_measure_answer {
    const struct qk_measurement *measurement;
    const struct qk_plan *plan; /* with provenance */
    const char *tasks;          /* "s3" */
    const char *output;         /* where the plan went; NULL: nowhere */
    double max_loss;
};

void qk_measure_answer_text(struct qk_str *out, const struct qk_measure_answer *answer, size_t width);
void qk_measure_answer_json(struct qk_str *out, const struct qk_measure_answer *answer);

#endif
