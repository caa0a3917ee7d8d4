/* qkscope docs KIND [COMMAND]: the pages that the build installs and docs/ holds. Hidden: for the build itself. */
#include "advise/finding.h"
#include "base/str.h"
#include "catalogue.h"
#include "cli/command.h"
#include "pages.h"
#include "suggest.h"

/* One kind of page. overview: without a command's name; command: with one. Either may be NULL. */
struct page_kind {
    const char *name;
    enum qk_code (*overview)(struct qk_str *out, struct qk_err *err);
    enum qk_code (*command)(struct qk_str *out, const struct qk_command *command, struct qk_err *err);
};

static enum qk_code man_overview(struct qk_str *out, struct qk_err *err)
{
    (void)err;
    qk_man_overview(out);
    return QK_OK;
}

static enum qk_code command_names(struct qk_str *out, struct qk_err *err)
{
    (void)err;
    for (size_t i = 0; i < qk_command_count(); i++) {
        if (!qk_command_at(i)->hidden) {
            qk_str_addf(out, "%s\n", qk_command_at(i)->name);
        }
    }
    return QK_OK;
}

static enum qk_code findings_page(struct qk_str *out, struct qk_err *err)
{
    (void)err;
    qk_findings_markdown(out, qk_add_markdown);
    return QK_OK;
}

static const struct page_kind kinds[] = {
    {"man", man_overview, qk_man_command},    {"markdown", qk_markdown_overview, qk_markdown_command},
    {"completion", qk_completion_bash, NULL}, {"completion-zsh", qk_completion_zsh, NULL},
    {"commands", command_names, NULL},        {"rules", qk_markdown_rules, NULL},
    {"findings", findings_page, NULL},        {NULL, NULL, NULL},
};

static enum qk_code make(struct qk_cli *cli, const struct page_kind *kind, struct qk_str *out, struct qk_err *err)
{
    if (qk_cli_n_operands(cli) < 2) {
        return kind->overview(out, err);
    }
    if (kind->command == NULL) {
        return qk_fail(err, QK_EUSAGE, "docs %s: unexpected operand '%s'", kind->name, qk_cli_operand(cli, 1));
    }
    const struct qk_command *command = qk_command_find(qk_cli_operand(cli, 1));
    return command != NULL ? kind->command(out, command, err) : qk_unknown_command(qk_cli_operand(cli, 1), err);
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    for (const struct page_kind *kind = kinds; kind->name != NULL; kind++) {
        if (qk_streq(kind->name, qk_cli_operand(cli, 0))) {
            struct qk_str out = {0};
            enum qk_code code = make(cli, kind, &out, err);
            if (code != QK_OK) {
                qk_str_release(&out);
                return code;
            }
            return qk_cli_print_str(cli, &out, err);
        }
    }
    return qk_fail(err, QK_EUSAGE, "docs: no pages of kind '%s'", qk_cli_operand(cli, 0));
}

static const char *const operand_help[] = {
    "KIND",
    "man, markdown (both of one command, or of all of them together), completion (bash), completion-zsh, commands "
    "(their "
    "names), rules (of checkpoints) or findings.",
    "COMMAND",
    "The command that the page is about.",
    NULL,
};

static const char *const examples[] = {
    "qkscope docs completion > ~/.local/share/bash-completion/completions/qkscope",
    "Words after `qkscope` can be completed by Tab.",
    "qkscope docs man drift | man -l -",
    "The page of a command without installing it.",
    NULL,
};

const struct qk_command qk_cmd_docs = {
    .name = "docs",
    .summary = "print man pages, Markdown pages or completion scripts",
    .operands = "KIND [COMMAND]",
    .min_operands = 1,
    .max_operands = 2,
    .description = "Writes the pages that are made of the program's own tables, for its build and for packagers.",
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
    .hidden = true,
};
