/* Sizes of a diagnosis: they grow, the largest that fits is taken, lists of lengths are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "diagnose_sizes.h"

static const char *const names[] = {"xs", "s", "m", "l", "xl"};
enum { N = sizeof names / sizeof names[0] };

static void sizes_grow(void **state)
{
    (void)state;
    assert_int_equal(qk_diagnose_n_sizes(), N);
    for (size_t i = 0; i < N; i++) {
        const struct qk_diagnose_size *size = qk_diagnose_size_find(names[i]);
        assert_non_null(size);
        double tokens = qk_diagnose_size_tokens(size, 0.0);
        assert_true(tokens > 0.0);
        assert_true(qk_diagnose_size_tokens(size, 1e5) > tokens);
        assert_true(i == 0 || tokens > qk_diagnose_size_tokens(qk_diagnose_size_find(names[i - 1]), 0.0));
        assert_ptr_equal(qk_diagnose_size_within(tokens, 0.0), size);
        assert_ptr_equal(qk_diagnose_size_within(tokens * 1.01, 0.0), size);
        assert_ptr_equal(qk_diagnose_size_within(tokens * 0.99, 0.0), qk_diagnose_size_find(names[i == 0 ? 0 : i - 1]));
    }
    assert_null(qk_diagnose_size_find("auto"));
}

static void lengths_are_cut_but_never_all(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    assert_non_null(arena);
    const struct {
        const char *lengths;
        size_t longest;
        const char *kept;
    } rows[] = {
        {"512,1k,2k", 2048, "512,1k,2k"}, {"512,1k,2k", 2047, "512,1k"}, {"512,1k,2k", 100, "512"},
        {"512,1k,2k", 0, "512,1k,2k"},    {"4k,512", 1000, "512"},       {"1m", 1048576, "1m"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(qk_diagnose_lengths_within(rows[i].lengths, rows[i].longest, arena), rows[i].kept);
    }
    qk_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_grow), cmocka_unit_test(lengths_are_cut_but_never_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
