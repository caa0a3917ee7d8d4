/* Short and dynamic convolutions and the selective scan against plain loops in double, whole and split anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "forward/linear_mixer.h"
#include "samples.h"

struct convolution {
    size_t n_tokens, n_channels, width;
    int dynamic, activate;
    float *x, *weight, *bias, *past, *state, *y;
    double *want, *want_state;
};

static double input(const struct convolution *c, long t, size_t channel)
{
    if (t >= 0) {
        return (double)c->x[(size_t)t * c->n_channels + channel];
    }
    return (double)c->past[channel * (c->width - 1) + (size_t)((long)c->width - 1 + t)];
}

static void reference(struct convolution *c)
{
    for (size_t t = 0; t < c->n_tokens; t++) {
        for (size_t ch = 0; ch < c->n_channels; ch++) {
            size_t at = t * c->n_channels + ch;
            const float *taps = c->weight + (c->dynamic ? at : ch) * c->width;
            double sum = c->bias == NULL ? 0 : (double)c->bias[ch];
            for (size_t w = 0; w < c->width; w++) {
                sum += (double)taps[w] * input(c, (long)t - (long)(c->width - 1 - w), ch);
            }
            c->want[at] = c->activate ? sum / (1 + exp(-sum)) : sum;
        }
    }
    for (size_t ch = 0; ch < c->n_channels; ch++) {
        for (size_t j = 0; j + 1 < c->width; j++) {
            long t = (long)c->n_tokens - (long)(c->width - 1 - j);
            c->want_state[ch * (c->width - 1) + j] = input(c, t, ch);
        }
    }
}

static struct convolution convolution_of(size_t n_tokens, size_t n_channels, size_t width, int dynamic, int activate,
                                         int bias)
{
    struct convolution c = {.n_tokens = n_tokens, .n_channels = n_channels, .width = width};
    c.dynamic = dynamic;
    c.activate = activate;
    c.x = normal_floats(n_tokens * n_channels, 1, 1);
    c.weight = normal_floats((dynamic ? n_tokens : 1) * n_channels * width, 2, 1);
    c.bias = bias ? normal_floats(n_channels, 3, 1) : NULL;
    c.past = normal_floats(n_channels * (width - 1), 4, 1);
    c.state = zero_floats(n_channels * (width - 1));
    c.y = zero_floats(n_tokens * n_channels);
    c.want = zero_doubles(n_tokens * n_channels);
    c.want_state = zero_doubles(n_channels * (width - 1));
    reference(&c);
    return c;
}

static void release(struct convolution *c)
{
    float *floats[] = {c->x, c->weight, c->bias, c->past, c->state, c->y};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        qk_free(floats[i]);
    }
    qk_free(c->want);
    qk_free(c->want_state);
}

static void run_part(const struct convolution *c, size_t from, size_t to)
{
    const float *x = c->x + from * c->n_channels;
    float *y = c->y + from * c->n_channels;
    if (c->dynamic) {
        qk_dynamic_conv(to - from, c->n_channels, c->width, x, c->weight + from * c->n_channels * c->width, c->activate,
                        c->state, y);
    } else {
        qk_short_conv(to - from, c->n_channels, c->width, x, c->weight, c->bias, c->activate, c->state, y);
    }
}

/* width products and sums, and the activation's handful of roundings. The state holds inputs: no rounding at all. */
static void check_split(const struct convolution *c, size_t split)
{
    size_t n = c->n_tokens * c->n_channels, n_state = c->n_channels * (c->width - 1);
    memcpy(c->state, c->past, n_state * sizeof *c->state);
    memset(c->y, 0xff, n * sizeof *c->y);
    run_part(c, 0, split);
    run_part(c, split, c->n_tokens);
    double size = most_of(n, c->x) * most_of((c->dynamic ? n : c->n_channels) * c->width, c->weight);
    expect_close("convolution", n, c->y, c->want, UNIT * (double)(2 * c->width + 12) * ((double)c->width * size + 4));
    expect_close("remembered inputs", n_state, c->state, c->want_state, 0);
}

static void test_convolutions(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 4, 7};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (int kind = 0; kind < 8; kind++) {
            struct convolution c = convolution_of(11, 5, widths[i], kind & 1, kind >> 1 & 1, (kind >> 2) & !(kind & 1));
            for (size_t split = 0; split <= c.n_tokens; split++) {
                check_split(&c, split);
            }
            release(&c);
        }
    }
}

/* Borders of the blocks of tokens and channels. */
static void test_large_convolutions(void **state)
{
    (void)state;
    static const size_t sizes[] = {127, 128, 129, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct convolution c = convolution_of(sizes[i], sizes[3 - i], 4, 0, 1, 1);
        check_split(&c, 0);
        check_split(&c, 129 < sizes[i] ? 129 : 1);
        release(&c);
    }
}

struct scan {
    size_t n_tokens, n_channels, n_state;
    float *x, *dt, *b, *c, *d, *state, *y;
    double *a, *want, *want_state;
};

static struct scan scan_of(size_t n_tokens, size_t n_channels, size_t n_state, double largest_step)
{
    struct scan s = {.n_tokens = n_tokens, .n_channels = n_channels, .n_state = n_state};
    s.x = normal_floats(n_tokens * n_channels, 1, 1);
    s.dt = uniform_floats(n_tokens * n_channels, 2, 0, largest_step);
    s.b = normal_floats(n_tokens * n_state, 3, 1);
    s.c = normal_floats(n_tokens * n_state, 4, 1);
    s.d = normal_floats(n_channels, 5, 1);
    s.state = zero_floats(n_channels * n_state);
    s.y = zero_floats(n_tokens * n_channels);
    s.a = zero_doubles(n_channels * n_state);
    s.want = zero_doubles(n_tokens * n_channels);
    s.want_state = zero_doubles(n_channels * n_state);
    for (size_t i = 0; i < n_channels * n_state; i++) {
        s.a[i] = -(double)(i % n_state + 1);
    }
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t ch = 0; ch < n_channels; ch++) {
            double dt = (double)s.dt[t * n_channels + ch], x = (double)s.x[t * n_channels + ch], sum = 0;
            for (size_t n = 0; n < n_state; n++) {
                double *h = &s.want_state[ch * n_state + n];
                *h = exp(dt * s.a[ch * n_state + n]) * *h + dt * (double)s.b[t * n_state + n] * x;
                sum += (double)s.c[t * n_state + n] * *h;
            }
            s.want[t * n_channels + ch] = sum + (double)s.d[ch] * x;
        }
    }
    return s;
}

static void release_scan(struct scan *s)
{
    float *floats[] = {s->x, s->dt, s->b, s->c, s->d, s->state, s->y};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        qk_free(floats[i]);
    }
    qk_free(s->a);
    qk_free(s->want);
    qk_free(s->want_state);
}

static void scan_part(const struct scan *s, size_t from, size_t to, struct qk_pool *pool)
{
    struct qk_err err = {0};
    assert_int_equal(qk_selective_scan(to - from, s->n_channels, s->n_state, s->x + from * s->n_channels,
                                       s->dt + from * s->n_channels, s->a, s->b + from * s->n_state,
                                       s->c + from * s->n_state, s->d, s->state, s->y + from * s->n_channels, pool,
                                       &err),
                     QK_OK);
}

/* A state that forgets: e^{Δa} is off by (4 + |Δa|) u, and |Δa| e^{Δa} < 1, so each token adds at most 8 u of the
 * largest state; over the tokens it remembers (1 / (1 − e^{Δa}), all of them at worst) the errors add up. */
static void check_scan(const struct scan *s)
{
    double largest = 0;
    for (size_t i = 0; i < s->n_channels * s->n_state; i++) {
        largest = fmax(largest, fabs(s->want_state[i]));
    }
    double bound = UNIT * 8 * (double)(s->n_tokens + 1) * (1 + largest);
    expect_close("state", s->n_channels * s->n_state, s->state, s->want_state, bound);
    expect_close("scan", s->n_tokens * s->n_channels, s->y, s->want,
                 bound * (double)s->n_state * most_of(s->n_tokens * s->n_state, s->c));
}

static void test_selective_scan(void **state)
{
    (void)state;
    static const struct {
        size_t n_tokens, n_channels, n_state;
        double step;
    } cases[] = {{1, 1, 1, 1},      {2, 17, 16, 0.1},    {65, 33, 16, 1},
                 {127, 5, 3, 0.01}, {200, 16, 37, 1000}, {40, 4, 16, 0}};
    struct qk_pool *pools[] = {pool_of(1), pool_of(2), pool_of(8)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scan s = scan_of(cases[i].n_tokens, cases[i].n_channels, cases[i].n_state, cases[i].step);
        float *one = NULL;
        for (size_t p = 0; p < 3; p++) {
            memset(s.state, 0, s.n_channels * s.n_state * sizeof *s.state);
            scan_part(&s, 0, s.n_tokens, pools[p]);
            check_scan(&s);
            one = p == 0 ? copy_floats(s.n_tokens * s.n_channels, s.y) : one;
            assert_memory_equal(one, s.y, s.n_tokens * s.n_channels * sizeof *one);
        }
        for (size_t split = 0; split <= s.n_tokens; split += 1 + s.n_tokens / 9) {
            memset(s.state, 0, s.n_channels * s.n_state * sizeof *s.state);
            scan_part(&s, 0, split, pools[0]);
            scan_part(&s, split, s.n_tokens, pools[0]);
            assert_memory_equal(one, s.y, s.n_tokens * s.n_channels * sizeof *one);
        }
        qk_free(one);
        release_scan(&s);
    }
    for (size_t p = 0; p < 3; p++) {
        qk_pool_free(pools[p]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_large_convolutions),
        cmocka_unit_test(test_selective_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
