/* qkscope metrics: the metric table, as a list, explained, as JSON, or as the page in docs/. */
#include <math.h>
#include <string.h>

#include "analyses/metric.h"
#include "base/str.h"
#include "catalogue.h"
#include "cli/command.h"
#include "help.h"
#include "paragraph.h"

struct invariance_row {
    unsigned bit; /* enum qk_invariance */
    const char *name, *text;
};

static const struct invariance_row invariance_rows[] = {
    {QK_INV_GL_K, "gl_k",
     "NoPE layers without q/k norm: W_Q → G W_Q, W_K → G⁻ᵀ W_K for any invertible G of a KV group"},
    {QK_INV_ROPE_SCALAR, "rope_scalar",
     "RoPE layers: one complex number per frequency pair on W_Q and its inverse conjugate on W_K"},
    {QK_INV_NORM_SCALE, "norm_scale", "q/k norm: any positive factor per head of W_Q and of W_K separately"},
    {QK_INV_SYMMETRIC, "symmetric", "base and tuned exchanged"},
    {QK_INV_BASIS, "basis", "both sides turned by one orthogonal matrix in head space"},
    {QK_INV_COMMON_SCALE, "common_scale", "both sides multiplied by one number"},
    {0, NULL, NULL},
};

static void add_axes(struct qk_str *out, const struct qk_metric *m)
{
    for (size_t d = 0; d < 4 && m->dims[d] != NULL; d++) {
        qk_str_addf(out, "%s%s", d > 0 ? ", " : "", m->dims[d]);
    }
}

static void add_range(struct qk_str *out, const struct qk_metric *m)
{
    qk_str_addc(out, '[');
    qk_str_add_double(out, m->lo);
    qk_str_add(out, ", ");
    if (isinf(m->hi)) {
        qk_str_add(out, "∞)");
    } else {
        qk_str_add_double(out, m->hi);
        qk_str_addc(out, ']');
    }
}

static void add_invariances(struct qk_str *out, const struct qk_metric *m)
{
    const char *comma = "";
    for (const struct invariance_row *row = invariance_rows; row->name != NULL; row++) {
        if ((m->invariances & row->bit) != 0) {
            qk_str_addf(out, "%s%s", comma, row->name);
            comma = ", ";
        }
    }
}

static void add_line(struct qk_str *out, const struct qk_metric *m)
{
    struct qk_str axes = {0};
    add_axes(&axes, m);
    out->failed = out->failed || axes.failed;
    qk_str_addf(out, "%-24s %-22s %-5s %s\n", m->name, axes.s != NULL ? axes.s : "", m->units, m->title);
    qk_str_release(&axes);
}

static void add_field(struct qk_str *out, const char *label, const char *text, size_t width)
{
    qk_str_addf(out, "    %-14s", label);
    qk_paragraph(out, text, strlen(text), 18, 18, width);
}

static void add_explained(struct qk_str *out, const struct qk_metric *m, size_t width)
{
    qk_str_addf(out, "%s (%s): %s\n", m->name, m->group, m->title);
    struct qk_str facts = {0};
    add_axes(&facts, m);
    qk_str_addf(&facts, "; %s; range ", m->units);
    add_range(&facts, m);
    struct qk_str invariances = {0};
    add_invariances(&invariances, m);
    out->failed = out->failed || facts.failed || invariances.failed;
    if (!out->failed) {
        add_field(out, "definition", m->definition, width);
        add_field(out, "meaning", m->meaning, width);
        add_field(out, "axes, units", facts.s, width);
        add_field(out, "unchanged by", invariances.len > 0 ? invariances.s : "nothing listed", width);
        add_field(out, "source", m->source, width);
    }
    qk_str_release(&facts);
    qk_str_release(&invariances);
}

static void add_json(struct qk_str *out, const struct qk_metric *m)
{
    const struct {
        const char *key, *value;
    } texts[] = {{"group", m->group},           {"title", m->title},     {"units", m->units},
                 {"definition", m->definition}, {"meaning", m->meaning}, {"source", m->source}};
    qk_str_add(out, "{\"name\": ");
    qk_str_add_json(out, m->name);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        qk_str_addf(out, ", \"%s\": ", texts[i].key);
        qk_str_add_json(out, texts[i].value);
    }
    qk_str_add(out, ", \"range\": [");
    qk_str_add_json_double(out, m->lo);
    qk_str_add(out, ", ");
    qk_str_add_json_double(out, m->hi);
    qk_str_add(out, "], \"dims\": [");
    for (size_t d = 0; d < 4 && m->dims[d] != NULL; d++) {
        qk_str_addf(out, "%s\"%s\"", d > 0 ? ", " : "", m->dims[d]);
    }
    qk_str_add(out, "], \"invariances\": [");
    const char *comma = "";
    for (const struct invariance_row *row = invariance_rows; row->name != NULL; row++) {
        if ((m->invariances & row->bit) != 0) {
            qk_str_addf(out, "%s\"%s\"", comma, row->name);
            comma = ", ";
        }
    }
    qk_str_add(out, "]}");
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void qk_add_markdown(struct qk_str *out, const char *s)
{
    char before = ' ';
    for (; *s != 0; before = *s, s++) {
        /* an underscore inside a name marks nothing up */
        bool plain = *s == '_' && is_word(before) && is_word(s[1]);
        if (!plain && strchr("|*_<>`\\", *s) != NULL) {
            qk_str_addc(out, '\\');
        }
        qk_str_addc(out, *s);
    }
}

static void add_markdown_metric(struct qk_str *out, const struct qk_metric *m)
{
    qk_str_addf(out, "\n## `%s`\n\n", m->name);
    qk_add_markdown(out, m->title);
    qk_str_addf(out, ". Dataset `/%s/NAME/%s` over (", m->group, m->name);
    add_axes(out, m);
    qk_str_addf(out, "), unit %s, range ", m->units);
    add_range(out, m);
    qk_str_add(out, ".\n\n* Definition: ");
    qk_add_markdown(out, m->definition);
    qk_str_add(out, "\n* Meaning: ");
    qk_add_markdown(out, m->meaning);
    if (m->invariances != 0) {
        qk_str_add(out, "\n* Unchanged by: ");
        add_invariances(out, m);
    }
    qk_str_add(out, "\n* Source: ");
    qk_add_markdown(out, m->source);
    qk_str_addc(out, '\n');
}

void qk_metrics_markdown(struct qk_str *out)
{
    qk_str_add(
        out,
        "# Metrics\n\nWritten by `qkscope metrics --markdown` from the table that also drives computing, result "
        "files and figures.\n\nAxes: layer, head (query heads), kv_head (key heads, one per group of query heads), "
        "angle, tau (distance in tokens), pair (frequency pair of RoPE), module; distance_bin (0, 1, 2–3, 4–7, … "
        "tokens), "
        "window and distance (tokens). W0 is the base, W1 the tuned "
        "checkpoint, "
        "Δ = W1 − W0. A value that does not exist is NaN, and `METRIC_state` beside it says why.\n\n"
        "| metric | axes | unit | title |\n|---|---|---|---|\n");
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        qk_str_addf(out, "| [`%s`](#%s) | ", m->name, m->name);
        add_axes(out, m);
        qk_str_addf(out, " | %s | ", m->units);
        qk_add_markdown(out, m->title);
        qk_str_add(out, " |\n");
    }
    for (size_t i = 0; i < qk_metric_count(); i++) {
        add_markdown_metric(out, qk_metric_at(i));
    }
    qk_str_add(out, "\n## Invariances\n\n| name | the metric does not change under |\n|---|---|\n");
    for (const struct invariance_row *row = invariance_rows; row->name != NULL; row++) {
        qk_str_addf(out, "| %s | ", row->name);
        qk_add_markdown(out, row->text);
        qk_str_add(out, " |\n");
    }
}

/* ---- the command ---- */

static bool wanted(const struct qk_cli *cli, const struct qk_metric *m)
{
    for (size_t i = 0; i < qk_cli_n_operands(cli); i++) {
        if (qk_glob_match(qk_cli_operand(cli, i), m->name)) {
            return true;
        }
    }
    return qk_cli_n_operands(cli) == 0;
}

static enum qk_code check_operands(struct qk_cli *cli, struct qk_err *err)
{
    const char **names = qk_arena_alloc(qk_cli_arena(cli), qk_metric_count(), sizeof *names);
    if (names == NULL) {
        return qk_fail_nomem(err, "metric names");
    }
    for (size_t i = 0; i < qk_cli_n_operands(cli); i++) {
        bool found = false;
        for (size_t k = 0; k < qk_metric_count(); k++) {
            names[k] = qk_metric_at(k)->name;
            found = found || qk_glob_match(qk_cli_operand(cli, i), names[k]);
        }
        if (!found) {
            (void)qk_fail(err, QK_EUSAGE, "no metric is called '%s'", qk_cli_operand(cli, i));
            const char *near = qk_nearest(qk_cli_operand(cli, i), names, qk_metric_count());
            if (near != NULL) {
                qk_err_hint(err, "did you mean '%s'?", near);
            } else {
                qk_err_hint(err, "'qkscope metrics' lists them");
            }
            return QK_EUSAGE;
        }
    }
    return QK_OK;
}

static void add_metrics(struct qk_cli *cli, struct qk_str *out)
{
    bool json = qk_cli_json(cli), explain = qk_cli_n_operands(cli) > 0, first = true;
    size_t width = qk_help_width();
    qk_str_add(out, json ? "[" : "");
    for (size_t i = 0; i < qk_metric_count(); i++) {
        const struct qk_metric *m = qk_metric_at(i);
        if (!wanted(cli, m)) {
            continue;
        }
        if (json) {
            qk_str_add(out, first ? "\n " : ",\n ");
            add_json(out, m);
        } else if (explain) {
            qk_str_add(out, first ? "" : "\n");
            add_explained(out, m, width);
        } else {
            add_line(out, m);
        }
        first = false;
    }
    qk_str_add(out, json ? "\n]\n" : "");
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    QK_TRY(check_operands(cli, err));
    struct qk_str out = {0};
    if (qk_cli_flag(cli, "markdown")) {
        qk_metrics_markdown(&out);
    } else {
        add_metrics(cli, &out);
    }
    return qk_cli_print_str(cli, &out, err);
}

static const struct qk_option options[] = {
    {"markdown", 0, QK_OPT_FLAG, NULL, NULL, NULL, "Print the page docs/metrics.md."},
    {NULL},
};

static const char *const operand_help[] = {"METRIC…", "Names or globs: explain these instead of listing all.", NULL};

static const char *const examples[] = {
    "qkscope metrics",
    "All metrics with their axes and units.",
    "qkscope metrics q_alignable 'qk_*'",
    "Definition, meaning, range, invariances and source of some.",
    NULL,
};

const struct qk_command qk_cmd_metrics = {
    .name = "metrics",
    .summary = "list what is measured, with definitions",
    .operands = "[METRIC…]",
    .max_operands = (size_t)-1,
    .description = "Prints the table that drives computing, result files and figures: a metric that is listed here is "
                   "a dataset of "
                   "RUN.h5, and the other way round.",
    .common = QK_COMMON_JSON,
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
