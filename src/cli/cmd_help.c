/* qkscope help [COMMAND]: the list of commands, or one explained. */
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "help.h"
#include "suggest.h"

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_str text = {0};
    if (qk_cli_n_operands(cli) == 0) {
        qk_help_overview(&text, qk_help_width());
        return qk_cli_print_str(cli, &text, err);
    }
    const struct qk_command *command = qk_command_find(qk_cli_operand(cli, 0));
    if (command == NULL) {
        return qk_unknown_command(qk_cli_operand(cli, 0), err);
    }
    enum qk_code code = qk_help_command(&text, command, qk_help_width(), err);
    if (code != QK_OK) {
        qk_str_release(&text);
        return code;
    }
    return qk_cli_print_str(cli, &text, err);
}

static const char *const operand_help[] = {
    "COMMAND",
    "One of those that `qkscope help` lists.",
    NULL,
};

static const char *const examples[] = {
    "qkscope help",
    "Lists the commands.",
    "qkscope help drift",
    "Explains drift: what it measures, its options, examples.",
    NULL,
};

const struct qk_command qk_cmd_help = {
    .name = "help",
    .summary = "explain a command, or list them all",
    .operands = "[COMMAND]",
    .max_operands = 1,
    .description = "Prints what a command does, its options with their defaults, and examples. The same text is the "
                   "command's man page, qkscope-COMMAND(1).",
    .examples = examples,
    .operand_help = operand_help,
    .run = run,
};
