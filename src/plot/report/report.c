/* The page put together: see plot/report.h. page.html has {{names}} in the places of the parts below. */
#include "plot/report.h"

#include <string.h>

#include "page_source.h"
#include "report_data.h"
#include "report_parts.h"

static void add_style(const struct qk_report_page *page, struct qk_str *out)
{
    (void)page;
    qk_str_addn(out, qk_page_source_css.bytes, qk_page_source_css.len);
}

static void add_script(const struct qk_report_page *page, struct qk_str *out)
{
    (void)page;
    qk_str_addn(out, qk_page_source_js.bytes, qk_page_source_js.len);
}

static void add_data(const struct qk_report_page *page, struct qk_str *out)
{
    qk_report_add_data(page->table, out);
}

/* The place of a figure, or why there is none. */
static void add_figure(const struct qk_report_page *page, const char *id, const char *const *patterns,
                       const char *absent, struct qk_str *out)
{
    for (size_t i = 0; patterns[i] != NULL; i++) {
        if (qk_report_has(page->table, patterns[i])) {
            qk_str_addf(out,
                        "<div id=\"%s\"><noscript><p class=\"absent\">This figure needs JavaScript; the tables of "
                        "this page do not.</p></noscript></div>\n",
                        id);
            return;
        }
    }
    qk_str_addf(out, "<p class=\"absent\">%s</p>\n", absent);
}

static void add_heads(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const patterns[] = {"/drift/*", "/probe/*", "/routing/*", NULL};
    add_figure(
        page, "heads-figure", patterns,
        "This run holds no measurement of heads (<code>qkscope drift</code> and <code>qkscope probe</code> make them).",
        out);
}

static void add_trade_off(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const measured[] = {"/recommend/measured/reasoning", NULL};
    static const char *const accuracy[] = {"/eval/*/accuracy", NULL};
    bool both = qk_report_has(page->table, "/niah/*/score");
    add_figure(
        page, "trade-off-figure", both && !qk_report_has(page->table, measured[0]) ? accuracy : measured,
        "Recall and reasoning have not both been measured in this run (<code>qkscope recommend --measure</code>, or "
        "<code>qkscope niah</code> and <code>qkscope eval</code>, measure them).",
        out);
}

static const struct {
    const char *name;
    qk_report_part *add;
} parts[] = {
    {"style", add_style},
    {"title", qk_report_title},
    {"subtitle", qk_report_subtitle},
    {"verdict", qk_report_verdict},
    {"findings", qk_report_findings},
    {"plan", qk_report_plan},
    {"heads", add_heads},
    {"recall", qk_report_recall},
    {"reasoning", qk_report_reasoning},
    {"measured", qk_report_measured},
    {"trade_off", add_trade_off},
    {"layers", qk_report_layers},
    {"checkpoints", qk_report_checkpoints},
    {"provenance", qk_report_provenance},
    {"commands", qk_report_commands},
    {"data", add_data},
    {"script", add_script},
};

static enum qk_code add_part(const struct qk_report_page *page, const char *name, size_t n, struct qk_str *out,
                             struct qk_err *err)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strlen(parts[i].name) == n && memcmp(parts[i].name, name, n) == 0) {
            parts[i].add(page, out);
            return QK_OK;
        }
    }
    return qk_fail(err, QK_EINTERNAL, "page.html: no part is called '%.*s'", (int)n, name);
}

enum qk_code qk_report_write(const struct qk_table *table, const struct qk_report_options *options, struct qk_str *out,
                             struct qk_err *err)
{
    const struct qk_report_page page = {table, options};
    const char *at = qk_page_source_html.bytes, *open;
    while ((open = strstr(at, "{{")) != NULL) {
        const char *close = strstr(open, "}}");
        if (close == NULL) {
            return qk_fail(err, QK_EINTERNAL, "page.html: a part's name does not end");
        }
        qk_str_addn(out, at, (size_t)(open - at));
        QK_TRY(add_part(&page, open + 2, (size_t)(close - open) - 2, out, err));
        at = close + 2;
    }
    qk_str_add(out, at);
    return out->failed ? qk_fail_nomem(err, "report") : QK_OK;
}
