/* Tex pictures compile in a document that loads graphicx and color only, whatever the checkpoints are called.
 * Exit status 77 (skipped) without pdflatex. */
#include <stdio.h>
#include <string.h>

#include "base/child.h"
#include "base/file.h"
#include "base/str.h"
#include "drift_fixture.h"
#include "probe_fixture.h"
#include "recall_fixture.h"
#include "plot/plot.h"
#include "scratch_dir.h"

static const char *const names[] = {"ba$e_{x}^2 'q' \"z\" |<>", "`touch pwn`@&~#%\\ é 漢 [a--b]"};
static const char *const formats[] = {"tex"};

static void add_document(struct qk_str *out, const struct qk_table *table)
{
    qk_str_add(out, "\\documentclass{article}\n\\usepackage{graphicx}\n\\usepackage{color}\n\\begin{document}\n");
    for (size_t i = 0; i < qk_figure_count(); i++) {
        if (qk_figure_has_data(table, i)) {
            qk_str_addf(out, "\\input{%s}\\par\n", qk_figure_name(i));
        }
    }
    qk_str_add(out, "\\end{document}\n");
}

static int compile(const char *dir, const struct qk_table *table)
{
    static const char *const argv[] = {"pdflatex", "-interaction=nonstopmode", "-halt-on-error", "doc.tex", NULL};
    static char out[65536];
    struct qk_err err = {0};
    struct qk_str document = {0};
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/doc.tex", dir);
    add_document(&document, table);
    enum qk_code code = document.failed ? QK_ENOMEM : qk_atomic_put(path, true, document.s, document.len, &err);
    qk_str_release(&document);
    if (code == QK_OK) {
        code = qk_child_run(argv, dir, 100, out, sizeof out, &err);
    }
    bool bad = code != QK_OK || strstr(out, "\n!") != NULL || strstr(out, "Missing character") != NULL ||
               !scratch_dir_has(dir, "doc.pdf");
    if (bad) {
        (void)fprintf(stderr, "%s\n%s\n", err.text, out);
    }
    return bad ? 1 : 0;
}

int main(void)
{
    static const char *const probe[] = {"pdflatex", "--version", NULL};
    if (qk_child_run(probe, NULL, 30, NULL, 0, NULL) != QK_OK) {
        (void)puts("skipped: there is no pdflatex here (Debian: texlive-latex-base)");
        return 77;
    }
    struct qk_table *table = run_fixture(&shape_amnesia, names, 2);
    add_recall(table, &recall_usual, names, 2);
    add_measured(table, true);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = {.dir = dir, .formats = formats, .n_formats = 1};
    struct qk_err err = {0};
    int status = 1;
    if (qk_plot(table, &options, NULL, NULL, &err) != QK_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
    } else {
        status = compile(dir, table);
    }
    scratch_dir_remove(dir);
    qk_table_free(table);
    return status;
}
