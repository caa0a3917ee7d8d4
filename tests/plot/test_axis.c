/* Ranges and statistics of figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "axis.h"

static struct qk_range range_of(const double *v, size_t n, bool want_log)
{
    struct qk_range range = {0};
    for (size_t i = 0; i < n; i++) {
        qk_range_add(&range, v[i]);
    }
    qk_range_finish(&range, want_log);
    return range;
}

static void linear_ranges_start_at_zero_and_hold_the_data(void **state)
{
    (void)state;
    const double v[] = {0.05, 0.2, 0.41};
    struct qk_range range = range_of(v, 3, false);
    assert_false(range.log);
    assert_true(range.lo == 0);
    assert_true(range.hi > 0.41 && range.hi <= 0.6);
}

static void more_than_two_decades_are_logarithmic(void **state)
{
    (void)state;
    const double v[] = {1e-5, 0, 0.3};
    struct qk_range range = range_of(v, 3, false);
    assert_true(range.log);
    assert_true(range.lo > 0 && range.lo < 1e-5 && range.hi > 0.3);
    assert_int_equal(range.n, 2);
    assert_int_equal(range.n_zero, 1);
}

static void exactly_two_decades_are_not(void **state)
{
    (void)state;
    const double v[] = {0.01, 1};
    assert_false(range_of(v, 2, false).log);
}

static void a_narrow_range_far_from_zero_is_not_flattened(void **state)
{
    (void)state;
    const double v[] = {0.90, 0.95};
    struct qk_range range = range_of(v, 2, false);
    assert_true(range.lo > 0.8 && range.lo <= 0.90 && range.hi >= 0.95 && range.hi < 1.05);
}

static void one_value_and_none_give_axes_too(void **state)
{
    (void)state;
    const double one[] = {0.3}, bad[] = {NAN, INFINITY, -1};
    struct qk_range range = range_of(one, 1, false);
    assert_true(range.lo < 0.3 && range.hi > 0.3);
    range = range_of(bad, 3, false);
    assert_true(range.n == 0 && range.lo == 0 && range.hi == 1);
    range = range_of(one, 1, true);
    assert_true(range.log && range.lo < 0.3 && range.hi > 0.3);
}

static void zeros_lift_only_linear_axes(void **state)
{
    (void)state;
    const double v[] = {0, 0.1, 0.2}, w[] = {0, 1e-6, 1};
    struct qk_range range = range_of(v, 3, false);
    qk_range_lift_zero(&range);
    assert_true(range.lo < 0);
    range = range_of(w, 3, false);
    qk_range_lift_zero(&range);
    assert_true(range.lo > 0);
}

static void spread_leaves_out_what_is_not_finite(void **state)
{
    (void)state;
    double v[] = {NAN, 4, 1, INFINITY, 3, 2, 5};
    struct qk_spread s;
    assert_true(qk_spread_of(v, 7, &s));
    assert_int_equal(s.n, 5);
    assert_true(s.min == 1 && s.q25 == 2 && s.median == 3 && s.q75 == 4 && s.max == 5);
    double even[] = {1, 2, 3, 4};
    assert_true(qk_spread_of(even, 4, &s) && s.median == 2.5);
    double none[] = {NAN, NAN};
    assert_false(qk_spread_of(none, 2, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_ranges_start_at_zero_and_hold_the_data),
        cmocka_unit_test(more_than_two_decades_are_logarithmic),
        cmocka_unit_test(exactly_two_decades_are_not),
        cmocka_unit_test(a_narrow_range_far_from_zero_is_not_flattened),
        cmocka_unit_test(one_value_and_none_give_axes_too),
        cmocka_unit_test(zeros_lift_only_linear_axes),
        cmocka_unit_test(spread_leaves_out_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
