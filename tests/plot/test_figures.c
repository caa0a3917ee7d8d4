/* Figures drawn by gnuplot: every figure, format and width over models from one head to HypeNet-9B's shape; what lies
 * beside the pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/str.h"
#include "drawing.h"
#include "drift_fixture.h"
#include "probe_fixture.h"
#include "recall_fixture.h"
#include "scratch_dir.h"

static void every_figure_draws_without_a_warning(const struct drift_shape *shape, bool all)
{
    struct qk_table *table = run_fixture(shape, pair, 2);
    size_t n = n_figures();
    if (all) { /* figures of recall do not depend on the model's shape */
        add_recall(table, &recall_usual, pair, 2);
        add_measured(table, true);
        n = qk_figure_count() - 2;
    }
    for (int wide = 0; wide < 2; wide++) {
        const char *dir = scratch_dir_make();
        bool full = all && !wide;
        struct qk_plot_options options = options_for(dir, full ? all_formats : svg_only, full ? 4 : 1);
        options.double_column = wide;
        assert_int_equal(draw(table, &options), n * options.n_formats);
        for (size_t i = 0; i < qk_figure_count(); i++) {
            const char *name = qk_figure_name(i);
            bool compares = strcmp(name, "drift-trajectory") == 0 || strcmp(name, "restored-drift") == 0;
            bool recall = strncmp(name, "recall-", 7) == 0 || strcmp(name, "niah-heatmap") == 0;
            assert_int_equal(qk_figure_has_data(table, i), !compares && (all || !recall));
            if (compares || (recall && !all)) {
                continue;
            }
            assert_pictures(dir, qk_figure_name(i), full);
        }
        assert_int_equal(scratch_dir_count(dir), n * (full ? 8 : 3));
        scratch_dir_remove(dir);
    }
    qk_table_free(table);
}

static void small_hybrid(void **state)
{
    (void)state;
    every_figure_draws_without_a_warning(&shape_amnesia, true);
}

static void hypenet_9b(void **state)
{
    (void)state;
    every_figure_draws_without_a_warning(&shape_hypenet, true);
}

static void one_layer_one_head(void **state)
{
    (void)state;
    every_figure_draws_without_a_warning(&shape_single, true);
}

static void eighty_softmax_layers(void **state)
{
    (void)state;
    every_figure_draws_without_a_warning(&shape_large, false);
}

static void ninety_four_layers_with_128_heads(void **state)
{
    (void)state;
    every_figure_draws_without_a_warning(&shape_widest, false);
}

static void the_same_table_gives_the_same_bytes(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    char first[512];
    (void)snprintf(first, sizeof first, "%s", scratch_dir_make());
    struct qk_plot_options options = options_for(first, all_formats, 4);
    (void)draw(table, &options);
    const char *second = scratch_dir_make();
    options.dir = second;
    (void)draw(table, &options);
    size_t n_files = 0;
    DIR *d = opendir(first);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        size_t a_len = 0, b_len = 0;
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *a = scratch_dir_read(first, entry->d_name, &a_len), *b = scratch_dir_read(second, entry->d_name, &b_len);
        assert_non_null(a);
        assert_non_null(b);
        if (a_len != b_len || memcmp(a, b, a_len) != 0) {
            fail_msg("%s differs between two runs", entry->d_name);
        }
        /* the PDF clock is what would differ in the next second */
        if (qk_str_ends(entry->d_name, ".pdf")) {
            assert_non_null(memmem(a, a_len, "(D:19700101000000", 17));
        }
        qk_free(a);
        qk_free(b);
        n_files++;
    }
    closedir(d);
    assert_int_equal(n_files, 8 * n_figures());
    scratch_dir_remove(first);
    scratch_dir_remove(second);
    qk_table_free(table);
}

static const char hostile_base[] = "ba$e_{x}^2 'q' \"z\"";
static const char hostile_tuned[] = "`touch pwn`@&~#%\\ $(touch pwn) é";

static void hostile_names_show_as_they_are(void **state)
{
    (void)state;
    const char *const names[] = {hostile_base, hostile_tuned};
    struct qk_table *table = run_fixture(&shape_single, names, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, all_formats, 4);
    (void)draw(table, &options);
    assert_false(scratch_dir_has(dir, "pwn"));
    assert_int_equal(scratch_dir_count(dir), 8 * n_figures());
    char *svg = scratch_dir_read(dir, "drift-heatmap.svg", NULL);
    assert_non_null(strstr(svg, "`touch pwn`"));
    assert_non_null(strstr(svg, "ba$e_{x}^2 'q'"));
    char *script = scratch_dir_read(dir, "drift-heatmap.gp", NULL);
    assert_null(strstr(script, "e_{x}^2 'q'"));
    for (const char *at = script; (at = strchr(at, '`')) != NULL; at++) {
        const char *line = at;
        while (line > script && line[-1] != '\n') {
            line--;
        }
        size_t quotes = 0;
        for (const char *s = line; s < at; s++) {
            quotes += *s == '\'';
        }
        assert_int_equal(quotes % 2, 1); /* inside single quotes, where gnuplot runs nothing */
    }
    qk_free(script);
    qk_free(svg);
    scratch_dir_remove(dir);
    qk_table_free(table);
}

/* The numbers after one index comment of a data file; returns the rows read. */
static size_t rows_of(const char *data, const char *heading, size_t n_columns, double *v, size_t cap)
{
    const char *at = strstr(data, heading);
    assert_non_null(at);
    at = strchr(at, '\n') + 1;
    at = strchr(at, '\n') + 1; /* the columns */
    size_t n = 0;
    while (*at != '\0' && *at != '\n' && n < cap) {
        for (size_t c = 0; c < n_columns; c++) {
            char *end = NULL;
            v[n * n_columns + c] = strtod(at, &end);
            assert_ptr_not_equal(end, at);
            at = end;
        }
        assert_int_equal(*at, '\n');
        at++;
        n++;
    }
    return n;
}

static void the_data_file_holds_the_numbers_of_the_table(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.script_only = true;
    assert_int_equal(draw(table, &options), n_figures());
    char *data = scratch_dir_read(dir, "drift-heatmap.dat", NULL);
    double v[3 * 64];
    size_t n = rows_of(data, "k_rel_drift", 3, v, 64);
    const struct qk_node *node = qk_table_find(table, "/drift/sft/k_rel_drift");
    assert_int_equal(n, 5 * 6 + 3 * 3); /* linear layers have six key heads, softmax layers three */
    for (size_t i = 0; i < n; i++) {
        size_t layer = (size_t)v[3 * i], head = (size_t)v[3 * i + 1];
        assert_true(v[3 * i + 2] == node->v.f64[layer * node->shape[1] + head]);
    }
    qk_free(data);
    data = scratch_dir_read(dir, "qk-distance-drift.dat", NULL);
    n = rows_of(data, "qk_distance_drift of layer 5", 4, v, 1);
    assert_int_equal(n, 1);
    node = qk_table_find(table, "/drift/sft/qk_distance_drift");
    double heads[6];
    size_t below = 0;
    for (size_t h = 0; h < 6; h++) {
        heads[h] = node->v.f64[(5 * 6 + h) * node->shape[2]];
        below += heads[h] < v[1];
    }
    assert_int_equal(below, 3); /* the median of six lies between the third and the fourth */
    qk_free(data);
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static char *script_of(const struct qk_table *table, const char *figure, const char *file)
{
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.script_only = true;
    options.figures = &figure;
    options.n_figures = 1;
    (void)draw(table, &options);
    char *text = scratch_dir_read(dir, file, NULL);
    assert_non_null(text);
    scratch_dir_remove(dir);
    return text;
}

static void layer_kinds_and_the_rounding_floor_are_marked(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    char *script = script_of(table, "drift-heatmap", "drift-heatmap.gp");
    assert_non_null(strstr(script, "'full attention'"));
    assert_non_null(strstr(script, "'linear'"));
    assert_null(strstr(script, "rounding floor"));
    qk_free(script);
    drift_fixture_fill(table, "sft", "q_rel_drift", 0.002); /* the floor is about 0.0016 */
    script = script_of(table, "drift-heatmap", "drift-heatmap.gp");
    assert_non_null(strstr(script, "rounding floor"));
    qk_free(script);
    char *data = script_of(table, "drift-heatmap", "drift-heatmap.dat");
    double v[2 * 64];
    assert_int_equal(rows_of(data, "q_rel_drift\n# layer row (marked)", 2, v, 64), 48);
    qk_free(data);
    qk_table_free(table);
    table = run_fixture(&shape_single, pair, 2);
    script = script_of(table, "drift-heatmap", "drift-heatmap.gp");
    assert_null(strstr(script, "'full attention'")); /* nothing to tell apart */
    qk_free(script);
    qk_table_free(table);
}

static void panels_without_values_say_so(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    drift_fixture_fill(table, "sft", "k_rel_drift", NAN);
    drift_fixture_fill(table, "sft", "k_principal_angles", NAN);
    drift_fixture_fill(table, "sft", "module_rel_drift", NAN);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    (void)draw(table, &options); /* without warnings */
    assert_false(scratch_dir_has(dir, "module-contrast.svg"));
    static const char *const with_gaps[] = {"drift-heatmap.svg", "principal-angles.svg", "drift-by-layer.svg",
                                            "noise-floor.svg"};
    for (size_t i = 0; i < 4; i++) {
        char *svg = scratch_dir_read(dir, with_gaps[i], NULL);
        assert_non_null(strstr(svg, "no data"));
        qk_free(svg);
    }
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void unchanged_weights_draw_without_a_warning(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    static const char *const metrics[] = {"q_rel_drift",       "k_rel_drift",        "qk_rel_drift",
                                          "qk_eff_rel_drift",  "q_principal_angles", "k_principal_angles",
                                          "qk_distance_drift", "qk_band_drift",      "module_rel_drift"};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        drift_fixture_fill(table, "sft", metrics[i], 0);
    }
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    assert_int_equal(draw(table, &options), n_figures());
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void several_checkpoints_share_one_scale(void **state)
{
    (void)state;
    static const char *const names[] = {"base", "step 1", "step_1", "last-inc"};
    struct qk_table *table = run_fixture(&shape_amnesia, names, 4);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    const char *figure = "drift-heatmap";
    options.figures = &figure;
    options.n_figures = 1;
    assert_int_equal(draw(table, &options), 3);
    static const char *const stems[] = {"drift-heatmap-step_1.gp", "drift-heatmap-step_1+2.gp",
                                        "drift-heatmap-last-inc_.gp"};
    char range[256] = "";
    for (size_t i = 0; i < 3; i++) {
        char *script = scratch_dir_read(dir, stems[i], NULL);
        assert_non_null(script);
        char *line = strstr(script, "set cbrange");
        assert_non_null(line);
        line[strcspn(line, "\n")] = '\0';
        assert_true(i == 0 || strcmp(line, range) == 0);
        (void)snprintf(range, sizeof range, "%s", line);
        qk_free(script);
    }
    scratch_dir_remove(dir);
    qk_table_free(table);
}

/* Where the colour bar of the heat map begins, of the picture's width. */
static double colour_bar_at(const char *dir, double drift)
{
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    const char *figure = "drift-heatmap", *const drifts[] = {"q_rel_drift", "k_rel_drift", "qk_rel_drift"};
    options.figures = &figure;
    options.n_figures = 1;
    options.force = true;
    for (size_t i = 0; i < 3; i++) {
        drift_fixture_fill(table, pair[1], drifts[i], drift);
    }
    assert_int_equal(draw(table, &options), 1);
    char *script = scratch_dir_read(dir, "drift-heatmap.gp", NULL);
    assert_non_null(script);
    static const char before[] = "user origin screen ";
    const char *bar = strstr(script, before);
    assert_non_null(bar);
    double at = strtod(bar + strlen(before), NULL);
    qk_free(script);
    qk_table_free(table);
    return at;
}

static void long_tick_labels_have_room(void **state)
{
    (void)state;
    const char *dir = scratch_dir_make();
    double usual = colour_bar_at(dir, 0.15), tiny = colour_bar_at(dir, 1.5e-7);
    assert_true(usual > 0.5 && usual < 1);
    assert_true(tiny > 0.5 && tiny < usual - 0.02);
    scratch_dir_remove(dir);
}

static void several_checkpoints_make_a_trajectory(void **state)
{
    (void)state;
    static const char *const names[] = {"base", "a", "b_{2}", "c"};
    const struct drift_shape *const shapes[] = {&shape_amnesia, &shape_hypenet, &shape_single, &shape_large};
    const char *figure = "drift-trajectory";
    for (size_t i = 0; i < 4; i++) {
        struct qk_table *table = run_fixture(shapes[i], names, 4);
        const char *dir = scratch_dir_make();
        struct qk_plot_options options = options_for(dir, all_formats, 4);
        options.figures = &figure;
        options.n_figures = 1;
        options.double_column = i % 2 == 1;
        assert_int_equal(draw(table, &options), 4);
        assert_pictures(dir, figure, true);
        scratch_dir_remove(dir);
        qk_table_free(table);
    }
    struct qk_table *table = run_fixture(&shape_single, pair, 2);
    struct qk_plot_options options = options_for("unused", svg_only, 1);
    struct qk_err err = {0};
    options.figures = &figure;
    options.n_figures = 1;
    assert_int_equal(qk_plot(table, &options, NULL, NULL, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "at least 2"));
    qk_table_free(table);
}

static void scripts_run_by_hand(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.script_only = true;
    assert_int_equal(draw(table, &options), n_figures());
    assert_int_equal(scratch_dir_count(dir), 2 * n_figures());
    const char *const plain[] = {"gnuplot", "noise-floor.gp", NULL};
    const char *const png[] = {"gnuplot", "-e", "format='png'", "noise-floor.gp", NULL};
    char out[512];
    assert_int_equal(qk_child_run(plain, dir, 60, out, sizeof out, NULL), QK_OK);
    assert_string_equal(out, "");
    assert_int_equal(qk_child_run(png, dir, 60, out, sizeof out, NULL), QK_OK);
    assert_true(scratch_dir_has(dir, "noise-floor.svg"));
    assert_true(scratch_dir_has(dir, "noise-floor.png"));
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void gnuplot_tells_its_version(void **state)
{
    (void)state;
    char version[64] = "";
    assert_int_equal(qk_plot_gnuplot_version(version, sizeof version, NULL), QK_OK);
    assert_true(qk_str_starts(version, "gnuplot "));
    assert_null(strchr(version, '\n'));
}

/* `plot --list -v` and docs/figures.md have a line for each, so no line breaks and tabs. */
static void every_figure_says_how_to_read_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < qk_figure_count(); i++) {
        const char *texts[] = {qk_figure_reading(i), qk_figure_caution(i)};
        for (size_t k = 0; k < 2; k++) {
            if (texts[k] == NULL || strlen(texts[k]) < 40 || texts[k][strlen(texts[k]) - 1] != '.' ||
                strpbrk(texts[k], "\t\n") != NULL) {
                fail_msg("%s: '%s'", qk_figure_name(i), texts[k] != NULL ? texts[k] : "nothing");
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_figure_says_how_to_read_it),
        cmocka_unit_test(small_hybrid),
        cmocka_unit_test(hypenet_9b),
        cmocka_unit_test(one_layer_one_head),
        cmocka_unit_test(eighty_softmax_layers),
        cmocka_unit_test(ninety_four_layers_with_128_heads),
        cmocka_unit_test(the_same_table_gives_the_same_bytes),
        cmocka_unit_test(hostile_names_show_as_they_are),
        cmocka_unit_test(the_data_file_holds_the_numbers_of_the_table),
        cmocka_unit_test(layer_kinds_and_the_rounding_floor_are_marked),
        cmocka_unit_test(panels_without_values_say_so),
        cmocka_unit_test(unchanged_weights_draw_without_a_warning),
        cmocka_unit_test(several_checkpoints_share_one_scale),
        cmocka_unit_test(long_tick_labels_have_room),
        cmocka_unit_test(several_checkpoints_make_a_trajectory),
        cmocka_unit_test(scripts_run_by_hand),
        cmocka_unit_test(gnuplot_tells_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
