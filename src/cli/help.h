/* Help texts made from the command table. Private to src/cli. */
#ifndef QK_CLI_HELP_H
#define QK_CLI_HELP_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"

/* What the tool is for, in one sentence; used by help, man page and docs. */
extern const char qk_tool_summary[];
/* The same in paragraphs. */
extern const char qk_tool_description[];
/* Exit statuses, pairs: number, meaning; ends with NULL. */
extern const char *const qk_exit_status_help[];

/* Columns to wrap at: the terminal's (at most 100), else 80. COLUMNS overrides. */
size_t qk_help_width(void);
/* "[options] BASE TUNED…" */
void qk_usage(struct qk_str *out, const struct qk_command *command);
/* The list of commands. */
void qk_help_overview(struct qk_str *out, size_t width);
enum qk_code qk_help_command(struct qk_str *out, const struct qk_command *command, size_t width,
                             struct qk_err *err) QK_CHECKED;
/* "One of a, b. Default: a.": what follows the option's own help; empty when there is nothing to say. */
void qk_option_facts(struct qk_str *out, const struct qk_option *option);

#endif
