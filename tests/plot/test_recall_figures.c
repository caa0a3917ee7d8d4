/* Figures of recall: which runs have them, that their numbers are the table's, and that odd runs are drawn too. */
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
#include "num/stats.h"
#include "recall_fixture.h"
#include "recall_view.h"
#include "scratch_dir.h"

static const char *const trio[] = {"base", "sft", "restored"};
static const char *const of_recall[] = {"niah-heatmap", "recall-by-length", "recall-tradeoff", "recall-controls"};
enum { N_OF_RECALL = 4 };

static bool has_data(const struct qk_table *table, const char *figure)
{
    for (size_t i = 0; i < qk_figure_count(); i++) {
        if (strcmp(qk_figure_name(i), figure) == 0) {
            return qk_figure_has_data(table, i);
        }
    }
    fail_msg("there is no figure %s", figure);
    return false;
}

static void assert_figures(const struct qk_table *table, bool heatmap, bool lines, bool tradeoff, bool controls)
{
    const bool expected[N_OF_RECALL] = {heatmap, lines, tradeoff, controls};
    for (size_t i = 0; i < N_OF_RECALL; i++) {
        if (has_data(table, of_recall[i]) != expected[i]) {
            fail_msg("%s: %s", of_recall[i], expected[i] ? "missing" : "there");
        }
    }
}

static void each_figure_asks_for_its_own_data(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, trio, 3);
    assert_figures(table, false, false, false, false);
    add_measured(table, false);
    assert_figures(table, false, true, false, true);
    qk_table_free(table);

    table = drift_fixture(&shape_amnesia, trio, 3);
    add_measured(table, true);
    assert_figures(table, false, true, true, true);
    qk_table_free(table);

    table = drift_fixture(&shape_amnesia, trio, 3);
    add_recall(table, &recall_usual, trio, 3);
    assert_figures(table, true, true, false, false);
    struct qk_node *n = qk_table_find(table, "/niah/base/n");
    n->n_dims = 2; /* of another shape */
    n->shape[0] = n->shape[0] * n->shape[1];
    n->shape[1] = n->shape[2];
    assert_figures(table, true, true, false, false); /* the other checkpoints */
    qk_table_free(table);
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    static const char *const words[N_OF_RECALL] = {"score in /niah/NAME", "recommend --measure --store", "--reasoning",
                                                   "/recommend/measured"};
    struct qk_table *table = drift_fixture(&shape_amnesia, pair, 2);
    for (size_t i = 0; i < N_OF_RECALL; i++) {
        const char *dir = scratch_dir_make();
        struct qk_plot_options options = options_for(dir, svg_only, 1);
        struct qk_err err = {0};
        options.figures = &of_recall[i];
        options.n_figures = 1;
        assert_int_equal(qk_plot(table, &options, NULL, NULL, &err), QK_EUSAGE);
        if (strstr(err.text, words[i]) == NULL) {
            fail_msg("'%s' does not say %s", err.text, words[i]);
        }
        scratch_dir_remove(dir);
    }
    qk_table_free(table);
}

static char *file_of(const struct qk_table *table, const char *figure, const char *suffix)
{
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    char name[128];
    options.script_only = true;
    options.figures = &figure;
    options.n_figures = 1;
    assert_int_equal(draw(table, &options), 1);
    (void)snprintf(name, sizeof name, "%s%s", figure, suffix);
    char *text = scratch_dir_read(dir, name, NULL);
    assert_non_null(text);
    scratch_dir_remove(dir);
    return text;
}

/* Row number of the block with this heading. */
static void row_of(const char *data, const char *heading, size_t number, size_t n, double *v)
{
    const char *at = strstr(data, heading);
    if (at == NULL) {
        fail_msg("no block '%s'", heading);
        return;
    }
    for (size_t i = 0; i < number + 2; i++) {
        at = strchr(at, '\n') + 1;
    }
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        v[i] = strtod(at, &end);
        assert_ptr_not_equal(end, at);
        at = end;
    }
}

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 4e-16 * fmax(fabs(a), fabs(b)); /* sums of a few shares, in another order */
}

static void heat_maps_hold_the_scores(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, trio, 3);
    add_recall(table, &recall_usual, trio, 3);
    struct qk_node *score = qk_table_find(table, "/niah/sft/score");
    score->v.f64[(2 * 4 + 1) * 5 + 0] = 0.25; /* s3, 1k, the beginning of the document */
    char *data = file_of(table, "niah-heatmap", ".dat"), *script = file_of(table, "niah-heatmap", ".gp");
    /* blocks: s1 of three checkpoints, s2 of three, s3 of base, then s3 of sft */
    double row[3];
    row_of(data, "# index 7: s3\n", 5 + 4, 3, row);
    assert_true(row[0] == 1 && row[1] == 4 && row[2] == 0.25); /* drawn on top */
    assert_non_null(
        strstr(data, "# index 9: s3\n# layer row (exists, has no value)\n3 0\n")); /* restored has no cases here */
    assert_non_null(strstr(script, "grey: none"));
    assert_non_null(strstr(script, "'90' 0"));
    assert_non_null(strstr(script, "4 cases per cell"));
    qk_free(data);
    qk_free(script);
    qk_table_free(table);
}

static void lines_pool_depths_with_wilson_intervals(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, trio, 3);
    add_recall(table, &recall_usual, trio, 3);
    add_measured(table, true);
    const struct qk_node *score = qk_table_find(table, "/niah/sft/score"), *n = qk_table_find(table, "/niah/sft/n");
    double hits = 0, cases = 0, lo, hi, row[4];
    for (size_t d = 0; d < 5; d++) {
        size_t i = (2 * 4 + 3) * 5 + d;
        hits += score->v.f64[i] * (double)n->v.i64[i];
        cases += (double)n->v.i64[i];
    }
    qk_wilson(hits, cases, &lo, &hi);
    char *data = file_of(table, "recall-by-length", ".dat"), *script = file_of(table, "recall-by-length", ".gp");
    row_of(data, "panel 2 line 1\n", 3, 4, row);
    assert_true(row[0] == 4096 && close_to(row[1], hits / cases) && close_to(row[2], lo) && close_to(row[3], hi));
    assert_true(hits > 0 && hits < cases);
    /* held out: base, tuned, plan, rule */
    const struct qk_node *by_length = qk_table_find(table, "/recommend/measured/recall_by_length");
    row_of(data, "panel 3 line 2\n", 1, 2, row);
    assert_true(row[0] == 1024 && row[1] == by_length->v.f64[16 * 3 + 1]); /* "plan", held out */
    assert_non_null(strstr(script, "'held{-}out cases'"));
    qk_free(data);
    qk_free(script);
    qk_table_free(table);
}

static void the_plan_is_marked_in_both_panels(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, pair, 2);
    add_measured(table, true);
    const struct qk_node *recall = qk_table_find(table, "/recommend/measured/recall");
    const struct qk_node *reasoning = qk_table_find(table, "/recommend/measured/reasoning");
    char *data = file_of(table, "recall-tradeoff", ".dat"), *script = file_of(table, "recall-tradeoff", ".gp");
    double row[7];
    row_of(data, "panel 0: the plan\n", 0, 7, row);
    assert_true(row[6] == 12 && row[0] == reasoning->v.f64[12] && row[1] == recall->v.f64[12]);
    row_of(data, "panel 1: the plan\n", 0, 7, row);
    assert_true(row[6] == 16 && row[0] == reasoning->v.f64[16] && row[1] == recall->v.f64[16]);
    row_of(data, "panel 0: variants of the search\n", 0, 7, row);
    assert_true(row[6] == 17);
    assert_null(strstr(data, "panel 1: variants of the search"));
    assert_non_null(strstr(script, "'+all Q/K'"));
    qk_free(data);
    qk_free(script);

    /* the paper's set was chosen: the control is the plan */
    struct qk_node *chosen = qk_table_find(table, "/recommend/measured/chosen");
    chosen->v.u8[12] = 0;
    chosen->v.u8[2] = 1;
    data = file_of(table, "recall-tradeoff", ".dat");
    row_of(data, "panel 0: the plan\n", 0, 7, row);
    assert_true(row[6] == 2);
    assert_null(strstr(data, "panel 0: Q and K of all softmax layers restored"));
    qk_free(data);
    qk_table_free(table);
}

static void labels_of_a_file_do_nothing(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, pair, 2);
    add_measured(table, true);
    struct qk_node *label = qk_table_find(table, "/recommend/measured/variant");
    label->v.str[4] = "$'; system \"touch pwn\" #";
    label->v.str[5] = "`touch pwn`@x\\input{y}";
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.figures = of_recall + 1;
    options.n_figures = 3;
    assert_int_equal(draw(table, &options), 3);
    assert_false(scratch_dir_has(dir, "pwn"));
    char *script = scratch_dir_read(dir, "recall-tradeoff.gp", NULL);
    assert_null(strstr(script, "$'"));
    assert_null(strstr(script, "`"));
    qk_free(script);
    scratch_dir_remove(dir);
    label->v.str[4] = "line\nend"; /* no name of a variant */
    assert_false(has_data(table, "recall-tradeoff"));
    qk_table_free(table);
}

static void odd_runs_are_drawn(void **state)
{
    (void)state;
    static const char *const many[] = {"base", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"};
    static const char *const names[] = {"ba$e_{x}^2 'q'", "`x`@&~#%\\ a-rather-long-name-of-a-checkpoint", "r"};
    const struct {
        const char *const *names;
        size_t n;
        const struct recall_shape *shape;
        bool wide;
    } runs[] = {{many, 14, &recall_usual, false},
                {names, 3, &recall_large, false},
                {names, 3, &recall_large, true},
                {pair, 2, &recall_point, false},
                {trio, 1, &recall_usual, true}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct qk_table *table = drift_fixture(&shape_single, runs[i].names, runs[i].n);
        add_recall(table, runs[i].shape, runs[i].names, runs[i].n);
        const char *dir = scratch_dir_make();
        struct qk_plot_options options = options_for(dir, svg_only, 1);
        options.figures = of_recall;
        options.n_figures = 2;
        options.double_column = runs[i].wide;
        assert_int_equal(draw(table, &options), 2);
        assert_pictures(dir, "niah-heatmap", false);
        assert_pictures(dir, "recall-by-length", false);
        char *script = scratch_dir_read(dir, "niah-heatmap.gp", NULL);
        assert_true((strstr(script, "12 of 14 checkpoints, 3 of 3 tasks shown") != NULL) == (runs[i].n == 14));
        qk_free(script);
        script = scratch_dir_read(dir, "recall-by-length.gp", NULL); /* one length alone: a bar, not a band */
        assert_true((strstr(script, "using 1:2:3:4 with yerrorbars") != NULL) == (runs[i].shape == &recall_point));
        qk_free(script);
        scratch_dir_remove(dir);
        qk_table_free(table);
    }
}

static void every_format_comes_out(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, trio, 3);
    add_recall(table, &recall_usual, trio, 3);
    add_measured(table, true);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, all_formats, 4);
    options.figures = of_recall;
    options.n_figures = N_OF_RECALL;
    assert_int_equal(draw(table, &options), 4 * N_OF_RECALL);
    for (size_t i = 0; i < N_OF_RECALL; i++) {
        assert_pictures(dir, of_recall[i], true);
    }
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void checkpoints_keep_their_looks(void **state)
{
    (void)state;
    struct qk_table *table = drift_fixture(&shape_amnesia, trio, 3);
    struct qk_run_view view = {.table = table, .base = "base"};
    struct qk_look base = qk_look_of(&view, "base"), sft = qk_look_of(&view, "sft"),
                   restored = qk_look_of(&view, "restored");
    assert_true(base.is_base && !sft.is_base && !restored.is_base);
    assert_string_equal(sft.colour, qk_measured_look(QK_MEASURED_TUNED)->colour);
    assert_string_equal(restored.colour, qk_measured_look(QK_MEASURED_PLAN)->colour);
    assert_string_equal(base.colour, qk_measured_look(QK_MEASURED_BASE)->colour);
    assert_string_not_equal(sft.colour, restored.colour);
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_figure_asks_for_its_own_data),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(heat_maps_hold_the_scores),
        cmocka_unit_test(lines_pool_depths_with_wilson_intervals),
        cmocka_unit_test(the_plan_is_marked_in_both_panels),
        cmocka_unit_test(labels_of_a_file_do_nothing),
        cmocka_unit_test(odd_runs_are_drawn),
        cmocka_unit_test(every_format_comes_out),
        cmocka_unit_test(checkpoints_keep_their_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
