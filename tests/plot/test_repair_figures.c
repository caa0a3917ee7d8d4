/* The figures about repair: the recommendation per layer, and drift before and after a restore. */
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

static const char *const trio[] = {"base", "sft", "restored"};

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

static struct qk_node *metric_of(const struct qk_table *table, const char *checkpoint, const char *metric)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/drift/%s/%s", checkpoint, metric);
    struct qk_node *node = qk_table_find(table, path);
    assert_non_null(node);
    return node;
}

/* Makes "restored" what a restore of the given layer makes of "sft". */
static void restore(struct qk_table *table, size_t layer)
{
    static const char *const metrics[] = {"q_rel_drift", "k_rel_drift", "qk_rel_drift", "qk_eff_rel_drift",
                                          "module_rel_drift"};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        struct qk_node *from = metric_of(table, "sft", metrics[i]), *to = metric_of(table, "restored", metrics[i]);
        memcpy(to->v.f64, from->v.f64, from->n_values * sizeof *from->v.f64);
        size_t width = from->n_values / from->shape[0], n = i + 1 < 5 ? width : 2; /* of modules q and k */
        for (size_t k = 0; k < n; k++) {
            double *v = &to->v.f64[layer * width + k];
            *v = isnan(*v) ? *v : 0.0;
        }
    }
}

static char *drawn(const struct qk_table *table, const char *figure, const char *file, bool wide)
{
    const char *dir = scratch_dir_make();
    struct qk_plot_options options = options_for(dir, svg_only, 1);
    options.figures = &figure;
    options.n_figures = 1;
    options.double_column = wide;
    assert_int_equal(draw(table, &options), 1);
    char *text = scratch_dir_read(dir, file, NULL);
    assert_non_null(text);
    scratch_dir_remove(dir);
    return text;
}

static void a_restored_checkpoint_is_recognised(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, trio, 3);
    assert_false(has_data(table, "restored-drift")); /* two steps of a training */
    restore(table, 5);
    assert_true(has_data(table, "restored-drift"));
    struct qk_node *modules = metric_of(table, "restored", "module_rel_drift");
    double kept = modules->v.f64[2];
    modules->v.f64[2] = nextafter(kept, 1.0); /* W_V of layer 0 is another one */
    assert_false(has_data(table, "restored-drift"));
    modules->v.f64[2] = kept;
    for (size_t m = 0; m < 2; m++) { /* nothing was restored */
        modules->v.f64[5 * modules->shape[1] + m] =
            metric_of(table, "sft", "module_rel_drift")->v.f64[5 * modules->shape[1] + m];
    }
    assert_false(has_data(table, "restored-drift"));
    qk_table_free(table);
}

static void drift_before_and_after(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, trio, 3);
    restore(table, 5);
    for (int wide = 0; wide < 2; wide++) {
        char *svg = drawn(table, "restored-drift", "restored-drift-restored.svg", wide);
        assert_non_null(strstr(svg, "before: sft"));
        qk_free(svg);
    }
    char *data = drawn(table, "restored-drift", "restored-drift-restored.dat", false);
    const char *at = strstr(data, "q_rel_drift");
    assert_non_null(at);
    at = strchr(strchr(at, '\n') + 1, '\n') + 1;
    for (size_t l = 0; l < 8; l++) {
        char *end = NULL;
        double layer = strtod(at, &end), before = strtod(end, &end), after = strtod(end, &end);
        assert_true(layer == (double)l && before > 0.0);
        assert_true(l == 5 ? after <= 0.0 : after >= before && after <= before);
        at = end + 1;
    }
    qk_free(data);
    qk_table_free(table);
}

static void layers_that_are_not_considered_have_no_bar(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, pair, 2);
    char *data = drawn(table, "recommendation", "recommendation.dat", false);
    size_t n = 0;
    for (const char *at = data; (at = strstr(at, "layer score")) != NULL; n++) {
        at = strchr(at, '\n') + 1;
        double layer = strtod(at, NULL);
        assert_true(layer == 2 || layer == 5 || layer == 7);
    }
    assert_int_equal(n, 2); /* actions of 2, 5 and 7: align, align, restore */
    qk_free(data);
    char *svg = drawn(table, "recommendation", "recommendation.svg", true);
    assert_non_null(strstr(svg, "scored by probe and drift"));
    qk_free(svg);
    qk_table_free(table);
}

static void a_recommendation_about_another_checkpoint_names_it(void **state)
{
    (void)state;
    struct qk_table *table = run_fixture(&shape_amnesia, trio, 3);
    struct qk_node *group = qk_table_find(table, "/recommend");
    struct qk_err err = {0};
    assert_int_equal(qk_node_attr_str(table, group, "checkpoint", "restored", &err), QK_OK);
    char *svg = drawn(table, "recommendation", "recommendation.svg", false);
    assert_non_null(strstr(svg, "restored against base"));
    qk_free(svg);
    assert_int_equal(qk_node_attr_str(table, group, "checkpoint", "gone", &err), QK_OK);
    assert_false(has_data(table, "recommendation"));
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_checkpoint_is_recognised),
        cmocka_unit_test(drift_before_and_after),
        cmocka_unit_test(layers_that_are_not_considered_have_no_bar),
        cmocka_unit_test(a_recommendation_about_another_checkpoint_names_it),
    };
    return cmocka_run_group_tests_name("repair figures", tests, NULL, NULL);
}
