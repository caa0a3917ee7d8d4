/* Rows of heads merged into ranges per tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "row_ranges.h"

static const struct qk_tensor first = {.name = "first", .n_dims = 2, .shape = {1024, 64}, .n_elements = 1024 * 64};
static const struct qk_tensor second = {.name = "second", .n_dims = 2, .shape = {512, 64}, .n_elements = 512 * 64};

static struct qk_row_ranges *ranges_of(const struct qk_layer *layer, enum qk_role role, enum qk_part_rows which,
                                       struct qk_arena *arena, size_t *n)
{
    struct qk_row_ranges *sets = NULL;
    struct qk_err err = {0};
    assert_int_equal(qk_row_ranges(layer, role, which, arena, &sets, n, &err), QK_OK);
    return sets;
}

static void expect(const struct qk_row_ranges *set, const struct qk_tensor *tensor, size_t n, const uint64_t *pairs)
{
    assert_ptr_equal(set->tensor, tensor);
    assert_int_equal(set->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(set->ranges[i].first, pairs[2 * i]);
        assert_int_equal(set->ranges[i].end, pairs[2 * i + 1]);
    }
}

/* Separate projections: all heads touch, one range. Gated ones: a block per head. */
static void test_plain_and_gated(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    struct qk_head_part q[4] = {{.rows = {&first, 384, 128, false}},
                                {.rows = {&first, 0, 128, false}},
                                {.rows = {&first, 128, 128, false}},
                                {.rows = {&first, 256, 128, false}}};
    struct qk_head_part k[2] = {{.rows = {&second, 0, 128, false}}, {.rows = {&second, 256, 128, false}}};
    struct qk_layer layer = {.n_heads = 4, .n_kv_heads = 2, .n_q_parts = 1, .n_k_parts = 1, .q = q, .k = k};
    size_t n;
    struct qk_row_ranges *sets = ranges_of(&layer, QK_ROLE_Q, QK_PART_OWN, arena, &n);
    assert_int_equal(n, 1);
    expect(&sets[0], &first, 1, (const uint64_t[]){0, 512});
    sets = ranges_of(&layer, QK_ROLE_K, QK_PART_OWN, arena, &n);
    assert_int_equal(n, 1);
    expect(&sets[0], &second, 2, (const uint64_t[]){0, 128, 256, 384});
    ranges_of(&layer, QK_ROLE_K, QK_PART_INNER, arena, &n);
    assert_int_equal(n, 0);
    qk_arena_free(arena);
}

/* Latent attention: each key head has rows of its own, and all share the rotary rows of another tensor. */
static void test_shared_rows(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    const struct qk_rows shared = {&second, 448, 64, false}, inner = {&second, 0, 448, false};
    struct qk_head_part k[4] = {{.rows = {&first, 0, 128, false}, .inner = inner},
                                {.rows = shared},
                                {.rows = {&first, 256, 128, false}, .inner = inner},
                                {.rows = shared}};
    struct qk_layer layer = {.n_heads = 2, .n_kv_heads = 2, .n_q_parts = 0, .n_k_parts = 2, .k = k};
    size_t n;
    struct qk_row_ranges *sets = ranges_of(&layer, QK_ROLE_K, QK_PART_OWN, arena, &n);
    assert_int_equal(n, 2);
    expect(&sets[0], &first, 2, (const uint64_t[]){0, 128, 256, 384});
    expect(&sets[1], &second, 1, (const uint64_t[]){448, 512});
    sets = ranges_of(&layer, QK_ROLE_K, QK_PART_INNER, arena, &n);
    assert_int_equal(n, 1);
    expect(&sets[0], &second, 1, (const uint64_t[]){0, 448});
    ranges_of(&layer, QK_ROLE_Q, QK_PART_OWN, arena, &n);
    assert_int_equal(n, 0);
    qk_arena_free(arena);
}

static void test_logical_rows(void **state)
{
    (void)state;
    const struct qk_tensor vector = {.n_dims = 1, .shape = {7}, .n_elements = 7};
    const struct qk_tensor scalar = {.n_dims = 0, .n_elements = 1};
    const struct qk_tensor cube = {.n_dims = 3, .shape = {4, 5, 6}, .n_elements = 120};
    const struct qk_tensor empty = {.n_dims = 2, .shape = {4, 0}, .n_elements = 0};
    assert_int_equal(qk_logical_rows(&vector, false), 7);
    assert_int_equal(qk_logical_rows(&scalar, false), 1);
    assert_int_equal(qk_logical_rows(&cube, false), 20);
    assert_int_equal(qk_logical_rows(&empty, false), 0);
    assert_int_equal(qk_logical_rows(&first, true), 64);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct qk_head_part q[1] = {{.rows = {&first, 0, 128, false}}};
    struct qk_layer layer = {.n_heads = 1, .n_kv_heads = 1, .n_q_parts = 1, .n_k_parts = 1, .q = q, .k = q};
    struct qk_arena *arena = qk_arena_new();
    struct qk_row_ranges *sets;
    struct qk_err err = {0};
    size_t n;
    qk_alloc_fail_after(1);
    enum qk_code code = qk_row_ranges(&layer, QK_ROLE_Q, QK_PART_OWN, arena, &sets, &n, &err);
    qk_alloc_fail_after(0);
    assert_int_equal(code, QK_ENOMEM);
    qk_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_gated),
        cmocka_unit_test(test_shared_rows),
        cmocka_unit_test(test_logical_rows),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
