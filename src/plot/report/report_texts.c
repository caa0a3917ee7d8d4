/* Title, verdict, plan and commands of the page: see report_parts.h. */
#include "report_parts.h"

#include <math.h>
#include <string.h>

#include "html_table.h"
#include "run_view.h"

/* ---- what parts read -------------------------------------------------------------------------------------------- */

double qk_report_value(const struct qk_node *node, size_t i)
{
    if (node == NULL || i >= node->n_values || node->type == QK_TYPE_STR) {
        return NAN;
    }
    return node->type == QK_TYPE_F64   ? node->v.f64[i]
           : node->type == QK_TYPE_I64 ? (double)node->v.i64[i]
                                       : (double)node->v.u8[i];
}

const char *qk_report_text(const struct qk_node *node, const char *attr)
{
    const char *text = node != NULL ? qk_node_attr_get_str(node, attr) : NULL;
    return text != NULL ? text : "";
}

const struct qk_node *qk_report_find(const struct qk_table *table, const char *group, const char *name,
                                     const char *leaf)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/%s/%s%s%s", group, name, leaf != NULL ? "/" : "", leaf != NULL ? leaf : "");
    const struct qk_node *node = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    return node;
}

const char *qk_report_role(const struct qk_table *table, const char *role)
{
    const char *name;
    for (size_t at = 0; (name = qk_run_view_next(table, "checkpoints", &at)) != NULL;) {
        if (qk_streq(qk_report_text(qk_report_find(table, "checkpoints", name, NULL), "role"), role)) {
            return name;
        }
    }
    return NULL;
}

static const char *scalar_text(const struct qk_table *table, const char *path)
{
    const struct qk_node *node = qk_table_find(table, path);
    return node != NULL && !node->is_group && node->type == QK_TYPE_STR && node->n_values == 1 ? node->v.str[0] : NULL;
}

static void add_sentence(struct qk_str *out, const char *text)
{
    qk_str_add(out, "<p class=\"absent\">");
    qk_str_add_html(out, text);
    qk_str_add(out, "</p>\n");
}

/* "`qkscope verb RUN options`" behind a sentence. */
static void add_hint(const struct qk_report_page *page, const char *sentence, const char *before, const char *after,
                     struct qk_str *out)
{
    qk_str_add(out, "<p class=\"absent\">");
    qk_str_add_html(out, sentence);
    qk_str_add(out, " <code>");
    qk_str_add_html(out, before);
    qk_str_add_html(out, page->options->run);
    qk_str_add_html(out, after);
    qk_str_add(out, "</code></p>\n");
}

/* ---- head of the page ------------------------------------------------------------------------------------------- */

void qk_report_title(const struct qk_report_page *page, struct qk_str *out)
{
    const char *name, *base = qk_report_role(page->table, "base");
    size_t n = 0;
    for (size_t at = 0; (name = qk_run_view_next(page->table, "checkpoints", &at)) != NULL;) {
        if (base == NULL || strcmp(name, base) != 0) {
            qk_str_add(out, n++ > 0 ? ", " : "");
            qk_str_add_html(out, name);
        }
    }
    if (base != NULL) {
        qk_str_add(out, n > 0 ? " against " : "");
        qk_str_add_html(out, base);
    } else if (n == 0) {
        qk_str_add_html(out, page->options->run);
    }
}

void qk_report_subtitle(const struct qk_report_page *page, struct qk_str *out)
{
    const struct qk_node *model = qk_table_find(page->table, "/model");
    const struct qk_node *kind = qk_table_find(page->table, "/model/layer_kind");
    const char *type = qk_report_text(model, "model_type");
    qk_str_add_html(out, *type != '\0' ? type : "Model");
    if (kind == NULL || kind->type != QK_TYPE_STR) {
        return;
    }
    static const char *const kinds[][2] = {{"full", "softmax attention over all keys"},
                                           {"sliding", "sliding-window attention"},
                                           {"linear", "linear attention"},
                                           {"ssm", "state space"},
                                           {"none", "no token mixing"}};
    qk_str_addf(out, ", %zu layer%s", kind->n_values, kind->n_values == 1 ? "" : "s");
    for (size_t k = 0, shown = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t n = 0;
        for (size_t i = 0; i < kind->n_values; i++) {
            n += qk_streq(kind->v.str[i], kinds[k][0]);
        }
        if (n > 0) {
            qk_str_addf(out, "%s%zu %s", shown++ == 0 ? ": " : ", ", n, kinds[k][1]);
        }
    }
}

/* ---- verdict ---------------------------------------------------------------------------------------------------- */

/* A paragraph a line; the first line is the verdict, the word before ": " of others is a heading. */
static void add_verdict_line(struct qk_str *out, const char *line, size_t n, bool first)
{
    struct qk_str part = {0};
    const char *colon = first ? NULL : memchr(line, ':', n < 24 ? n : 24);
    size_t head = colon != NULL ? (size_t)(colon - line) : 0;
    qk_str_add(out, first ? "<p class=\"verdict\">" : "<p>");
    if (head > 0) {
        qk_str_addn(&part, line, head);
        qk_str_add(out, "<strong>");
        qk_str_add_html(out, part.s != NULL ? part.s : "");
        qk_str_add(out, "</strong>");
        qk_str_clear(&part);
    }
    for (size_t i = head; i < n; i++) {
        bool arrow = i + 1 < n && line[i] == '-' && line[i + 1] == '>';
        qk_str_addn(&part, arrow ? "→" : line + i, arrow ? strlen("→") : 1);
        i += arrow;
    }
    qk_str_add_html(out, part.s != NULL ? part.s : "");
    qk_str_add(out, "</p>\n");
    out->failed = out->failed || part.failed;
    qk_str_release(&part);
}

static void add_paragraphs(struct qk_str *out, const char *text)
{
    bool first = true;
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            add_verdict_line(out, text, n, first);
            first = false;
        }
        text += n + (text[n] == '\n');
    }
}

void qk_report_verdict(const struct qk_report_page *page, struct qk_str *out)
{
    const char *text = scalar_text(page->table, "/verdict");
    if (text != NULL) {
        add_paragraphs(out, text);
    } else {
        add_sentence(out, "This run holds measurements without a verdict on the pair: recall, reasoning and a restored "
                          "checkpoint have not been put side by side. qkscope diagnose BASE TUNED -o DIR does that. "
                          "What its measurements show by themselves:");
    }
}

void qk_report_findings(const struct qk_report_page *page, struct qk_str *out)
{
    const struct qk_report_options *o = page->options;
    if (o->n_findings == 0) {
        add_sentence(out, "No finding: the run compares no checkpoint with a base, or no rule applies.");
        return;
    }
    if (o->checkpoint != NULL) {
        qk_str_add(out, "<p class=\"note\">What the measurements of ");
        qk_str_add_html(out, o->checkpoint);
        qk_str_add(out, " show, rule by rule.</p>\n");
    }
    qk_str_add(out, "<ul class=\"findings\">\n");
    for (size_t i = 0; i < o->n_findings; i++) {
        qk_str_add(out, "<li class=\"");
        qk_str_add_html(out, o->findings[i].severity);
        qk_str_add(out, "\"><span class=\"severity\">");
        qk_str_add_html(out, o->findings[i].severity);
        qk_str_add(out, "</span> ");
        qk_str_add_html(out, o->findings[i].text);
        qk_str_add(out, " <code>");
        qk_str_add_html(out, o->findings[i].id);
        qk_str_add(out, "</code>");
        if (o->findings[i].number != NULL) {
            qk_str_add(out, "<span class=\"number-of\">In brackets: ");
            qk_str_add_html(out, o->findings[i].number);
            qk_str_add(out, "</span>");
        }
        qk_str_add(out, "</li>\n");
    }
    qk_str_add(out, "</ul>\n");
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void add_plan_cells(const struct qk_table *table, size_t layer, struct qk_str *out)
{
    static const char *const columns[] = {"/recommend/score", "/recommend/routing_loss", "/recommend/drift",
                                          "/recommend/alignable"};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        qk_html_cell_number(out, qk_report_value(qk_table_find(table, columns[i]), layer));
    }
}

/* The layers that were considered: those with a score, and those with an action. */
static void add_plan_table(const struct qk_table *table, const struct qk_node *action, struct qk_str *out)
{
    static const char *const headings[] = {"layer",        "kind",  "action",    "score",
                                           "routing loss", "drift", "alignable", NULL};
    static const char *const actions[] = {"keep", "restore", "align", "blend"};
    const struct qk_node *score = qk_table_find(table, "/recommend/score");
    const struct qk_node *kind = qk_table_find(table, "/model/layer_kind");
    const struct qk_node *layers = qk_table_find(table, "/model/layer");
    qk_html_table_begin(out, "plan-layers", "What the plan does with each layer, and the numbers behind it", headings);
    for (size_t l = 0; l < action->n_values; l++) {
        double a = qk_report_value(action, l);
        if (!(a > 0) && isnan(qk_report_value(score, l))) {
            continue;
        }
        qk_html_row_begin(out);
        qk_html_cell_number(out, qk_report_value(layers, l));
        qk_html_cell_text(out, kind != NULL && kind->type == QK_TYPE_STR && l < kind->n_values ? kind->v.str[l] : "");
        qk_html_cell_text(out, a >= 0 && a < 4 ? actions[(size_t)a] : "");
        add_plan_cells(table, l, out);
        qk_html_row_end(out);
    }
    qk_html_table_end(out);
}

/* "Restore layer 2, layer 5. Keep the other 6 that were considered." */
static void add_plan_sentence(const struct qk_table *table, const struct qk_node *action, struct qk_str *out)
{
    static const char *const words[] = {"", "Restore", "Align", "Blend"};
    const struct qk_node *layers = qk_table_find(table, "/model/layer");
    const struct qk_node *score = qk_table_find(table, "/recommend/score");
    size_t n_kept = 0, n_changed = 0;
    qk_str_add(out, "<p class=\"verdict\">");
    for (size_t a = 1; a < sizeof words / sizeof words[0]; a++) {
        size_t n = 0;
        for (size_t l = 0; l < action->n_values; l++) {
            if (qk_report_value(action, l) == (double)a) {
                qk_str_addf(out, "%s layer %.0f", n == 0 ? words[a] : ",", qk_report_value(layers, l));
                n++;
            }
        }
        qk_str_add(out, n > 0 ? ". " : "");
        n_changed += n;
    }
    for (size_t l = 0; l < action->n_values; l++) {
        n_kept += qk_report_value(action, l) == 0 && isfinite(qk_report_value(score, l));
    }
    if (n_changed == 0) {
        qk_str_add(out, "Leave every layer as it is.");
    } else if (n_kept > 0) {
        qk_str_addf(out, "Keep the other %zu that were considered.", n_kept);
    }
    qk_str_add(out, "</p>\n");
}

void qk_report_plan(const struct qk_report_page *page, struct qk_str *out)
{
    const struct qk_node *action = qk_table_find(page->table, "/recommend/action");
    const char *plan = scalar_text(page->table, "/recommend/plan");
    if (action == NULL && plan == NULL) {
        add_hint(page, "This run holds no plan. One is made from its measurements by", "qkscope recommend ",
                 " -o plan.json --store with-plan.h5", out);
        return;
    }
    if (action != NULL && action->n_dims == 1) {
        add_plan_sentence(page->table, action, out);
    }
    if (plan != NULL) {
        qk_str_add(out, "<div id=\"plan-units\"></div>\n");
    }
    if (action != NULL && action->n_dims == 1) {
        add_plan_table(page->table, action, out);
    }
    if (plan != NULL) {
        qk_str_add(out, "<details id=\"plan-json\"><summary>plan.json, as <code>qkscope restore --plan</code> reads "
                        "it</summary><pre>");
        qk_str_add_html(out, plan);
        qk_str_add(out, "</pre></details>\n");
    }
}

void qk_report_measured(const struct qk_report_page *page, struct qk_str *out)
{
    const char *text = qk_report_text(qk_table_find(page->table, "/recommend/measured"), "verdict");
    if (*text != '\0') {
        qk_str_add(out, "<p>");
        qk_str_add_html(out, text);
        qk_str_add(out, "</p>\n");
    }
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

void qk_report_commands(const struct qk_report_page *page, struct qk_str *out)
{
    const struct qk_attr *history = qk_node_attr(page->table->nodes[0], "history");
    qk_str_add(out, "<pre id=\"commands\">");
    for (size_t i = 0; history != NULL && history->type == QK_TYPE_STR && i < history->n; i++) {
        qk_str_add_html(out, history->v.str[i]);
        qk_str_addc(out, '\n');
    }
    qk_str_add(out, "qkscope report ");
    qk_str_add_html(out, page->options->run);
    qk_str_add(out, " -o report.html</pre>\n");
}
