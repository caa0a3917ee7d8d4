/* qkscope report RUN.h5 -o report.html: one page for people. */
#include <math.h>

#include "advise/finding.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/command.h"
#include "plot/report.h"
#include "store/store.h"

enum { PLACES_SHOWN = 6 };

static bool is_flag(const struct qk_finding *f)
{
    return qk_str_starts(f->rule->rule, "1 "); /* says enough by being there */
}

/* "layer 5 head 0 (0.29), …" behind a finding's title. */
static void add_places(struct qk_str *out, const struct qk_finding *f)
{
    bool flag = is_flag(f);
    if (f->n_places == 0) {
        if (!flag && isfinite(f->value)) {
            qk_str_addf(out, " (%.3g)", f->value);
        }
        return;
    }
    qk_str_add(out, ": ");
    for (size_t i = 0; i < f->n_places && i < PLACES_SHOWN; i++) {
        qk_str_addf(out, "%slayer %zu", i > 0 ? ", " : "", f->places[i].layer);
        if (f->rule->scope == QK_FINDING_HEAD) {
            qk_str_addf(out, " head %zu", f->places[i].head);
        }
        if (!flag) {
            qk_str_addf(out, " (%.2g)", f->places[i].value);
        }
    }
    if (f->n_places > PLACES_SHOWN) {
        qk_str_addf(out, " and %zu more", f->n_places - PLACES_SHOWN);
    }
}

static enum qk_code number_text(const struct qk_finding *f, struct qk_arena *arena, const char **ret,
                                struct qk_err *err)
{
    struct qk_str text = {0};
    *ret = NULL;
    if (is_flag(f) || (f->n_places == 0 && !isfinite(f->value))) {
        return QK_OK;
    }
    qk_str_addf(&text, "%s; the rule asks for %s %.3g.", f->rule->rule, f->rule->above ? "more than" : "at least",
                f->rule->threshold);
    char *kept = text.failed ? NULL : qk_arena_strdup(arena, text.s);
    qk_str_release(&text);
    if (kept == NULL) {
        return qk_fail_nomem(err, "report");
    }
    *ret = kept;
    return QK_OK;
}

static enum qk_code finding_text(const struct qk_finding *f, struct qk_arena *arena, const char **ret,
                                 struct qk_err *err)
{
    struct qk_str text = {0};
    const char *title = f->rule->title;
    bool is_word = title[0] >= 'a' && title[0] <= 'z';
    qk_str_addc(&text, is_word ? (char)(title[0] - 'a' + 'A') : title[0]);
    qk_str_add(&text, title + 1);
    add_places(&text, f);
    qk_str_addf(&text, ". %s", f->rule->advice);
    char *kept = text.failed ? NULL : qk_arena_strdup(arena, text.s);
    qk_str_release(&text);
    if (kept == NULL) {
        return qk_fail_nomem(err, "report");
    }
    *ret = kept;
    return QK_OK;
}

/* What the run shows about the tuned checkpoint; nothing when it compares none with a base. */
static enum qk_code find(struct qk_cli *cli, const struct qk_table *table, struct qk_report_options *o,
                         struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(cli);
    const struct qk_finding *findings = NULL;
    struct qk_evidence evidence;
    struct qk_err why = {0};
    size_t n = 0;
    enum qk_code code = qk_evidence_open(table, qk_cli_value(cli, "checkpoint"), arena, &evidence, &why);
    if (code != QK_OK) {
        bool asked = qk_cli_value(cli, "checkpoint") != NULL;
        if (asked || code == QK_ENOMEM) {
            *err = why;
            qk_err_context(err, "%s", qk_cli_operand(cli, 0));
            return code;
        }
        qk_cli_detail(cli, "%s: no findings: %s", qk_cli_operand(cli, 0), why.text);
        return QK_OK;
    }
    QK_TRY(qk_findings_of(&evidence, arena, &findings, &n, err));
    struct qk_report_finding *texts = qk_arena_alloc(arena, n > 0 ? n : 1, sizeof *texts);
    if (texts == NULL) {
        return qk_fail_nomem(err, "report");
    }
    for (size_t i = 0; i < n; i++) {
        texts[i] =
            (struct qk_report_finding){qk_severity_name(findings[i].rule->severity), findings[i].rule->id, "", NULL};
        QK_TRY(finding_text(&findings[i], arena, &texts[i].text, err));
        QK_TRY(number_text(&findings[i], arena, &texts[i].number, err));
    }
    o->checkpoint = evidence.tuned;
    o->findings = texts;
    o->n_findings = n;
    return QK_OK;
}

static enum qk_code write_page(struct qk_cli *cli, const struct qk_table *table, struct qk_err *err)
{
    struct qk_report_options options = {0};
    struct qk_str page = {0};
    char *name = qk_path_basename(qk_cli_operand(cli, 0));
    options.run = name != NULL ? qk_arena_strdup(qk_cli_arena(cli), name) : NULL;
    qk_free(name);
    if (options.run == NULL) {
        return qk_fail_nomem(err, "report");
    }
    QK_TRY(find(cli, table, &options, err));
    enum qk_code code = qk_report_write(table, &options, &page, err);
    if (code == QK_OK) {
        code = qk_atomic_put(qk_cli_output(cli), qk_cli_force(cli), page.s, page.len, err);
    }
    qk_str_release(&page);
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    const char *output = qk_cli_output(cli);
    if (output == NULL) {
        return qk_fail(err, QK_EUSAGE, "report: expected -o FILE.html, where the page goes");
    }
    QK_TRY(qk_cli_guard_input(cli, qk_cli_operand(cli, 0), err));
    QK_TRY(qk_atomic_check(output, qk_cli_force(cli), err));
    struct qk_table *table = NULL;
    QK_TRY(qk_store_read(qk_cli_operand(cli, 0), &table, err));
    enum qk_code code = write_page(cli, table, err);
    qk_table_free(table);
    return code;
}

static const struct qk_option options[] = {
    {.name = "checkpoint",
     .kind = QK_OPT_STRING,
     .arg = "NAME",
     .help = "The tuned checkpoint that the findings are about, where the run has several. Default: the one that the "
             "run's plan is for, else the last one."},
    {0},
};

static const char *const operand_help[] = {
    "RUN.h5",
    "A run file of any command, or of merge.",
    NULL,
};

static const char *const examples[] = {
    "qkscope report run.h5 -o report.html",
    "All that was measured, on one page; measurements of several commands are joined by qkscope merge.",
    "qkscope recommend run.h5 --store run.h5 --force; qkscope report run.h5 -o report.html --force",
    "With the findings and a plan beside the measurements.",
    NULL,
};

const struct qk_command qk_cmd_report = {
    .name = "report",
    .summary = "write one page with the verdict, the plan and figures to explore",
    .operands = "RUN.h5",
    .min_operands = 1,
    .max_operands = 1,
    .description =
        "Writes one HTML page that holds everything it shows: the verdict of diagnose where the run has one, what the "
        "measurements show in words, the plan with the evidence for each unit, maps of layers and heads for every "
        "metric, the attention distances of a head in each checkpoint, recall by length and depth, recall against "
        "reasoning, tables, where the numbers come from, and the commands that made them. What the run has no data "
        "for is left out with a sentence.\n\n"
        "The maps can be read with a pointer or with the keyboard: Tab goes to a map, the arrow keys from cell to "
        "cell, Enter picks the head that the curves below show. Tables sort by a click on a heading, can be filtered "
        "and saved as TSV. Without JavaScript texts and tables remain. The page follows the system's light or dark "
        "look, has a switch for it, and prints in light.\n\n"
        "The page asks nothing of any network, and says so to the browser by a content security policy. Figures carry "
        "six significant digits; `qkscope export` gives all. The same run file gives the same bytes.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_FORCE,
    .output_help = "report.html",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
