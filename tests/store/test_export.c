/* Exports of odd tables, and with failing allocations. That whole exports are right is checked in Python. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "store/store.h"
#include "synthetic_run.h"

typedef enum qk_code (*exporter)(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                                 struct qk_err *err);

static enum qk_code list(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                         struct qk_err *err)
{
    (void)missing;
    return qk_export_list(table, glob, out, err);
}

static enum qk_code matrix(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                           struct qk_err *err)
{
    (void)missing;
    return qk_export_matrix(table, glob, out, err);
}

static void assert_exports(const struct qk_table *table, exporter export, const char *glob, bool missing,
                           const char *expected)
{
    struct qk_str out = {0};
    struct qk_err err = {0};
    if (export(table, glob, missing, &out, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(out.s, expected);
    qk_str_release(&out);
}

/* A square array (one axis twice) with a NaN and an infinity, a string to quote, an empty array. */
static struct qk_table *odd_table(void)
{
    struct qk_table *table;
    struct qk_node *node;
    const char *const dims[] = {"/x", "/x", "/none"};
    assert_int_equal(qk_table_new(&table, NULL), QK_OK);
    assert_int_equal(qk_table_scale(table, "/x", QK_TYPE_F64, 2, &node, NULL), QK_OK);
    node->v.f64[0] = 0.1;
    node->v.f64[1] = 1e300;
    assert_int_equal(qk_table_scale(table, "/none", QK_TYPE_I64, 0, NULL, NULL), QK_OK);
    assert_int_equal(qk_table_array(table, "/square", QK_TYPE_F64, 2, dims, &node, NULL), QK_OK);
    node->v.f64[0] = 1.0 / 3.0;
    node->v.f64[1] = INFINITY;
    node->v.f64[3] = -0.0;
    assert_int_equal(qk_table_array(table, "/text", QK_TYPE_STR, 0, NULL, &node, NULL), QK_OK);
    node->v.str[0] = "a\t\"b\"";
    assert_int_equal(qk_table_array(table, "/empty", QK_TYPE_F64, 1, dims + 2, NULL, NULL), QK_OK);
    return table;
}

static void test_odd_tables(void **state)
{
    (void)state;
    struct qk_table *table = odd_table();
    assert_exports(table, qk_export_tsv, "square", false,
                   "dataset\tcheckpoint\tmetric\tx\tx_2\tvalue\tstate\n"
                   "/square\t\tsquare\t0.1\t0.1\t0.3333333333333333\t\n"
                   "/square\t\tsquare\t0.1\t1e+300\tinf\t\n"
                   "/square\t\tsquare\t1e+300\t1e+300\t-0\t\n");
    assert_exports(table, qk_export_json, "/squ*", true,
                   "[\n"
                   "{\"dataset\": \"/square\", \"metric\": \"square\", \"x\": 0.1, \"x_2\": 0.1, \"value\": "
                   "0.3333333333333333},\n"
                   "{\"dataset\": \"/square\", \"metric\": \"square\", \"x\": 0.1, \"x_2\": 1e+300, \"value\": null},\n"
                   "{\"dataset\": \"/square\", \"metric\": \"square\", \"x\": 1e+300, \"x_2\": 0.1, \"value\": null},\n"
                   "{\"dataset\": \"/square\", \"metric\": \"square\", \"x\": 1e+300, \"x_2\": 1e+300, \"value\": -0}\n"
                   "]\n");
    assert_exports(table, qk_export_tsv, "text", false,
                   "dataset\tcheckpoint\tmetric\tvalue\ttext\tstate\n"
                   "/text\t\ttext\t\t\"a\t\"\"b\"\"\"\t\n");
    assert_exports(table, qk_export_json, "empty", false, "[]\n");
    assert_exports(table, list, "e*,text", false,
                   "dataset\ttype\tshape\taxes\tunits\ttitle\n/text\tstring\t\t\t\t\n/empty\tfloat64\t0\tnone\t\t\n");
    assert_exports(table, matrix, "square", false, "0.3333333333333333\tinf\nnan\t-0\n");
    assert_exports(table, list, "e*", false,
                   "dataset\ttype\tshape\taxes\tunits\ttitle\n/empty\tfloat64\t0\tnone\t\t\n");
    qk_table_free(table);
}

static void test_no_match(void **state)
{
    (void)state;
    struct qk_table *table = odd_table();
    struct qk_str out = {0};
    struct qk_err err = {0};
    assert_int_equal(qk_export_tsv(table, "squar", false, &out, &err), QK_EUSAGE);
    assert_string_equal(err.text, "no dataset matches 'squar'");
    assert_non_null(strstr(err.hint, "'square'"));
    assert_int_equal(qk_export_tsv(table, "square,squar", false, &out, &err), QK_EUSAGE);
    assert_string_equal(err.text, "no dataset matches 'squar'");
    assert_int_equal(qk_export_tsv(table, "square,", false, &out, &err), QK_EUSAGE);
    assert_int_equal(qk_export_json(table, "x", false, &out, &err), QK_EUSAGE);
    assert_int_equal(qk_export_matrix(table, "*", &out, &err), QK_EUSAGE);
    assert_null(out.s);
    qk_table_free(table);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    static const struct {
        exporter export;
        const char *glob;
    } rows[] = {{qk_export_tsv, NULL}, {qk_export_json, NULL}, {list, NULL}, {matrix, "q_rel_drift"}};
    struct synthetic_run run = synthetic_whole();
    struct qk_table *table = synthetic_table(&run);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qk_str expected = {0};
        assert_int_equal(rows[i].export(table, rows[i].glob, true, &expected, NULL), QK_OK);
        enum qk_code code = QK_ENOMEM;
        size_t n_failures = 0;
        for (size_t k = 1; code != QK_OK; k++, n_failures++) {
            struct qk_str out = {0};
            qk_alloc_fail_after(k);
            code = rows[i].export(table, rows[i].glob, true, &out, NULL);
            qk_alloc_fail_after(0);
            if (code == QK_OK) {
                assert_string_equal(out.s, expected.s);
            } else {
                assert_int_equal(code, QK_ENOMEM);
            }
            qk_str_release(&out);
        }
        qk_str_release(&expected);
        assert_true(n_failures > 1);
    }
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_tables),
        cmocka_unit_test(test_no_match),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
