/* Element-wise pieces against double precision: tanh, activations, norms, rotary embedding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention_softmax.h"
#include "base/alloc.h"
#include "forward/kernels.h"
#include "samples.h"

/* e / (e + 2), e = e^{−2|x|} − 1: three roundings and the exponential's. */
static void test_softcap(void **state)
{
    (void)state;
    enum { N = 200001 };
    static float x[N], y[N];
    for (size_t i = 0; i < N; i++) {
        double u = ((double)i - N / 2) / (N / 2);
        x[i] = y[i] = (float)(1000 * u * u * u * u * u);
    }
    qk_softcap(N, y, 30);
    for (size_t i = 0; i < N; i++) {
        double want = 30 * tanh((double)x[i] / 30);
        assert_true(fabs((double)y[i] - want) <= 10 * UNIT * fabs(want));
    }
    float special[] = {INFINITY, -INFINITY, NAN};
    qk_softcap(3, special, 30);
    assert_true(special[0] == 30 && special[1] == -30 && isnan(special[2]));
}

static double value_none(double x)
{
    return x;
}
static double value_silu(double x)
{
    return x / (1 + exp(-x));
}
static double value_gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2.0));
}
static double value_gelu_tanh(double x)
{
    return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))); /* = ½x (1 + tanh …) */
}
static double value_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double value_relu(double x)
{
    return x > 0 ? x : 0;
}
static double value_relu2(double x)
{
    return x > 0 ? x * x : 0;
}

static const struct {
    enum qk_activation act;
    double (*value)(double x);
} activations[] = {
    {QK_ACT_NONE, value_none},           {QK_ACT_SILU, value_silu},       {QK_ACT_GELU, value_gelu},
    {QK_ACT_GELU_TANH, value_gelu_tanh}, {QK_ACT_SIGMOID, value_sigmoid}, {QK_ACT_RELU, value_relu},
    {QK_ACT_RELU2, value_relu2},
};

/* Relative error, also where a function all but vanishes: that of the exponential and the quotient, and an exponent E
 * (x, x²/2 or 1.6 (x + 0.045 x³)) rounded a few times costs |E| u each. Below e^−87 the result is 0. */
static void test_activations(void **state)
{
    (void)state;
    enum { N = 4001 };
    float *y = uniform_floats(N, 2, -3, 3);
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        float *x = uniform_floats(N, 1, -30, 30);
        for (size_t i = 0; i < 200; i++) {
            x[i] *= 1e-3f;
        }
        float *plain = copy_floats(N, x), *times = copy_floats(N, x);
        qk_activate(activations[a].act, N, plain);
        qk_activate_mul(activations[a].act, N, times, y);
        for (size_t i = 0; i < N; i++) {
            double want = activations[a].value((double)x[i]), wide = fabs((double)x[i]);
            double exponent = wide + wide * wide / 2 + 0.08 * wide * wide * wide;
            double bound = UNIT * (10 + 3 * exponent) * fabs(want) + 1e-37 * wide;
            if (!(fabs((double)plain[i] - want) <= bound)) {
                fail_msg("activation %zu of %.9g: %.9g (expected %.9g)", a, (double)x[i], (double)plain[i], want);
            }
            assert_true(fabs((double)times[i] - want * (double)y[i]) <=
                        (bound + UNIT * fabs(want)) * fabs((double)y[i]));
        }
        qk_free(x);
        qk_free(plain);
        qk_free(times);
    }
    qk_free(y);
    float far[] = {-1000, 1000, NAN};
    qk_activate(QK_ACT_SILU, 3, far);
    assert_true(far[0] == 0 && far[1] == 1000 && isnan(far[2]));
}

struct norm_case {
    size_t rows, n, group;
    int weight, per_group;
    double eps, size;
};

static void check_rms(const struct norm_case *c)
{
    float *x = normal_floats(c->rows * c->n, 5, c->size), *w = normal_floats(c->n, 6, 1);
    float *y = zero_floats(c->rows * c->n), *in_place = copy_floats(c->rows * c->n, x);
    qk_rms_norm(c->rows, c->n, c->group, x, c->weight ? w : NULL, c->per_group, c->eps, y);
    qk_rms_norm(c->rows, c->n, c->group, in_place, c->weight ? w : NULL, c->per_group, c->eps, in_place);
    assert_memory_equal(y, in_place, c->rows * c->n * sizeof *y);
    for (size_t at = 0; at < c->rows * c->n; at += c->group) {
        double sum = 0;
        for (size_t i = 0; i < c->group; i++) {
            sum += (double)x[at + i] * (double)x[at + i];
        }
        double factor = 1 / sqrt(sum / (double)c->group + c->eps);
        for (size_t i = 0; i < c->group; i++) {
            double weight = !c->weight ? 1 : (double)w[c->per_group ? i : (at + i) % c->n];
            double want = (double)x[at + i] * factor * weight;
            assert_true(fabs((double)y[at + i] - want) <= 1.01 * UNIT * fabs(want)); /* one rounding, at the end */
        }
    }
    qk_free(x);
    qk_free(w);
    qk_free(y);
    qk_free(in_place);
}

static void test_rms_norm(void **state)
{
    (void)state;
    static const struct norm_case cases[] = {
        {3, 1, 1, 1, 0, 1e-6, 1},     {3, 17, 17, 0, 0, 1e-6, 1},        {2, 64, 16, 1, 0, 1e-6, 1},
        {2, 60, 20, 1, 1, 1e-5, 100}, {1, 4096, 4096, 1, 0, 1e-6, 1e-4}, {2, 33, 33, 1, 0, 1e-6, 1e15},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_rms(&cases[i]);
    }
    float zeros[4] = {0};
    qk_rms_norm(1, 4, 4, zeros, NULL, 0, 1e-6, zeros);
    assert_true(zeros[0] == 0 && zeros[3] == 0);
}

/* A mean far from 0 is where a formula by squares would cancel. */
static void test_layer_norm(void **state)
{
    (void)state;
    enum { ROWS = 3, N = 77 };
    float *x = uniform_floats(ROWS * N, 5, 999, 1001), *w = normal_floats(N, 6, 1), *b = normal_floats(N, 7, 1);
    float *y = zero_floats(ROWS * N), *plain = zero_floats(ROWS * N);
    qk_layer_norm_rows(ROWS, N, x, w, b, 1e-5, y);
    qk_layer_norm_rows(ROWS, N, x, w, NULL, 1e-5, plain);
    for (size_t r = 0; r < ROWS; r++) {
        double mean = 0, var = 0;
        for (size_t i = 0; i < N; i++) {
            mean += (double)x[r * N + i] / N;
        }
        for (size_t i = 0; i < N; i++) {
            var += ((double)x[r * N + i] - mean) * ((double)x[r * N + i] - mean) / N;
        }
        for (size_t i = 0; i < N; i++) {
            double want = ((double)x[r * N + i] - mean) / sqrt(var + 1e-5) * (double)w[i];
            assert_true(fabs((double)plain[r * N + i] - want) <= 1.01 * UNIT * fabs(want) + 1e-11);
            want += (double)b[i];
            assert_true(fabs((double)y[r * N + i] - want) <= 1.01 * UNIT * fabs(want) + 1e-11);
        }
    }
    qk_free(x);
    qk_free(w);
    qk_free(b);
    qk_free(y);
    qk_free(plain);
}

static void test_l2_norm(void **state)
{
    (void)state;
    float *x = normal_floats(60, 5, 3), *y = copy_floats(60, x);
    qk_l2_norm(2, 30, 10, y, 1e-6);
    for (size_t at = 0; at < 60; at += 10) {
        double sum = 0;
        for (size_t i = 0; i < 10; i++) {
            sum += (double)x[at + i] * (double)x[at + i];
        }
        for (size_t i = 0; i < 10; i++) {
            double want = (double)x[at + i] / sqrt(sum + 1e-6);
            assert_true(fabs((double)y[at + i] - want) <= 1.01 * UNIT * fabs(want));
        }
    }
    qk_free(x);
    qk_free(y);
}

static void check_rope(size_t n_pairs, size_t first, int interleaved, size_t first_position)
{
    enum { TOKENS = 3, HEADS = 2 };
    size_t dim = first + 2 * n_pairs + 3, n = TOKENS * HEADS * dim;
    float *x = normal_floats(n, 9, 1), *y = copy_floats(n, x);
    double *freq = zero_doubles(n_pairs), *want = zero_doubles(n);
    for (size_t p = 0; p < n_pairs; p++) {
        freq[p] = pow(1e6, -(double)p / (double)n_pairs);
    }
    for (size_t i = 0; i < n; i++) {
        want[i] = (double)x[i];
    }
    for (size_t row = 0; row < TOKENS * HEADS; row++) {
        for (size_t p = 0; p < n_pairs; p++) {
            double angle = (double)(first_position + row / HEADS) * freq[p];
            size_t i = row * dim + first + (interleaved ? 2 * p : p), j = i + (interleaved ? 1 : n_pairs);
            want[i] = 1.25 * (cos(angle) * (double)x[i] - sin(angle) * (double)x[j]);
            want[j] = 1.25 * (cos(angle) * (double)x[j] + sin(angle) * (double)x[i]);
        }
    }
    qk_rope(TOKENS, HEADS, dim, first, n_pairs, freq, 1.25, interleaved, first_position, y);
    expect_close("rope", n, y, want, 4 * UNIT * 1.25 * 2 * most_of(n, x));
    for (size_t i = 0; i < n; i++) {
        size_t d = i % dim;
        assert_true((d >= first && d < first + 2 * n_pairs) || y[i] == x[i]);
    }
    qk_free(x);
    qk_free(y);
    qk_free(freq);
    qk_free(want);
}

static void test_rope(void **state)
{
    (void)state;
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        check_rope(64, 0, interleaved, 0);
        check_rope(1, 5, interleaved, 100000);
        check_rope(0, 2, interleaved, 1);
        check_rope(150, 3, interleaved, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softcap),    cmocka_unit_test(test_activations), cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_l2_norm),     cmocka_unit_test(test_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
