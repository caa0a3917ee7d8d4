/* Manual pages made from the command table: groff man source, UTF-8. */
#include <string.h>

#include "base/arena.h"
#include "cli_state.h"
#include "help.h"
#include "pages.h"
#include "paragraph.h"

/* One line of roff text: backslashes and hyphens escaped, control characters at the start of a line disarmed. */
static void add_roff(struct qk_str *out, const char *s, size_t n)
{
    if (n > 0 && (s[0] == '.' || s[0] == '\'')) {
        qk_str_add(out, "\\&");
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\') {
            qk_str_add(out, "\\e");
        } else if (s[i] == '-') {
            qk_str_add(out, "\\-");
        } else if (s[i] == '\'') {
            qk_str_add(out, "\\(aq");
        } else if (s[i] == '`') {
            qk_str_add(out, "\\(ga");
        } else {
            qk_str_addc(out, s[i] == '\n' ? ' ' : s[i]);
        }
    }
}

static void add_roff_text(struct qk_str *out, const char *s)
{
    add_roff(out, s, strlen(s));
}

static void add_verbatim(struct qk_str *out, const char *s, size_t n)
{
    qk_str_add(out, ".PP\n.nf\n");
    const char *line;
    size_t len;
    while (qk_next_line(&s, &n, &line, &len)) {
        add_roff(out, line, len);
        qk_str_addc(out, '\n');
    }
    qk_str_add(out, ".fi\n");
}

static void add_description(struct qk_str *out, const char *text)
{
    const char *s;
    size_t n;
    bool verbatim, first = true;
    while (qk_next_paragraph(&text, &s, &n, &verbatim)) {
        if (verbatim) {
            add_verbatim(out, s, n);
        } else {
            qk_str_add(out, first ? "" : ".PP\n");
            add_roff(out, s, n);
            qk_str_addc(out, '\n');
        }
        first = false;
    }
}

static void add_option(struct qk_str *out, const struct qk_option *o)
{
    qk_str_add(out, ".TP\n");
    if (o->letter != 0) {
        qk_str_addf(out, "\\fB\\-%c\\fR, ", o->letter);
    }
    qk_str_add(out, "\\fB\\-\\-");
    add_roff_text(out, o->name);
    qk_str_add(out, "\\fR");
    if (o->arg != NULL) {
        qk_str_add(out, " \\fI");
        add_roff_text(out, o->arg);
        qk_str_add(out, "\\fR");
    }
    qk_str_addc(out, '\n');
    add_roff_text(out, o->help);
    struct qk_str facts = {0};
    qk_option_facts(&facts, o);
    if (facts.len > 0) {
        qk_str_addc(out, ' ');
        add_roff_text(out, facts.s);
    }
    out->failed = out->failed || facts.failed;
    qk_str_release(&facts);
    qk_str_addc(out, '\n');
}

static void add_header(struct qk_str *out, const char *page, const char *summary)
{
    qk_str_addf(out, ".TH %s 1 \"\" \"qkscope %s\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\n", page, QK_VERSION);
    add_roff_text(out, page);
    qk_str_add(out, " \\- ");
    add_roff_text(out, summary);
    qk_str_addc(out, '\n');
}

static void add_exit_status(struct qk_str *out)
{
    qk_str_add(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; qk_exit_status_help[i] != NULL; i += 2) {
        qk_str_addf(out, ".TP\n%s\n", qk_exit_status_help[i]);
        add_roff_text(out, qk_exit_status_help[i + 1]);
        qk_str_addc(out, '\n');
    }
}

static void add_see_also(struct qk_str *out, const char *own)
{
    qk_str_add(out, ".SH SEE ALSO\n");
    const char *comma = "";
    if (own != NULL) {
        qk_str_add(out, ".BR qkscope (1)");
        comma = ",\n";
    }
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        if (!c->hidden && (own == NULL || !qk_streq(c->name, own))) {
            qk_str_addf(out, "%s.BR qkscope\\-%s (1)", comma, c->name);
            comma = ",\n";
        }
    }
    qk_str_addc(out, '\n');
}

enum qk_code qk_man_command(struct qk_str *out, const struct qk_command *c, struct qk_err *err)
{
    struct qk_arena *arena = qk_arena_new();
    if (arena == NULL) {
        return qk_fail_nomem(err, "man page");
    }
    const struct qk_option *options;
    size_t n;
    enum qk_code code = qk_command_options(c, arena, &options, &n, err);
    if (code == QK_OK) {
        const char *page = qk_arena_printf(arena, "qkscope-%s", c->name);
        add_header(out, page != NULL ? page : c->name, c->summary);
        qk_str_addf(out, ".SH SYNOPSIS\n\\fBqkscope %s\\fR [options] ", c->name);
        add_roff_text(out, c->operands != NULL ? c->operands : "");
        qk_str_add(out, "\n.SH DESCRIPTION\n");
        add_description(out, c->description);
        for (size_t i = 0; c->operand_help != NULL && c->operand_help[i] != NULL; i += 2) {
            qk_str_add(out, i == 0 ? ".SH OPERANDS\n.TP\n\\fI" : ".TP\n\\fI");
            add_roff_text(out, c->operand_help[i]);
            qk_str_add(out, "\\fR\n");
            add_roff_text(out, c->operand_help[i + 1]);
            qk_str_addc(out, '\n');
        }
        qk_str_add(out, ".SH OPTIONS\n");
        for (size_t i = 0; i < n; i++) {
            add_option(out, &options[i]);
        }
        add_exit_status(out);
        for (size_t i = 0; c->examples != NULL && c->examples[i] != NULL; i += 2) {
            qk_str_add(out, i == 0 ? ".SH EXAMPLES\n.TP\n\\fB" : ".TP\n\\fB");
            add_roff_text(out, c->examples[i]);
            qk_str_add(out, "\\fR\n");
            add_roff_text(out, c->examples[i + 1]);
            qk_str_addc(out, '\n');
        }
        add_see_also(out, c->name);
    }
    qk_arena_free(arena);
    return code;
}

static const struct {
    const char *page, *what;
} manual[] = {
    {"tutorial.md", "the bundled pair step by step, then your own checkpoints, then what belongs in a paper"},
    {"faq.md", "what people ask"},
    {"glossary.md", "every term that the program prints"},
    {"metrics.md, findings.md", "every number and every rule, with sources"},
    {"results\\-format.md", "the run file, RUN.h5"},
    {NULL, NULL},
};

void qk_man_overview(struct qk_str *out)
{
    add_header(out, "qkscope", qk_tool_summary);
    qk_str_add(out, ".SH SYNOPSIS\n\\fBqkscope\\fR \\fICOMMAND\\fR [options] …\n.SH DESCRIPTION\n");
    add_description(out, qk_tool_description);
    qk_str_add(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < qk_command_count(); i++) {
        const struct qk_command *c = qk_command_at(i);
        if (!c->hidden) {
            qk_str_addf(out, ".TP\n\\fB%s\\fR\n", c->name);
            add_roff_text(out, c->summary);
            qk_str_addc(out, '\n');
        }
    }
    add_exit_status(out);
    qk_str_add(out,
               ".SH MANUAL\nThe manual lies in the source's docs/, with the Debian package in /usr/share/doc/qkscope; "
               "README.md there is its index.\n");
    for (size_t i = 0; manual[i].page != NULL; i++) {
        qk_str_addf(out, ".TP\n\\fB%s\\fR\n%s\n", manual[i].page, manual[i].what);
    }
    add_see_also(out, NULL);
}
