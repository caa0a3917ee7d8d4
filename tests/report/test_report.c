/* The report of tables that no command writes: empty ones, arrays of other types and shapes than docs/results-format.md
 * says, markup in every text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plot/report.h"

static struct qk_node *add(struct qk_table *table, const char *path, enum qk_type type, size_t n_dims,
                           const char *const *dims)
{
    struct qk_err err;
    struct qk_node *node = NULL;
    assert_int_equal(qk_table_array(table, path, type, n_dims, dims, &node, &err), QK_OK);
    return node;
}

static struct qk_node *add_scale(struct qk_table *table, const char *path, enum qk_type type, size_t n)
{
    struct qk_err err;
    struct qk_node *node = NULL;
    assert_int_equal(qk_table_scale(table, path, type, n, &node, &err), QK_OK);
    return node;
}

static struct qk_table *new_table(void)
{
    struct qk_err err;
    struct qk_table *table = NULL;
    assert_int_equal(qk_table_new(&table, &err), QK_OK);
    return table;
}

/* The page; released by the caller. */
static struct qk_str report_of(const struct qk_table *table, const struct qk_report_options *options)
{
    struct qk_err err;
    struct qk_str page = {0};
    assert_int_equal(qk_report_write(table, options, &page, &err), QK_OK);
    assert_non_null(strstr(page.s, "</html>"));
    return page;
}

static void test_empty(void **state)
{
    (void)state;
    const struct qk_report_options options = {.run = "run.h5"};
    struct qk_table *table = new_table();
    struct qk_str page = report_of(table, &options);
    assert_non_null(strstr(page.s, "This run holds no plan."));
    assert_non_null(strstr(page.s, "Recall was not measured"));
    assert_null(strstr(page.s, "id=\"heads-figure\""));
    qk_str_release(&page);
    qk_table_free(table);
}

/* Every array that a part reads, as another one. */
static void test_other_shapes(void **state)
{
    (void)state;
    static const char *const dims[] = {"/model/layer", "/model/head", "/model/tau"};
    static const char *const strings[] = {"/recommend/action", "/recommend/score", "/drift/sft/qk_rel_drift",
                                          "/niah/sft/n", "/model/n_heads"};
    static const char *const numbers[] = {"/model/layer_kind", "/model/position", "/verdict", "/recommend/plan"};
    const struct qk_report_options options = {.run = "run.h5"};
    struct qk_err err;
    struct qk_node *group = NULL;
    struct qk_table *table = new_table();
    add_scale(table, dims[0], QK_TYPE_STR, 3);
    add_scale(table, dims[1], QK_TYPE_F64, 0);
    add_scale(table, dims[2], QK_TYPE_I64, 2);
    assert_int_equal(qk_table_group(table, "/checkpoints/sft", &group, &err), QK_OK);
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        add(table, strings[i], QK_TYPE_STR, 1, dims);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        add(table, numbers[i], QK_TYPE_F64, 1, dims);
    }
    add(table, "/niah/sft/score", QK_TYPE_F64, 3, dims);
    add(table, "/niah/base/score", QK_TYPE_F64, 1, dims);
    add(table, "/routing/sft/tail_loss", QK_TYPE_F64, 2, dims);
    add(table, "/eval/sft/set/accuracy", QK_TYPE_F64, 1, dims);
    add(table, "/eval/sft/other/accuracy", QK_TYPE_F64, 0, dims);
    struct qk_str page = report_of(table, &options);
    assert_non_null(strstr(page.s, "Recall was not measured"));
    assert_non_null(strstr(page.s, "<td>other</td>"));
    assert_null(strstr(page.s, ">nan"));
    qk_str_release(&page);
    qk_table_free(table);
}

static void test_markup(void **state)
{
    (void)state;
    static const char bad[] = "</script><b>&\"'";
    const struct qk_report_finding finding = {"alarm", bad, bad};
    const struct qk_report_options options = {.run = bad, .checkpoint = bad, .findings = &finding, .n_findings = 1};
    struct qk_err err;
    struct qk_node *group = NULL;
    struct qk_table *table = new_table();
    add_scale(table, "/model/layer", QK_TYPE_STR, 1)->v.str[0] = bad;
    add(table, "/verdict", QK_TYPE_STR, 0, NULL)->v.str[0] = bad;
    add(table, "/recommend/plan", QK_TYPE_STR, 0, NULL)->v.str[0] = bad;
    assert_int_equal(qk_table_group(table, "/checkpoints/<b>x", &group, &err), QK_OK);
    assert_int_equal(qk_node_attr_str(table, group, "path", bad, &err), QK_OK);
    assert_int_equal(qk_node_attr_strs(table, table->nodes[0], "history", (const char *const[]){bad}, 1, &err), QK_OK);
    struct qk_str page = report_of(table, &options);
    assert_null(strstr(page.s, "<b>"));
    size_t n = 0;
    for (const char *at = page.s; (at = strstr(at, "</script>")) != NULL; at++) {
        n++;
    }
    assert_int_equal(n, 2);
    assert_non_null(strstr(page.s, "&lt;/script&gt;&lt;b&gt;&amp;&quot;&#39;"));
    qk_str_release(&page);
    qk_table_free(table);
}

/* Arrays that would make a page too large to open are named instead. */
static void test_too_large(void **state)
{
    (void)state;
    static const char *const dims[] = {"/model/layer", "/model/head"};
    const struct qk_report_options options = {.run = "run.h5"};
    struct qk_table *table = new_table();
    add_scale(table, dims[0], QK_TYPE_I64, 1024);
    add_scale(table, dims[1], QK_TYPE_I64, 1024);
    struct qk_node *node = add(table, "/drift/sft/qk_rel_drift", QK_TYPE_F64, 2, dims);
    for (size_t i = 0; i < node->n_values; i++) {
        node->v.f64[i] = 0.5;
    }
    struct qk_str page = report_of(table, &options);
    assert_non_null(strstr(page.s, "\"left_out\":[\"/drift/sft/qk_rel_drift\"]"));
    assert_null(strstr(page.s, "id=\"heads-figure\""));
    assert_true(page.len < 400000);
    qk_str_release(&page);
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_other_shapes),
        cmocka_unit_test(test_markup),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
