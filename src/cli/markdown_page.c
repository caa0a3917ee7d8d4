/* docs/commands: Markdown pages made from the command table. */
#include <string.h>

#include "base/arena.h"
#include "catalogue.h"
#include "cli_state.h"
#include "help.h"
#include "pages.h"
#include "paragraph.h"

static void add_description(struct qk_str *out, const char *text, struct qk_arena *arena)
{
    const char *s;
    size_t n;
    bool verbatim;
    while (qk_next_paragraph(&text, &s, &n, &verbatim)) {
        qk_str_addc(out, '\n');
        if (verbatim) {
            qk_str_add(out, "```\n");
            qk_str_addn(out, s, n);
            qk_str_add(out, "\n```\n");
        } else {
            char *text_only = qk_arena_strndup(arena, s, n);
            out->failed = out->failed || text_only == NULL;
            qk_add_markdown(out, text_only != NULL ? text_only : "");
            qk_str_addc(out, '\n');
        }
    }
}

static void add_option(struct qk_str *out, const struct qk_option *o)
{
    qk_str_add(out, "| `");
    if (o->letter != 0) {
        qk_str_addf(out, "-%c`, `", o->letter);
    }
    qk_str_addf(out, "--%s%s%s` | ", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
    qk_add_markdown(out, o->help);
    struct qk_str facts = {0};
    qk_option_facts(&facts, o);
    if (facts.len > 0) {
        qk_str_addc(out, ' ');
        qk_add_markdown(out, facts.s);
    }
    out->failed = out->failed || facts.failed;
    qk_str_release(&facts);
    qk_str_add(out, " |\n");
}

enum qk_code qk_markdown_command(struct qk_str *out, const struct qk_command *c, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "page");
    }
    const struct qk_option *options;
    size_t n;
    enum qk_code code = qk_command_options(c, arena, &options, &n, err);
    if (code == QK_OK) {
        qk_str_addf(out, "# qkscope %s\n\n", c->name);
        qk_add_markdown(out, c->summary);
        qk_str_add(out, "\n\n```\n");
        qk_usage(out, c);
        qk_str_add(out, "\n```\n");
        add_description(out, c->description, arena);
        for (size_t i = 0; c->operand_help != NULL && c->operand_help[i] != NULL; i += 2) {
            qk_str_add(out, i == 0 ? "\n## Operands\n\n| operand | |\n|---|---|\n" : "");
            qk_str_addf(out, "| `%s` | ", c->operand_help[i]);
            qk_add_markdown(out, c->operand_help[i + 1]);
            qk_str_add(out, " |\n");
        }
        qk_str_add(out, "\n## Options\n\n| option | |\n|---|---|\n");
        for (size_t i = 0; i < n; i++) {
            add_option(out, &options[i]);
        }
        for (size_t i = 0; c->examples != NULL && c->examples[i] != NULL; i += 2) {
            qk_str_add(out, i == 0 ? "\n## Examples\n" : "");
            qk_str_addf(out, "\n```\n%s\n```\n", c->examples[i]);
            qk_add_markdown(out, c->examples[i + 1]);
            qk_str_addc(out, '\n');
        }
    }
    qk_arena_free(arena);
    return code;
}

enum qk_code qk_markdown_overview(struct qk_str *out, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "page");
    }
    qk_str_add(out, "# Commands\n\nThese pages, the man pages and `--help` are written from one table by the program "
                    "itself (`make docs`).\n");
    add_description(out, qk_tool_description, arena);
    qk_arena_free(arena);
    qk_str_add(out, "\n| command | |\n|---|---|\n");
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        if (!c->hidden) {
            qk_str_addf(out, "| [%s](%s.md) | ", c->name, c->name);
            qk_add_markdown(out, c->summary);
            qk_str_add(out, " |\n");
        }
    }
    qk_str_add(out, "\n## Exit status\n\n| status | |\n|---|---|\n");
    for (size_t i = 0; qk_exit_status_help[i] != NULL; i += 2) {
        qk_str_addf(out, "| %s | ", qk_exit_status_help[i]);
        qk_add_markdown(out, qk_exit_status_help[i + 1]);
        qk_str_add(out, " |\n");
    }
    return QK_OK;
}
