/* Errors that suggest what may have been meant. Private to src/cli. */
#ifndef QK_CLI_SUGGEST_H
#define QK_CLI_SUGGEST_H

#include <stddef.h>

#include "base/err.h"

/* QK_EUSAGE with the nearest command's name as hint. */
enum qk_code qk_unknown_command(const char *word, struct qk_err *err) QK_CHECKED;
/* QK_EUSAGE for --NAME (len bytes), with what may have been meant as hint: an option of the running command that is
 * spelt alike or begins alike, else the commands that have such an option. */
struct qk_cli;
enum qk_code qk_unknown_option(const struct qk_cli *cli, const char *name, size_t len, struct qk_err *err) QK_CHECKED;

#endif
