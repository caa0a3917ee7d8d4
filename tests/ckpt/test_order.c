/* The merge sort behind tables of tensors, against qsort. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "order.h"

enum { most = 500 };

static char texts[most][24];
static struct qk_named names[most], expected[most];

static int by_name_then_index(const void *a, const void *b)
{
    const struct qk_named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* kind 0 random with many equal names, 1 ascending, 2 descending, 3 runs, 4 all equal */
static uint64_t key(struct qk_rng *rng, size_t kind, size_t i, size_t n)
{
    const uint64_t kinds[] = {qk_rng_below(rng, n), i, n - i, i * 7 % n, 5};
    return kinds[kind];
}

static void test_names(void **state)
{
    (void)state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 3);
    for (size_t n = 1; n <= most; n = n * 3 / 2 + 1) {
        for (size_t kind = 0; kind < 5; kind++) {
            for (size_t i = 0; i < n; i++) {
                snprintf(texts[i], sizeof texts[i], "%llu.weight", (unsigned long long)key(&rng, kind, i, n));
                names[i] = expected[i] = (struct qk_named){texts[i], i};
            }
            qsort(expected, n, sizeof expected[0], by_name_then_index);
            assert_int_equal(qk_order_names(names, n, NULL), QK_OK);
            assert_memory_equal(names, expected, n * sizeof names[0]);
        }
    }
    assert_int_equal(qk_order_names(names, 0, NULL), QK_OK);
}

static void test_extents(void **state)
{
    (void)state;
    struct qk_extent v[] = {{8, 12, 0}, {8, 8, 1}, {0, 8, 2}, {0, 0, 3}, {UINT64_MAX, UINT64_MAX, 4}, {8, 8, 5}};
    assert_int_equal(qk_order_extents(v, sizeof v / sizeof v[0], NULL), QK_OK);
    const size_t order[] = {3, 2, 1, 5, 0, 4};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        assert_int_equal(v[i].index, order[i]);
    }
}

static void test_out_of_memory_leaves_the_input(void **state)
{
    (void)state;
    struct qk_named v[] = {{"b", 0}, {"a", 1}};
    struct qk_err err = {0};
    for (size_t k = 1; k <= 2; k++) {
        qk_alloc_fail_after(k);
        enum qk_code code = qk_order_names(v, 2, &err);
        qk_alloc_fail_after(0);
        assert_int_equal(code, QK_ENOMEM);
        assert_int_equal(v[0].index, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_out_of_memory_leaves_the_input),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
