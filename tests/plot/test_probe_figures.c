/* Figures of probe runs: which runs have them, that their numbers are the table's, and names beside points. */
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
#include "base/rng.h"
#include "drawing.h"
#include "drift_fixture.h"
#include "point_labels.h"
#include "probe_fixture.h"
#include "scratch_dir.h"

static const char *const of_probes[] = {"distance-histogram", "distance-histogram-heads", "retrieval-heads",
                                        "routing-loss", "drift-vs-loss"};
enum { N_OF_PROBES = 5 };

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

static void assert_usage(const struct qk_table *table, const char *figure, const char *word)
{
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    struct qk_err err = {0};
    options.figures = &figure;
    options.n_figures = 1;
    assert_int_equal(qk_plot(table, &options, NULL, NULL, &err), QK_EUSAGE);
    if (strstr(err.text, word) == NULL) {
        fail_msg("'%s' does not say %s", err.text, word);
    }
    assert_int_equal(scratch_dir_count(dir), 0);
    scratch_dir_remove(dir);
}

static void a_run_without_probes_has_no_figures_of_them(void **state)
{
    (void)state;
    static const char *const words[] = {"distance_histogram in /probe/", "distance_histogram in /probe/",
                                        "retrieval_mass in /probe/", "tail_loss in /routing/",
                                        "tail_loss, distance_shift in /routing/"};
    static const char *const others[] = {"drift-heatmap", "drift-by-layer"};
    struct qk_table *table = drift_fixture(&shape_amnesia, pair, 2);
    for (size_t i = 0; i < N_OF_PROBES; i++) {
        assert_false(has_data(table, of_probes[i]));
        assert_usage(table, of_probes[i], words[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_true(has_data(table, others[i]));
    }
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.script_only = true;
    assert_int_equal(draw(table, &options), n_figures() - N_OF_PROBES - 1); /* no /recommend */
    assert_false(scratch_dir_has(dir, "routing-loss.gp"));
    scratch_dir_remove(dir);
    qk_table_free(table);
}

static void a_run_of_probes_alone_has_no_drift(void **state)
{
    (void)state;
    struct qk_table *table = probe_fixture(&shape_amnesia, pair, 2);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    assert_int_equal(draw(table, &options), N_OF_PROBES - 1);
    for (size_t i = 0; i + 1 < N_OF_PROBES; i++) {
        assert_true(has_data(table, of_probes[i]));
        assert_pictures(dir, of_probes[i], false);
    }
    scratch_dir_remove(dir);
    assert_false(has_data(table, "drift-vs-loss"));
    assert_usage(table, "drift-vs-loss", "qk_eff_rel_drift, qk_rel_drift in /drift/sft");
    qk_table_free(table);
}

static void one_checkpoint_has_histograms(void **state)
{
    (void)state;
    struct qk_table *table = probe_fixture(&shape_amnesia, pair, 1);
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    assert_int_equal(draw(table, &options), 3);
    assert_pictures(dir, "distance-histogram", false);
    assert_pictures(dir, "distance-histogram-heads", false);
    assert_pictures(dir, "retrieval-heads", false);
    scratch_dir_remove(dir);
    assert_usage(table, "routing-loss", "tail_loss in /routing/NAME");
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
    (void)draw(table, &options);
    (void)snprintf(name, sizeof name, "%s%s", figure, suffix);
    char *text = scratch_dir_read(dir, name, NULL);
    assert_non_null(text);
    scratch_dir_remove(dir);
    return text;
}

/* The first row below a heading and its line of columns. */
static void first_row(const char *data, const char *heading, size_t n, double *v)
{
    const char *at = strstr(data, heading);
    if (at == NULL) {
        fail_msg("no block '%s'", heading);
        return;
    }
    at = strchr(strchr(at, '\n') + 1, '\n') + 1;
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        v[i] = strtod(at, &end);
        assert_ptr_not_equal(end, at);
        at = end;
    }
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void histograms_hold_the_numbers_of_the_table(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    const struct qk_node *node = qk_table_find(table, "/probe/sft/distance_histogram");
    char *data = file_of(table, "distance-histogram", ".dat");
    double row[4], heads[6];
    first_row(data, "layer 5 checkpoint 1\n", 4, row);
    for (size_t h = 0; h < 6; h++) {
        heads[h] = node->v.f64[(5 * 6 + h) * node->shape[2]];
    }
    qsort(heads, 6, sizeof *heads, compare);
    assert_true(row[0] == 0);
    assert_true(fabs(row[1] - (heads[2] + heads[3]) / 2) < 1e-15); /* one rounding of a number below 1 */
    assert_true(row[2] >= heads[1] && row[2] <= heads[2] && row[3] >= heads[3] && row[3] <= heads[4]);
    /* the strip: the median of the heads' differences, not the difference of the medians */
    const struct qk_node *base = qk_table_find(table, "/probe/base/distance_histogram");
    for (size_t h = 0; h < 6; h++) {
        size_t at = (5 * 6 + h) * node->shape[2];
        heads[h] = node->v.f64[at] - base->v.f64[at];
    }
    qsort(heads, 6, sizeof *heads, compare);
    first_row(data, "layer 5 checkpoint 1 minus base\n", 2, row);
    assert_true(row[0] == 0 && fabs(row[1] - (heads[2] + heads[3]) / 2) < 1e-15);
    assert_null(strstr(data, "checkpoint 0 minus base"));
    qk_free(data);
    qk_table_free(table);
}

static void the_head_that_moved_most_comes_first(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    struct qk_node *shift = qk_table_find(table, "/routing/sft/distance_shift");
    shift->v.f64[5 * 6 + 4] = 7.25;
    shift->v.f64[3 * 6 + 1] = -9; /* a linear layer: not among the heads with softmax attention */
    char *script = file_of(table, "distance-histogram-heads", ".gp"),
         *data = file_of(table, "distance-histogram-heads", ".dat");
    const char *first = strstr(data, "# index 0: layer 5 head 4 ");
    const char *named = strstr(script, "5.4:  +7.25");
    assert_non_null(first);
    assert_non_null(named);
    assert_null(strstr(script, "3.1:"));
    const struct qk_node *node = qk_table_find(table, "/probe/sft/distance_histogram");
    double row[2];
    first_row(data, "layer 5 head 4 checkpoint 1\n", 2, row);
    assert_true(row[1] == node->v.f64[(5 * 6 + 4) * node->shape[2]]);
    const struct qk_node *base = qk_table_find(table, "/probe/base/distance_histogram");
    double before = base->v.f64[(5 * 6 + 4) * base->shape[2]];
    first_row(data, "layer 5 head 4 checkpoint 1 minus base\n", 2, row);
    assert_true(row[1] == node->v.f64[(5 * 6 + 4) * node->shape[2]] - before);
    qk_free(data);
    qk_free(script);
    qk_table_free(table);
}

static void heads_that_read_the_needle_come_in_order(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    struct qk_node *base = qk_table_find(table, "/probe/base/retrieval_mass"),
                   *sft = qk_table_find(table, "/probe/sft/retrieval_mass");
    for (size_t i = 0; i < base->n_values; i++) {
        base->v.f64[i] = 0.01;
    }
    base->v.f64[5 * 6 + 4] = 0.97;
    base->v.f64[3 * 6 + 1] = 0.4; /* a linear layer */
    sft->v.f64[5 * 6 + 4] = 0.25;
    char *script = file_of(table, "retrieval-heads", ".gp"), *data = file_of(table, "retrieval-heads", ".dat");
    assert_non_null(strstr(script, "set ytics ('5.4' -0, '3.1*' -1)"));
    double row[5];
    first_row(data, "checkpoint 0\n", 5, row);
    assert_true(row[0] == 0.97 && row[1] == 0 && row[2] == 5 && row[3] == 4 && row[4] == 0.97);
    first_row(data, "checkpoint 1\n", 5, row);
    assert_true(row[0] == 0.25 && row[4] == 0.97);
    qk_free(data);
    qk_free(script);
    /* nobody reads it: the first head alone */
    base->v.f64[5 * 6 + 4] = base->v.f64[3 * 6 + 1] = 0.01;
    script = file_of(table, "retrieval-heads", ".gp");
    assert_non_null(strstr(script, "set ytics ('0.0*' -0)"));
    qk_free(script);
    qk_table_free(table);
}

static void implied_mixing_is_marked(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    char *script = file_of(table, "distance-histogram", ".gp");
    assert_non_null(strstr(script, "'layer 3*'"));
    assert_non_null(strstr(script, "'layer 5'"));
    assert_non_null(strstr(script, "recurrence implies"));
    qk_free(script);
    char *data = file_of(table, "drift-vs-loss", ".dat");
    assert_non_null(strstr(data, "implied mixing"));
    qk_free(data);
    qk_table_free(table);
    table = run_fixture(&shape_single, pair, 2);
    script = file_of(table, "distance-histogram", ".gp");
    assert_null(strstr(script, "recurrence implies"));
    qk_free(script);
    qk_table_free(table);
}

static void layers_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_large, pair, 2);
    char *script = file_of(table, "distance-histogram", ".gp");
    assert_non_null(strstr(script, "27 of 80 layers shown: 1 in 3"));
    assert_non_null(strstr(script, "'layer 78'"));
    assert_null(strstr(script, "'layer 79'"));
    qk_free(script);
    qk_table_free(table);
    table = run_fixture(&shape_widest, pair, 2);
    script = file_of(table, "distance-histogram", ".gp");
    assert_non_null(strstr(script, "14 of 88 layers shown: those with softmax attention"));
    assert_null(strstr(script, "*'"));
    qk_free(script);
    qk_table_free(table);
}

static void losses_have_a_scale_around_zero(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    char *script = file_of(table, "routing-loss", ".gp");
    size_t n = 0;
    for (const char *at = script; (at = strstr(at, "set cbrange [")) != NULL; n++) {
        double lo = 0, hi = 0;
        at += strlen("set cbrange [");
        char *end = NULL;
        lo = strtod(at, &end);
        hi = strtod(end + 1, NULL);
        assert_true(lo == -hi && hi > 0);
    }
    assert_int_equal(n, 2);
    assert_non_null(strstr(script, "interval includes 0"));
    assert_null(strstr(script, "colour of −1"));
    qk_free(script);
    qk_table_find(table, "/routing/sft/tail_loss")->v.f64[5 * 6 + 1] = -3;
    script = file_of(table, "routing-loss", ".gp");
    assert_non_null(strstr(script, "set cbrange [-1:1]"));
    assert_non_null(strstr(script, "colour of −1"));
    qk_free(script);
    /* gains of many times the largest loss are drawn at the edge */
    struct qk_node *loss = qk_table_find(table, "/routing/sft/tail_loss");
    for (size_t i = 0; i < loss->n_values; i++) {
        loss->v.f64[i] = i == 5 * 6 + 1 ? -3 : loss->v.f64[i] > 0.09 ? 0.09 : loss->v.f64[i];
    }
    script = file_of(table, "drift-vs-loss", ".gp");
    assert_non_null(strstr(script, "heads below −0.15, drawn at −0.15: "));
    qk_free(script);
    loss->v.f64[0] = 0.9;
    script = file_of(table, "drift-vs-loss", ".gp");
    assert_non_null(strstr(script, "heads below −1, drawn at −1: 1"));
    qk_free(script);
    qk_table_free(table);
}

static void heads_that_lost_most_are_named(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    struct qk_node *loss = qk_table_find(table, "/routing/sft/tail_loss");
    loss->v.f64[2 * 6 + 3] = 0.99;
    char *data = file_of(table, "drift-vs-loss", ".dat"), *script = file_of(table, "drift-vs-loss", ".gp");
    const struct qk_node *drift = qk_table_find(table, "/drift/sft/qk_eff_rel_drift");
    double row[4];
    first_row(data, "heads that lost most\n", 4, row);
    assert_true(row[0] == drift->v.f64[2 * 6 + 3] && row[1] == 0.99 && row[2] == 2 && row[3] == 3);
    assert_non_null(strstr(script, "set label '2.3' "));
    qk_free(script);
    qk_free(data);
    for (size_t i = 0; i < loss->n_values; i++) {
        loss->v.f64[i] = NAN; /* no base head looks far: the distance scale takes its place */
    }
    script = file_of(table, "drift-vs-loss", ".gp");
    assert_non_null(strstr(script, "shift in log2 tokens"));
    qk_free(script);
    qk_table_free(table);
}

static bool overlap(struct qk_box a, struct qk_box b)
{
    return a.left < b.right && b.left < a.right && a.bottom < b.top && b.bottom < a.top;
}

static void names_beside_points_do_not_overlap(void **state)
{
    (void)state;
    enum { N_POINTS = 60, N_NAMES = 18 };
    struct qk_box box = {1, 1, 8, 6};
    size_t n_placed = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        double points[2 * N_POINTS];
        struct qk_point_label labels[N_NAMES] = {0};
        struct qk_rng rng;
        qk_rng_seed(&rng, seed);
        double spread = seed % 2 == 0 ? 1 : 0.1; /* also crowds */
        for (size_t i = 0; i < N_POINTS; i++) {
            points[2 * i] = fmin(fmax(4.5 + spread * qk_rng_normal(&rng), 1), 8);
            points[2 * i + 1] = fmin(fmax(3.5 + spread * qk_rng_normal(&rng), 1), 6);
        }
        for (size_t i = 0; i < N_NAMES; i++) {
            labels[i].x = points[2 * i];
            labels[i].y = points[2 * i + 1];
            (void)snprintf(labels[i].text, sizeof labels[i].text, "%zu.%zu", i, 3 * i);
        }
        qk_point_labels_place(labels, N_NAMES, points, N_POINTS, box);
        for (size_t i = 0; i < N_NAMES; i++) {
            struct qk_box at = labels[i].box;
            n_placed += labels[i].placed;
            assert_true(!labels[i].placed || (at.left >= 1 && at.right <= 8 && at.bottom >= 1 && at.top <= 6));
            for (size_t k = 0; k < i && labels[i].placed; k++) {
                assert_false(labels[k].placed && overlap(at, labels[k].box));
            }
            for (size_t k = 0; k < N_NAMES && labels[i].placed; k++) {
                assert_false(at.left < labels[k].x && labels[k].x < at.right && at.bottom < labels[k].y &&
                             labels[k].y < at.top);
            }
        }
    }
    print_message("%zu of %d names placed\n", n_placed, 50 * N_NAMES);
    assert_true(n_placed > 50 * N_NAMES / 2);
}

static void checkpoints_side_by_side_make_one_picture(void **state)
{
    (void)state;
    static const char *const names[] = {"base", "sft", "restored", "`x`"};
    struct qk_table *table = run_fixture(&shape_hypenet, names, 4);
    for (int wide = 0; wide < 2; wide++) {
        const char *dir = scratch_dir_make();
        struct qk_plot_options options = options_for(dir, svg_only, 1);
        options.figures = of_probes;
        options.n_figures = N_OF_PROBES;
        options.double_column = wide;
        assert_int_equal(draw(table, &options), 3 + 2 * 3);
        assert_pictures(dir, "distance-histogram", false);
        assert_pictures(dir, "routing-loss-restored", false);
        char *svg = scratch_dir_read(dir, "distance-histogram-heads.svg", NULL);
        assert_non_null(strstr(svg, "restored"));
        assert_non_null(strstr(svg, "`x`"));
        qk_free(svg);
        scratch_dir_remove(dir);
    }
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_without_probes_has_no_figures_of_them),
        cmocka_unit_test(a_run_of_probes_alone_has_no_drift),
        cmocka_unit_test(one_checkpoint_has_histograms),
        cmocka_unit_test(histograms_hold_the_numbers_of_the_table),
        cmocka_unit_test(the_head_that_moved_most_comes_first),
        cmocka_unit_test(heads_that_read_the_needle_come_in_order),
        cmocka_unit_test(implied_mixing_is_marked),
        cmocka_unit_test(layers_that_do_not_fit_are_counted),
        cmocka_unit_test(losses_have_a_scale_around_zero),
        cmocka_unit_test(heads_that_lost_most_are_named),
        cmocka_unit_test(names_beside_points_do_not_overlap),
        cmocka_unit_test(checkpoints_side_by_side_make_one_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
