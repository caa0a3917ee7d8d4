/* Pages made from the command table: manual, Markdown, shell completion. Private to src/cli. */
#ifndef QK_CLI_PAGES_H
#define QK_CLI_PAGES_H

#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"

/* qkscope.1 and qkscope-COMMAND.1: groff man source. */
void qk_man_overview(struct qk_str *out);
enum qk_code qk_man_command(struct qk_str *out, const struct qk_command *command, struct qk_err *err) QK_CHECKED;
/* docs/commands/README.md and docs/commands/COMMAND.md. */
enum qk_code qk_markdown_overview(struct qk_str *out, struct qk_err *err) QK_CHECKED;
enum qk_code qk_markdown_command(struct qk_str *out, const struct qk_command *command, struct qk_err *err) QK_CHECKED;
/* docs/checkpoint-rules.md */
enum qk_code qk_markdown_rules(struct qk_str *out, struct qk_err *err) QK_CHECKED;
/* Completion scripts for all commands: one to be sourced by bash, one for a directory of zsh's fpath (_qkscope). */
enum qk_code qk_completion_bash(struct qk_str *out, struct qk_err *err) QK_CHECKED;
enum qk_code qk_completion_zsh(struct qk_str *out, struct qk_err *err) QK_CHECKED;

#endif
