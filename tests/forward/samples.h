/* Random operands, pools and comparison for the kernel tests. */
#ifndef QK_TESTS_FORWARD_SAMPLES_H
#define QK_TESTS_FORWARD_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"

/* Half the spacing of floats at 1: the relative error of one rounding. */
#define UNIT (1.0 / 16777216.0)

/* All of these are released with qk_free and fail the test when out of memory. */
float *zero_floats(size_t n);
double *zero_doubles(size_t n);
/* Standard normal times size. */
float *normal_floats(size_t n, uint64_t seed, double size);
/* Uniform in [low, high). */
float *uniform_floats(size_t n, uint64_t seed, double low, double high);
float *copy_floats(size_t n, const float *x);

struct qk_pool *pool_of(size_t n_threads);

/* Fails the test with what, index and both values unless |x − want| ≤ bound for all n. NaN anywhere fails. */
void expect_close(const char *what, size_t n, const float *x, const double *want, double bound);
double most_of(size_t n, const float *x); /* max |x| */

#endif
