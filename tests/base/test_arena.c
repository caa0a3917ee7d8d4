/* Arena: alignment, zeroing, large blocks, failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"

static void blocks_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    assert_non_null(arena);
    unsigned char *last = NULL;
    for (size_t n = 1; n < 3000; n += 7) {
        unsigned char *p = qk_arena_alloc(arena, n, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (3 * n >= 64 ? 64 : 16), 0);
        for (size_t i = 0; i < 3 * n; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xa5, 3 * n);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    assert_non_null(qk_arena_alloc(arena, 50u << 20, 1));
    assert_non_null(qk_arena_alloc(arena, 0, 8));
    assert_null(qk_arena_alloc(arena, SIZE_MAX, 2));
    assert_null(qk_arena_alloc(arena, SIZE_MAX - 10, 1));
    assert_string_equal(qk_arena_printf(arena, "%s-%d", "x", 5), "x-5");
    assert_string_equal(qk_arena_strndup(arena, "abcdef", 3), "abc");
    qk_arena_free(arena);
    qk_arena_free(NULL);
}

static void failure_is_null(void **state)
{
    (void)state;
    for (size_t k = 1; k < 5; k++) {
        qk_alloc_fail_after(k);
        struct qk_arena *arena = qk_arena_new();
        void *p = arena == NULL ? NULL : qk_arena_alloc(arena, 100, 1);
        assert_true(p == NULL ? k <= 3 : k > 3);
        qk_alloc_fail_after(0);
        qk_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_aligned_zeroed_and_apart),
                                       cmocka_unit_test(failure_is_null)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
