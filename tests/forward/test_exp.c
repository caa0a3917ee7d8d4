/* The exponential against that of double precision, over every float in its range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "forward/kernels.h"
#include "samples.h"

enum { BATCH = 4096 };

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The largest relative error of qk_exp over the floats with bits in [first, last]. */
static double most_exp_error(uint32_t first, uint32_t last)
{
    static float x[BATCH], y[BATCH];
    double most = 0;
    for (uint32_t at = first; at <= last;) {
        size_t n = 0;
        for (; n < BATCH && at <= last; n++, at++) {
            x[n] = y[n] = of_bits(at);
        }
        qk_exp(n, y);
        for (size_t i = 0; i < n; i++) {
            double want = exp((double)x[i]);
            double error = fabs((double)y[i] - want) / want;
            most = error <= most ? most : error; /* a NaN wins */
        }
    }
    return most;
}

/* Whether qk_exp gives exactly 1 for all floats with bits in [first, last]. */
static int exp_is_one(uint32_t first, uint32_t last)
{
    static float x[BATCH];
    int ones = 1;
    for (uint32_t at = first; at <= last;) {
        size_t n = 0;
        for (; n < BATCH && at <= last; n++, at++) {
            x[n] = of_bits(at);
        }
        qk_exp(n, x);
        for (size_t i = 0; i < n; i++) {
            ones &= x[i] == 1;
        }
    }
    return ones;
}

/* Every float in [−87, 88]; below 2^-26 the float nearest to e^x is 1, which needs no exponential in double to check.
 */
static void test_exp_is_exact_enough(void **state)
{
    (void)state;
    uint32_t tiny = bits_of(0x1p-26f), minus = 0x80000000u;
    assert_true(most_exp_error(tiny, bits_of(88.0f)) <= 0x1p-22);
    assert_true(most_exp_error(tiny | minus, bits_of(-87.0f)) <= 0x1p-22);
    assert_true(exp_is_one(0, tiny - 1));
    assert_true(exp_is_one(minus, (tiny - 1) | minus));
}

static void test_exp_beyond_its_range(void **state)
{
    (void)state;
    float x[] = {
        nextafterf(-87, -100), -88, -1e30f, -INFINITY, nextafterf(88, 100), 89, 1e30f, INFINITY, NAN, 0, -0.0f};
    qk_exp(sizeof x / sizeof *x, x);
    for (size_t i = 0; i < 4; i++) {
        assert_true(x[i] == 0 && x[i + 4] == INFINITY);
    }
    assert_true(isnan(x[8]) && x[9] == 1 && x[10] == 1);
}

/* The value must not depend on where an element stands: vectors and their remainder are the same function. */
static void test_exp_position(void **state)
{
    (void)state;
    float *x = uniform_floats(67, 3, -87, 88);
    for (size_t n = 0; n <= 67; n++) {
        float *y = copy_floats(67, x);
        qk_exp(n, y);
        for (size_t i = 0; i < 67; i++) {
            float one = x[i];
            qk_exp(1, &one);
            assert_true(y[i] == (i < n ? one : x[i]));
        }
        qk_free(y);
    }
    qk_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_exact_enough),
        cmocka_unit_test(test_exp_beyond_its_range),
        cmocka_unit_test(test_exp_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
