/* Comparison of result tables for the tests. */
#include "table_equal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void assert_strings_equal(const char **a, const char **b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(a[i], b[i]);
    }
}

static void assert_attrs_equal(const struct qk_node *a, const struct qk_node *b)
{
    assert_int_equal(a->n_attrs, b->n_attrs);
    for (size_t i = 0; i < a->n_attrs; i++) {
        const struct qk_attr *x = &a->attrs[i], *y = &b->attrs[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->n, y->n);
        assert_int_equal(x->scalar, y->scalar);
        if (x->type == QK_TYPE_STR) {
            assert_strings_equal(x->v.str, y->v.str, x->n);
        } else if (x->n > 0) {
            assert_memory_equal(x->v.f64, y->v.f64, x->n * 8);
        }
    }
}

static void assert_values_equal(const struct qk_node *a, const struct qk_node *b)
{
    static const size_t sizes[] = {[QK_TYPE_F64] = 8, [QK_TYPE_I64] = 8, [QK_TYPE_U8] = 1};
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->n_dims, b->n_dims);
    assert_int_equal(a->is_scale, b->is_scale);
    assert_int_equal(a->n_values, b->n_values);
    for (size_t i = 0; i < a->n_dims; i++) {
        assert_string_equal(a->dims[i], b->dims[i]);
        assert_int_equal(a->shape[i], b->shape[i]);
    }
    if (a->type == QK_TYPE_STR) {
        assert_strings_equal(a->v.str, b->v.str, a->n_values);
    } else if (a->n_values > 0) {
        assert_memory_equal(a->v.p, b->v.p, a->n_values * sizes[a->type]);
    }
}

void assert_tables_equal(const struct qk_table *a, const struct qk_table *b)
{
    assert_int_equal(a->n_nodes, b->n_nodes);
    for (size_t i = 0; i < a->n_nodes; i++) {
        const struct qk_node *x = a->nodes[i], *y = qk_table_find(b, x->path);
        if (y == NULL) {
            fail_msg("%s is missing", x->path);
        }
        assert_int_equal(x->is_group, y->is_group);
        assert_attrs_equal(x, y);
        if (!x->is_group) {
            assert_values_equal(x, y);
        }
    }
}

void must_set_format(struct qk_table *table)
{
    struct qk_node *root = table->nodes[0];
    assert_int_equal(qk_node_attr_str(table, root, "format", "qkscope-run", NULL), QK_OK);
    assert_int_equal(qk_node_attr_i64(table, root, "format_version", 1, NULL), QK_OK);
    struct qk_attr last[2];
    memcpy(last, root->attrs + root->n_attrs - 2, sizeof(last));
    memmove(root->attrs + 2, root->attrs, (root->n_attrs - 2) * sizeof(*root->attrs));
    memcpy(root->attrs, last, sizeof(last));
}
