/* Writing and reading RUN.h5: everything comes back, and the same table gives the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/store.h"
#include "synthetic_run.h"
#include "table_equal.h"

static char *directory;

static int make_directory(void **state)
{
    (void)state;
    static char template[] = "/tmp/qk-store-XXXXXX";
    directory = mkdtemp(template);
    return directory == NULL;
}

static char *in_directory(const char *name)
{
    char *path = qk_path_join(directory, name);
    assert_non_null(path);
    return path;
}

static int remove_directory(void **state)
{
    (void)state;
    static const char *const names[] = {"a.h5", "b.h5", "c.h5"};
    for (size_t i = 0; i < 3; i++) {
        char *path = in_directory(names[i]);
        unlink(path);
        qk_free(path);
    }
    return rmdir(directory);
}

static void assert_same_bytes(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(qk_file_slurp(a, 1 << 28, &x, &n, NULL), QK_OK);
    assert_int_equal(qk_file_slurp(b, 1 << 28, &y, &m, NULL), QK_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    qk_free(x);
    qk_free(y);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct synthetic_run run = synthetic_whole();
    struct qk_table *table = synthetic_table(&run), *back, *again;
    char *a = in_directory("a.h5"), *b = in_directory("b.h5"), *c = in_directory("c.h5");
    struct qk_err err = {0};
    assert_int_equal(qk_store_write(table, a, false, &err), QK_OK);
    assert_int_equal(qk_store_write(table, b, false, &err), QK_OK);
    assert_same_bytes(a, b);
    if (qk_store_read(a, &back, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    /* the file adds the two attributes that name its format */
    assert_string_equal(qk_node_attr_get_str(back->nodes[0], "format"), "qkscope-run");
    must_set_format(table);
    assert_tables_equal(table, back);
    assert_int_equal(qk_store_write(back, c, false, &err), QK_OK);
    assert_same_bytes(a, c);
    assert_int_equal(qk_store_read(c, &again, &err), QK_OK);
    assert_tables_equal(back, again);
    qk_table_free(table);
    qk_table_free(back);
    qk_table_free(again);
    qk_free(a);
    qk_free(b);
    qk_free(c);
}

static void test_no_overwrite_without_force(void **state)
{
    (void)state;
    struct synthetic_run run = synthetic_whole();
    struct qk_table *table = synthetic_table(&run);
    char *a = in_directory("a.h5");
    struct qk_err err = {0};
    assert_int_equal(qk_store_write(table, a, true, &err), QK_OK);
    assert_int_equal(qk_store_write(table, a, false, &err), QK_EUSAGE);
    assert_non_null(strstr(err.hint, "--force"));
    qk_table_free(table);
    qk_free(a);
}

/* Scales after the arrays that use them, empty axes, scalars, deep groups, a member with a scale's name. */
static void test_odd_trees(void **state)
{
    (void)state;
    struct qk_table *table, *back;
    struct qk_node *node;
    struct qk_err err = {0};
    assert_int_equal(qk_table_new(&table, &err), QK_OK);
    assert_int_equal(qk_table_group(table, "/a/b/c/d", NULL, &err), QK_OK);
    assert_int_equal(qk_table_scale(table, "/z/empty", QK_TYPE_F64, 0, NULL, &err), QK_OK);
    assert_int_equal(qk_table_scale(table, "/z/x", QK_TYPE_F64, 3, &node, &err), QK_OK);
    node->v.f64[1] = -0.0;
    const char *dims[] = {"/z/empty", "/z/x", "/z/x"};
    assert_int_equal(qk_table_array(table, "/a/b/none", QK_TYPE_F64, 2, dims, NULL, &err), QK_OK);
    assert_int_equal(qk_table_array(table, "/a/b/words", QK_TYPE_STR, 1, dims, NULL, &err), QK_OK);
    assert_int_equal(qk_table_array(table, "/a/b/x", QK_TYPE_I64, 1, dims + 1, &node, &err), QK_OK);
    node->v.i64[2] = INT64_MIN;
    assert_int_equal(qk_table_array(table, "/a/square", QK_TYPE_U8, 2, dims + 1, NULL, &err), QK_OK);
    assert_int_equal(qk_table_array(table, "/scalar", QK_TYPE_I64, 0, NULL, &node, &err), QK_OK);
    node->v.i64[0] = 42;
    char *a = in_directory("a.h5"), *b = in_directory("b.h5");
    if (qk_store_write(table, a, true, &err) != QK_OK || qk_store_read(a, &back, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    must_set_format(table);
    assert_tables_equal(table, back);
    assert_int_equal(qk_store_write(back, b, true, &err), QK_OK);
    assert_same_bytes(a, b);
    qk_table_free(table);
    qk_table_free(back);
    qk_free(a);
    qk_free(b);
}

/* Our own allocations fail one after the other: an error, no leak, no file. */
static void test_allocation_failures(void **state)
{
    (void)state;
    struct synthetic_run run = synthetic_whole();
    struct qk_table *table = synthetic_table(&run), *back = NULL;
    char *a = in_directory("a.h5"), *b = in_directory("b.h5");
    assert_int_equal(qk_store_write(table, a, true, NULL), QK_OK);
    unlink(b);
    enum qk_code code = QK_ENOMEM;
    size_t n_failures = 0;
    for (size_t k = 1; code != QK_OK; k++, n_failures++) {
        qk_alloc_fail_after(k);
        code = qk_store_write(table, b, false, NULL);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_int_equal(qk_path_exists(b), code == QK_OK);
    }
    assert_true(n_failures > 2);
    code = QK_ENOMEM;
    for (size_t k = 1; code != QK_OK; k++, n_failures++) {
        qk_alloc_fail_after(k);
        code = qk_store_read(a, &back, NULL);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_true((back != NULL) == (code == QK_OK));
    }
    assert_true(n_failures > 10);
    assert_same_bytes(a, b);
    must_set_format(table);
    assert_tables_equal(table, back);
    qk_table_free(table);
    qk_table_free(back);
    qk_free(a);
    qk_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_overwrite_without_force),
        cmocka_unit_test(test_odd_trees),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests_name("run file", tests, make_directory, remove_directory);
}
