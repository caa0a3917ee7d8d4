/* See both_ways.h. */
#include "both_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void qk_fuzz_require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

void qk_fuzz_collect(void *ctx, const struct qk_violation *violation)
{
    struct qk_fuzz_first *first = ctx;
    const char *colon = violation->tensor[0] == 0 ? "" : ": ";
    if (first->n++ == 0) {
        snprintf(first->text, sizeof first->text, "%s: %s%s%s", violation->file, violation->tensor, colon,
                 violation->text);
    }
    qk_fuzz_require(qk_name_is_clean(violation->text), "texts are UTF-8 without control characters");
    qk_fuzz_require(qk_name_is_clean(violation->tensor), "names are UTF-8 without control characters");
}

void qk_fuzz_agree(enum qk_code code, const struct qk_err *err, const struct qk_fuzz_first *first)
{
    qk_fuzz_require(code != QK_ENOMEM && code != QK_EINTERNAL, "no error but that of a rule");
    qk_fuzz_require((code == QK_OK) == (first->n == 0), "opening fails exactly when validation reports something");
    qk_fuzz_require(code == QK_OK || strcmp(err->text, first->text) == 0, "the error is the first violation");
}
