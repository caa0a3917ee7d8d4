/* What `restore --as adapter` answers: the rows of an adapter's tensors that were, or would be, taken out. */
#ifndef QK_CLI_TRIM_ANSWER_H
#define QK_CLI_TRIM_ANSWER_H

#include <stdbool.h>

#include "repair/trimmed_adapter.h"

/* output: NULL = none given. written false: a dry run. */
void qk_trim_answer_json(struct qk_str *out, const struct qk_trims *trims, const char *output, bool written);
void qk_trim_answer_text(struct qk_str *out, const struct qk_trims *trims, const char *output, bool written);

#endif
