/* Figures when things go wrong: wrong words, files in the way, no data, no gnuplot, no memory. Nothing half-written may
 * stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "drawing.h"
#include "drift_fixture.h"
#include "probe_fixture.h"
#include "scratch_dir.h"

static void existing_pictures_stay_without_force(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    const char *figure = "noise-floor";
    options.figures = &figure;
    options.n_figures = 1;
    scratch_dir_put_program(dir, "noise-floor.svg", "mine");
    struct qk_err err = {0};
    assert_int_equal(qk_plot(table, &options, &progress, NULL, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "noise-floor.svg"));
    assert_non_null(strstr(err.hint, "--force"));
    assert_int_equal(scratch_dir_count(dir), 1);
    options.force = true;
    assert_int_equal(draw(table, &options), 1);
    assert_starts(dir, "noise-floor", ".svg", "<?xml");
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void wrong_words_name_the_right_ones(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    const char *figure = "drift-heatmab", *format = "gif";
    struct qk_plot_options options = options_for("unused", svg_only, 1);
    struct qk_err err = {0};
    options.figures = &figure;
    options.n_figures = 1;
    assert_int_equal(qk_plot(table, &options, NULL, NULL, &err), QK_EUSAGE);
    assert_non_null(strstr(err.hint, "drift-heatmap"));
    options = options_for("unused", &format, 1);
    assert_int_equal(qk_plot(table, &options, NULL, NULL, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "gif"));
    qk_table_free(table);
}

static void a_figure_without_data_says_what_is_missing(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    drift_fixture_fill(table, "sft", "module_rel_drift", NAN);
    const char *dir = scratch_dir_make();
    const char *figure = "module-contrast";
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.figures = &figure;
    options.n_figures = 1;
    struct qk_err err = {0};
    assert_int_equal(qk_plot(table, &options, &progress, NULL, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "module_rel_drift"));
    assert_int_equal(scratch_dir_count(dir), 0);
    scratch_dir_remove(dir);
    qk_table_free(table);
    struct qk_err none = {0};
    assert_int_equal(qk_table_new(&table, &none), QK_OK);
    options.figures = NULL;
    options.n_figures = 0;
    assert_int_equal(draw(table, &options), 0);
    qk_table_free(table);
}

/* Runs with PATH holding only dir. */
static enum qk_code draw_with_path(const struct qk_table *table, const struct qk_plot_options *options, const char *dir,
                                   struct qk_err *err)
{
    char old[4096];
    (void)snprintf(old, sizeof old, "%s", getenv("PATH") != NULL ? getenv("PATH") : "");
    (void)setenv("PATH", dir, 1);
    enum qk_code code = qk_plot(table, options, &progress, NULL, err);
    (void)setenv("PATH", old, 1);
    return code;
}

static void without_gnuplot_the_error_says_so(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    struct qk_err err = {0};
    assert_int_equal(draw_with_path(table, &options, "/nonexistent", &err), QK_ECHILD);
    assert_non_null(strstr(err.text, "gnuplot"));
    assert_non_null(strstr(err.hint, "gnuplot-nox"));
    assert_int_equal(scratch_dir_count(dir), 0);
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void when_gnuplot_fails_nothing_is_left(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    char bin[512];
    (void)snprintf(bin, sizeof bin, "%s", scratch_dir_make());
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    struct qk_err err = {0};
    scratch_dir_put_program(bin, "gnuplot",
                            "#!/bin/sh\necho half > drift-heatmap.svg\necho 'line 3: broken' >&2\nexit 1\n");
    assert_int_equal(draw_with_path(table, &options, bin, &err), QK_ECHILD);
    assert_non_null(strstr(err.text, "line 3: broken"));
    assert_int_equal(scratch_dir_count(dir), 0);
    /* a gnuplot that claims success and draws nothing */
    scratch_dir_put_program(bin, "gnuplot", "#!/bin/sh\nexit 0\n");
    assert_int_not_equal(draw_with_path(table, &options, bin, &err), QK_OK);
    assert_false(scratch_dir_has(dir, "drift-heatmap.svg"));
    scratch_dir_remove(dir);
    scratch_dir_remove(bin);
    qk_table_free(table);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.script_only = true;
    options.force = true;
    /* figure by figure: a run of all would write those before the one that fails again and again */
    size_t n_allocations = 0;
    for (size_t i = 0; i < qk_figure_count(); i++) {
        const char *name = qk_figure_name(i);
        enum qk_code code = qk_figure_has_data(table, i) ? QK_ENOMEM : QK_OK;
        options.figures = &name;
        options.n_figures = 1;
        for (size_t k = 1; code != QK_OK; k++, n_allocations++) {
            qk_alloc_fail_after(k);
            code = qk_plot(table, &options, NULL, NULL, NULL);
            qk_alloc_fail_after(0);
            assert_true(code == QK_OK || code == QK_ENOMEM);
            assert_true(k < 10000);
        }
    }
    print_message("%zu allocations\n", n_allocations);
    assert_true(n_allocations > 200); /* the loop did meet allocations */
    scratch_dir_remove(dir);
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(existing_pictures_stay_without_force),
        cmocka_unit_test(wrong_words_name_the_right_ones),
        cmocka_unit_test(a_figure_without_data_says_what_is_missing),
        cmocka_unit_test(without_gnuplot_the_error_says_so),
        cmocka_unit_test(when_gnuplot_fails_nothing_is_left),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
