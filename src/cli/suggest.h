/* Errors that suggest what may have been meant. Private to src/cli. */
#ifndef QK_CLI_SUGGEST_H
#define QK_CLI_SUGGEST_H

#include "base/err.h"

/* QK_EUSAGE with the nearest command's name as hint. */
enum qk_code qk_unknown_command(const char *word, struct qk_err *err) QK_CHECKED;

#endif
