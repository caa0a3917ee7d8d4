/* The parallel-for: every item once, first failure reported, reuse, interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"

enum { N = 5000 };

struct counts {
    _Atomic unsigned seen[N];
    _Atomic unsigned workers;
    size_t size;
    size_t fail_from;
};

static enum qk_code count_item(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    struct counts *c = ctx;
    if (worker >= c->size) {
        return qk_fail(err, QK_EINTERNAL, "worker out of range");
    }
    atomic_fetch_add(&c->seen[i], 1);
    if (i >= c->fail_from) {
        return qk_fail(err, QK_EFORMAT, "item %zu", i);
    }
    return QK_OK;
}

static void every_item_runs_once(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 9; threads += 4) {
        struct qk_pool *pool;
        assert_int_equal(qk_pool_new(threads, &pool, NULL), QK_OK);
        assert_int_equal(qk_pool_size(pool), threads);
        for (size_t n = 0; n <= N; n = n * 3 + 1) {
            static struct counts c;
            memset(&c, 0, sizeof c);
            c.size = threads;
            c.fail_from = SIZE_MAX;
            assert_int_equal(qk_pool_for(pool, n, count_item, &c, NULL), QK_OK);
            for (size_t i = 0; i < N; i++) {
                assert_int_equal(c.seen[i], i < n);
            }
        }
        qk_pool_free(pool);
    }
}

static void the_first_failing_item_is_reported(void **state)
{
    (void)state;
    struct qk_pool *pool;
    assert_int_equal(qk_pool_new(4, &pool, NULL), QK_OK);
    for (int round = 0; round < 200; round++) {
        static struct counts c;
        memset(&c, 0, sizeof c);
        c.size = 4;
        c.fail_from = 100;
        struct qk_err err = {0};
        assert_int_equal(qk_pool_for(pool, N, count_item, &c, &err), QK_EFORMAT);
        assert_string_equal(err.text, "item 100");
        size_t seen = 0;
        for (size_t i = 0; i < N; i++) {
            seen += c.seen[i];
        }
        assert_true(seen >= 101 && seen <= 104);
        c.fail_from = SIZE_MAX;
        assert_int_equal(qk_pool_for(pool, 50, count_item, &c, NULL), QK_OK);
    }
    qk_pool_free(pool);
    qk_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_runs_once),
                                       cmocka_unit_test(the_first_failing_item_is_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
