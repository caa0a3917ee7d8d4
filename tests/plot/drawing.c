/* What the figure tests share: see drawing.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "drawing.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "scratch_dir.h"

const char *const all_formats[4] = {"pdf", "svg", "png", "tex"};
const char *const svg_only[1] = {"svg"};
const char *const pair[2] = {"base", "sft"};

size_t n_figures(void)
{
    return qk_figure_count() - 6;
}

/* What gnuplot said, if anything: every warning is a failure. */
static char said[1024];

static void keep_notice(void *ctx, const char *text)
{
    (void)ctx;
    if (qk_str_starts(text, "gnuplot")) {
        (void)snprintf(said, sizeof said, "%s", text);
    }
}

const struct qk_progress progress = {NULL, NULL, keep_notice};

struct qk_plot_options options_for(const char *dir, const char *const *formats, size_t n)
{
    said[0] = '\0';
    return (struct qk_plot_options){.dir = dir, .formats = formats, .n_formats = n};
}

size_t draw(const struct qk_table *table, const struct qk_plot_options *options)
{
    size_t n = 0;
    struct qk_err err = {0};
    enum qk_code code = qk_plot(table, options, &progress, &n, &err);
    if (code != QK_OK) {
        fail_msg("%s (%s)", err.text, err.hint);
    }
    assert_string_equal(said, "");
    return n;
}

void assert_starts(const char *dir, const char *stem, const char *suffix, const char *magic)
{
    char name[512];
    size_t len = 0;
    (void)snprintf(name, sizeof name, "%s%s", stem, suffix);
    char *text = scratch_dir_read(dir, name, &len);
    if (text == NULL || len < 100 * (suffix[0] == '.' && suffix[1] != 't') ||
        strncmp(text, magic, strlen(magic)) != 0) {
        fail_msg("%s is missing or not what it should be", name);
    }
    qk_free(text);
}

void assert_pictures(const char *dir, const char *stem, bool all)
{
    assert_starts(dir, stem, ".svg", "<?xml");
    assert_starts(dir, stem, ".gp", "# ");
    assert_starts(dir, stem, ".dat", "# data of ");
    if (all) {
        assert_starts(dir, stem, ".pdf", "%PDF-");
        assert_starts(dir, stem, ".png", "\x89PNG");
        assert_starts(dir, stem, ".tex", "\\begingroup");
        assert_starts(dir, stem, "-inc.pdf", "%PDF-");
        assert_starts(dir, stem, "-inc.tex", "% GNUPLOT");
    }
}
