/* Scores of heads as DuoAttention and Retrieval_Head keep them: by hand on a small table, refusals, failing
 * allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "store/store.h"

typedef enum qk_code (*exporter)(const struct qk_table *table, const char *glob, struct qk_str *out,
                                 struct qk_err *err);

static struct qk_node *add_scale(struct qk_table *table, const char *path, size_t n)
{
    struct qk_node *node;
    assert_int_equal(qk_table_scale(table, path, QK_TYPE_I64, n, &node, NULL), QK_OK);
    for (size_t i = 0; i < n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
    return node;
}

static struct qk_node *add_array(struct qk_table *table, const char *path, enum qk_type type, size_t n_dims,
                                 const char *const *dims)
{
    struct qk_node *node;
    assert_int_equal(qk_table_array(table, path, type, n_dims, dims, &node, NULL), QK_OK);
    return node;
}

/* Two layers: four query heads on two KV heads, two on one. Two probes; the second has no needle for the first head. */
static struct qk_table *head_table(void)
{
    static const double scores[] = {0.25, 0.5, 1.5, NAN, 0.125, -0.5, NAN, NAN};
    struct qk_table *table;
    struct qk_node *node;
    const char *const heads[] = {"/model/layer", "/model/head"}, *const kv_heads[] = {"/model/layer", "/model/kv_head"};
    const char *const sums[] = {"/model/sequence", "/model/layer", "/model/head", "/model/probe_sum"};
    assert_int_equal(qk_table_new(&table, NULL), QK_OK);
    add_scale(table, "/model/layer", 2);
    add_scale(table, "/model/head", 4);
    add_scale(table, "/model/kv_head", 2);
    add_scale(table, "/model/sequence", 2);
    assert_int_equal(qk_table_scale(table, "/model/probe_sum", QK_TYPE_STR, 2, &node, NULL), QK_OK);
    node->v.str[0] = "needle_copied";
    node->v.str[1] = "needle_tokens";
    node = add_array(table, "/model/n_heads", QK_TYPE_I64, 1, heads);
    node->v.i64[0] = 4;
    node->v.i64[1] = 2;
    node = add_array(table, "/model/n_kv_heads", QK_TYPE_I64, 1, heads);
    node->v.i64[0] = 2;
    node->v.i64[1] = 1;
    memcpy(add_array(table, "/probe/a/retrieval_score", QK_TYPE_F64, 2, heads)->v.f64, scores, sizeof scores);
    memcpy(add_array(table, "/probe/a/entropy", QK_TYPE_F64, 2, heads)->v.f64, scores, sizeof scores);
    node = add_array(table, "/drift/a/k_rel_drift", QK_TYPE_F64, 2, kv_heads);
    memcpy(node->v.f64, scores, 4 * sizeof *scores);
    node = add_array(table, "/probe/a/sums/scalar", QK_TYPE_F64, 4, sums);
    for (size_t i = 0; i < 16; i++) {
        node->v.f64[2 * i] = (double)(i % 4);
        node->v.f64[2 * i + 1] = i == 8 ? 0.0 : 8.0;
    }
    return table;
}

static void assert_exports(const struct qk_table *table, exporter export, const char *glob, const char *expected)
{
    struct qk_str out = {0};
    struct qk_err err = {0};
    if (export(table, glob, &out, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(out.s, expected);
    qk_str_release(&out);
}

static void test_kv_heads(void **state)
{
    (void)state;
    struct qk_table *table = head_table();
    assert_exports(table, qk_export_duo_attention, "retrieval_score", "0.5\t1\n0.125\tnan\n");
    assert_exports(table, qk_export_duo_attention, "k_rel_drift", "0.25\t0.5\n1\tnan\n");
    qk_table_free(table);
}

static void test_lists(void **state)
{
    (void)state;
    struct qk_table *table = head_table();
    assert_exports(table, qk_export_retrieval_head, "retrieval_score",
                   "{\"0-0\": [0], \"0-1\": [0.125, 0.125], \"0-2\": [0.25, 0.25], \"1-0\": [0, 0], "
                   "\"1-1\": [0.125, 0.125]}\n");
    assert_exports(table, qk_export_retrieval_head, "entropy",
                   "{\"0-0\": [0.25], \"0-1\": [0.5], \"0-2\": [1.5], \"1-0\": [0.125], \"1-1\": [-0.5]}\n");
    qk_table_free(table);
}

static void test_refusals(void **state)
{
    (void)state;
    struct qk_table *table = head_table();
    static const exporter exporters[] = {qk_export_duo_attention, qk_export_retrieval_head};
    for (size_t i = 0; i < 2; i++) {
        static const char *const globs[] = {"/probe/*", "scalar", "n_heads", "nothing"};
        for (size_t g = 0; g < sizeof globs / sizeof globs[0]; g++) {
            struct qk_str out = {0};
            assert_int_equal(exporters[i](table, globs[g], &out, NULL), QK_EUSAGE);
            assert_null(out.s);
        }
    }
    struct qk_err err = {0};
    struct qk_str out = {0};
    qk_table_find(table, "/model/n_kv_heads")->n_values = 1;
    assert_int_equal(qk_export_duo_attention(table, "entropy", &out, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "/model/n_kv_heads"));
    qk_table_find(table, "/model/n_kv_heads")->n_values = 2;
    qk_table_free(table);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    static const exporter exporters[] = {qk_export_duo_attention, qk_export_retrieval_head};
    struct qk_table *table = head_table();
    for (size_t i = 0; i < 2; i++) {
        enum qk_code code = QK_ENOMEM;
        size_t n_failures = 0;
        for (size_t k = 1; code != QK_OK; k++, n_failures++) {
            struct qk_str out = {0};
            qk_alloc_fail_after(k);
            code = exporters[i](table, "retrieval_score", &out, NULL);
            qk_alloc_fail_after(0);
            assert_true(code == QK_OK || code == QK_ENOMEM);
            qk_str_release(&out);
        }
        assert_true(n_failures > 1);
    }
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_heads),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests_name("export heads", tests, NULL, NULL);
}
