/* The result table: paths, parents, shapes, missing values, attributes, failing allocations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "analyses/table.h"
#include "base/alloc.h"

static enum qk_code build(struct qk_table **ret, struct qk_err *err)
{
    static const char *const dims[] = {"/model/layer", "/model/name"};
    struct qk_table *table;
    struct qk_node *scale, *array, *text;
    QK_TRY(qk_table_new(&table, err));
    enum qk_code code = qk_table_scale(table, "/model/layer", QK_TYPE_I64, 3, &scale, err);
    code = code == QK_OK ? qk_table_scale(table, "/model/name", QK_TYPE_STR, 2, NULL, err) : code;
    code = code == QK_OK ? qk_table_array(table, "/a/b/values", QK_TYPE_F64, 2, dims, &array, err) : code;
    code = code == QK_OK ? qk_table_array(table, "/a/b/text", QK_TYPE_STR, 0, NULL, &text, err) : code;
    for (int i = 0; i < 20 && code == QK_OK; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        code = qk_node_attr_i64(table, array, name, i, err);
    }
    if (code != QK_OK) {
        qk_table_free(table);
        return code;
    }
    *ret = table;
    return QK_OK;
}

static void nodes_have_parents_and_shapes(void **unused)
{
    (void)unused;
    struct qk_table *table;
    struct qk_err err = {0};
    assert_int_equal(build(&table, &err), QK_OK);
    const char *const order[] = {"/",  "/model", "/model/layer", "/model/name",
                                 "/a", "/a/b",   "/a/b/values",  "/a/b/text"};
    assert_int_equal(table->n_nodes, sizeof(order) / sizeof(order[0]));
    for (size_t i = 0; i < table->n_nodes; i++) {
        assert_string_equal(table->nodes[i]->path, order[i]);
    }
    const struct qk_node *values = qk_table_find(table, "/a/b/values"), *scale = qk_table_find(table, "/model/layer");
    assert_int_equal(values->n_values, 6);
    assert_true(values->shape[0] == 3 && values->shape[1] == 2 && values->n_dims == 2);
    assert_string_equal(values->dims[1], "/model/name");
    assert_true(scale->is_scale && !values->is_scale && scale->dims[0] == scale->path);
    for (size_t i = 0; i < 6; i++) {
        assert_true(isnan(values->v.f64[i]));
    }
    assert_true(scale->v.i64[0] == 0 && qk_table_find(table, "/model/name")->v.str[1][0] == '\0');
    const struct qk_node *text = qk_table_find(table, "/a/b/text");
    assert_true(text->n_dims == 0 && text->n_values == 1 && text->v.str[0][0] == '\0');
    assert_null(qk_table_find(table, "/a/b/value"));
    qk_table_free(table);
}

static void attributes_are_replaced_in_place(void **unused)
{
    (void)unused;
    struct qk_table *table;
    struct qk_err err = {0};
    assert_int_equal(build(&table, &err), QK_OK);
    struct qk_node *node = qk_table_find(table, "/a/b/values");
    static const char *const lines[] = {"one", "two"};
    static const int64_t numbers[] = {3, 4, 5};
    char text[] = "kept";
    assert_int_equal(qk_node_attr_str(table, node, "n3", text, &err), QK_OK);
    text[0] = 'x';
    assert_int_equal(qk_node_attr_strs(table, node, "lines", lines, 2, &err), QK_OK);
    assert_int_equal(qk_node_attr_i64s(table, node, "numbers", numbers, 3, &err), QK_OK);
    assert_int_equal(qk_node_attr_i64s(table, node, "none", NULL, 0, &err), QK_OK);
    assert_int_equal(qk_node_attr_f64(table, node, "pi", 3.25, &err), QK_OK);
    assert_int_equal(node->n_attrs, 24);
    assert_string_equal(node->attrs[3].name, "n3");
    assert_string_equal(qk_node_attr_get_str(node, "n3"), "kept");
    assert_null(qk_node_attr_get_str(node, "lines"));
    assert_null(qk_node_attr_get_str(node, "n4"));
    assert_null(qk_node_attr(node, "n20"));
    assert_true(qk_node_attr(node, "n19")->v.i64[0] == 19 && qk_node_attr(node, "n19")->scalar);
    assert_true(qk_node_attr(node, "numbers")->n == 3 && !qk_node_attr(node, "numbers")->scalar);
    assert_int_equal(qk_node_attr(node, "none")->n, 0);
    assert_true(qk_node_attr(node, "pi")->v.f64[0] == 3.25);
    assert_string_equal(qk_node_attr(node, "lines")->v.str[1], "two");
    qk_table_free(table);
}

static void wrong_paths_are_refused(void **unused)
{
    (void)unused;
    struct qk_table *table;
    struct qk_err err = {0};
    assert_int_equal(build(&table, &err), QK_OK);
    static const char *const bad[] = {"", "a", "/a//b", "/a/", "/", "/a\nb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(qk_table_scale(table, bad[i], QK_TYPE_F64, 1, NULL, &err), QK_EINTERNAL);
    }
    static const char *const no_scale[] = {"/a/b/values"}, *const absent[] = {"/model/head"};
    assert_int_equal(qk_table_array(table, "/x", QK_TYPE_F64, 1, no_scale, NULL, &err), QK_EINTERNAL);
    assert_int_equal(qk_table_array(table, "/x", QK_TYPE_F64, 1, absent, NULL, &err), QK_EINTERNAL);
    assert_int_equal(qk_table_array(table, "/x", QK_TYPE_F64, QK_TABLE_MAX_DIMS + 1, absent, NULL, &err), QK_EINTERNAL);
    assert_int_equal(qk_table_array(table, "/a/b/text", QK_TYPE_F64, 0, NULL, NULL, &err), QK_EINTERNAL);
    assert_int_equal(qk_table_group(table, "/a/b/text/c", NULL, &err), QK_EINTERNAL);
    struct qk_node *group;
    assert_int_equal(qk_table_group(table, "/a/b", &group, &err), QK_OK);
    assert_ptr_equal(group, qk_table_find(table, "/a/b"));
    qk_table_free(table);
}

static void failing_allocations_are_reported(void **unused)
{
    (void)unused;
    enum qk_code code = QK_ENOMEM;
    size_t k = 0;
    while (code != QK_OK && k < 1000) {
        struct qk_table *table = NULL;
        struct qk_err err = {0};
        qk_alloc_fail_after(++k);
        code = build(&table, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        qk_table_free(table);
    }
    assert_true(code == QK_OK && k > 2);
}

static void states_have_names(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < QK_N_STATES; i++) {
        assert_string_not_equal(qk_state_name((enum qk_state)i), "unknown");
    }
    assert_string_equal(qk_state_name(QK_STATE_NOT_COMPUTED), "not_computed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_have_parents_and_shapes),    cmocka_unit_test(attributes_are_replaced_in_place),
        cmocka_unit_test(wrong_paths_are_refused),          cmocka_unit_test(states_have_names),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
