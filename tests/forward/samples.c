/* Random operands, pools and comparison for the kernel tests. */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

float *zero_floats(size_t n)
{
    float *x = qk_calloc(n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

double *zero_doubles(size_t n)
{
    double *x = qk_calloc(n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

float *normal_floats(size_t n, uint64_t seed, double size)
{
    struct qk_rng rng;
    float *x = zero_floats(n);
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(size * qk_rng_normal(&rng));
    }
    return x;
}

float *uniform_floats(size_t n, uint64_t seed, double low, double high)
{
    struct qk_rng rng;
    float *x = zero_floats(n);
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(low + (high - low) * qk_rng_uniform(&rng));
    }
    return x;
}

float *copy_floats(size_t n, const float *x)
{
    float *y = zero_floats(n);
    memcpy(y, x, n * sizeof *x);
    return y;
}

struct qk_pool *pool_of(size_t n_threads)
{
    struct qk_pool *pool = NULL;
    struct qk_err err = {0};
    assert_int_equal(qk_pool_new(n_threads, &pool, &err), QK_OK);
    return pool;
}

void expect_close(const char *what, size_t n, const float *x, const double *want, double bound)
{
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)x[i] - want[i]);
        if (!(error <= bound)) {
            fail_msg("%s: element %zu of %zu is %.9g (expected %.9g within %.3g)", what, i, n, (double)x[i], want[i],
                     bound);
        }
    }
}

double most_of(size_t n, const float *x)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
    }
    return most;
}
