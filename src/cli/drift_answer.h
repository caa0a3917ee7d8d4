/* What `qkscope drift` says on standard output: the short answer as text and as JSON. Private to src/cli. */
#ifndef QK_CLI_DRIFT_ANSWER_H
#define QK_CLI_DRIFT_ANSWER_H

#include "base/str.h"
#include "run/drift_summary.h"

void qk_drift_answer_text(struct qk_str *out, const char *base, const char *tuned, const struct qk_drift_summary *s);
/* One object. */
void qk_drift_answer_json(struct qk_str *out, const char *tuned, const struct qk_drift_summary *s);

#endif
