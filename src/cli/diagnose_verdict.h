/* What a diagnosis found, in words and files. Private to src/cli. */
#ifndef QK_CLI_DIAGNOSE_VERDICT_H
#define QK_CLI_DIAGNOSE_VERDICT_H

#include <stdbool.h>

#include "advise/diagnosis.h"
#include "base/err.h"
#include "diagnose.h"

/* Whether a drift run says that the weights of the pair are the same. */
enum qk_code qk_diagnose_is_identical(const struct qk_diagnose *d, const char *drift, bool *ret,
                                      struct qk_err *err) QK_CHECKED;
/* Writes DIR/run.h5 with /verdict, and DIR/verdict.txt. *ret's text lives in the command's arena. */
enum qk_code qk_diagnose_verdict(const struct qk_diagnose *d, struct qk_diagnosis *ret, struct qk_err *err) QK_CHECKED;
/* To standard output, as text or JSON. */
enum qk_code qk_diagnose_print(const struct qk_diagnose *d, const struct qk_diagnosis *diagnosis,
                               struct qk_err *err) QK_CHECKED;

#endif
