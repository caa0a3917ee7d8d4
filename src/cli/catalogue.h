/* Tables of the tool as text, JSON and Markdown: what `metrics` and `models` print and docs/ holds. Private to src/cli.
 */
#ifndef QK_CLI_CATALOGUE_H
#define QK_CLI_CATALOGUE_H

#include "base/str.h"

/* docs/metrics.md */
void qk_metrics_markdown(struct qk_str *out);
/* docs/models.md */
void qk_models_markdown(struct qk_str *out);
/* s with the characters that mean something in a Markdown table escaped. */
void qk_add_markdown(struct qk_str *out, const char *s);

#endif
