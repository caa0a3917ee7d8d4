/* Storage types: every pattern of the 8- and 16-bit formats against their definition, rounding between every pair of
 * neighbours, and the same bits on every instruction set, length and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "num/dtype.h"
#include "simd.h"

/* A small format by its definition, independent of the table under test. */
struct format {
    enum qk_dtype dtype;
    unsigned exponent_bits, mantissa_bits;
    int bias;
    bool has_infinity;
};

static const struct format formats[] = {
    {QK_DTYPE_F16, 5, 10, 15, true},
    {QK_DTYPE_BF16, 8, 7, 127, true},
    {QK_DTYPE_F8_E4M3, 4, 3, 7, false},
    {QK_DTYPE_F8_E5M2, 5, 2, 15, true},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static double value_by_definition(const struct format *f, unsigned pattern)
{
    unsigned mantissa = pattern & ((1u << f->mantissa_bits) - 1);
    unsigned exponent = (pattern >> f->mantissa_bits) & ((1u << f->exponent_bits) - 1);
    unsigned top = (1u << f->exponent_bits) - 1, all = (1u << f->mantissa_bits) - 1;
    double sign = (pattern >> (f->mantissa_bits + f->exponent_bits)) & 1 ? -1 : 1;
    if (f->has_infinity && exponent == top) {
        return mantissa == 0 ? sign * INFINITY : NAN;
    }
    if (!f->has_infinity && exponent == top && mantissa == all) {
        return NAN;
    }
    if (exponent == 0) {
        return sign * ldexp(mantissa, 1 - f->bias - (int)f->mantissa_bits);
    }
    return sign * ldexp((1u << f->mantissa_bits) + mantissa, (int)exponent - f->bias - (int)f->mantissa_bits);
}

static size_t pattern_bytes(const struct format *f)
{
    return (1 + f->exponent_bits + f->mantissa_bits) / 8;
}

static unsigned pattern_count(const struct format *f)
{
    return 1u << (1 + f->exponent_bits + f->mantissa_bits);
}

static void store_pattern(const struct format *f, unsigned pattern, unsigned char *at)
{
    memcpy(at, &pattern, pattern_bytes(f)); /* little-endian, as the library demands */
}

static unsigned load_pattern(const struct format *f, const unsigned char *at)
{
    unsigned pattern = 0;
    memcpy(&pattern, at, pattern_bytes(f));
    return pattern;
}

static bool same_value(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

/* Runs test once per instruction set that this machine has. */
static void on_each_level(void (*test)(void))
{
    for (int level = QK_SIMD_BASE; level <= QK_SIMD_V4; level++) {
        qk_simd_limit((enum qk_simd)level);
        if ((int)qk_simd_level() == level) {
            test();
        }
    }
    qk_simd_limit(QK_SIMD_V4);
}

static void decode_all_patterns(void)
{
    static unsigned char stored[2 * 65536 + 1];
    static double wide[65536];
    static float narrow[65536];
    for (size_t k = 0; k < N_FORMATS; k++) {
        const struct format *f = &formats[k];
        const struct qk_dtype_info *info = qk_dtype_info(f->dtype);
        /* an odd start: input has any alignment */
        for (unsigned u = 0; u < pattern_count(f); u++) {
            store_pattern(f, u, stored + 1 + u * pattern_bytes(f));
        }
        info->to_f64(stored + 1, pattern_count(f), wide);
        info->to_f32(stored + 1, pattern_count(f), narrow);
        for (unsigned u = 0; u < pattern_count(f); u++) {
            double expected = value_by_definition(f, u);
            assert_true(same_value(wide[u], expected));
            assert_true(same_value((double)narrow[u], expected));
        }
    }
}

static void test_decode(void **state)
{
    (void)state;
    on_each_level(decode_all_patterns);
}

static unsigned encode_one(const struct format *f, double x)
{
    unsigned char at[4] = {0};
    qk_dtype_info(f->dtype)->from_f64(&x, 1, at);
    return load_pattern(f, at);
}

static unsigned sign_pattern(const struct format *f)
{
    return pattern_count(f) / 2;
}

/* Largest finite positive pattern. */
static unsigned largest_pattern(const struct format *f)
{
    unsigned u = sign_pattern(f) - 1;
    while (!isfinite(value_by_definition(f, u))) {
        u--;
    }
    return u;
}

/* Where rounding changes its mind, on both signs: x is just above, at, or just below the middle of neighbours u, u + 1.
 */
static void check_between(const struct format *f, unsigned u, double low, double high)
{
    double middle = low / 2 + high / 2;
    unsigned even = u % 2 == 0 ? u : u + 1, sign = sign_pattern(f);
    assert_int_equal(encode_one(f, middle), even);
    assert_int_equal(encode_one(f, -middle), even | sign);
    assert_int_equal(encode_one(f, nextafter(middle, 0)), u);
    assert_int_equal(encode_one(f, -nextafter(middle, 0)), u | sign);
    assert_int_equal(encode_one(f, nextafter(middle, INFINITY)), u + 1);
    assert_int_equal(encode_one(f, -nextafter(middle, INFINITY)), (u + 1) | sign);
    assert_int_equal(encode_one(f, low), u);
    assert_int_equal(encode_one(f, -low), u | sign);
    assert_int_equal(encode_one(f, nextafter(high, 0)), u + 1);
}

static void encode_between_neighbours(void)
{
    for (size_t k = 0; k < N_FORMATS; k++) {
        const struct format *f = &formats[k];
        unsigned largest = largest_pattern(f);
        for (unsigned u = 0; u < largest; u++) {
            check_between(f, u, value_by_definition(f, u), value_by_definition(f, u + 1));
        }
        /* beyond the largest finite value: the next pattern is infinity, or E4M3's only NaN */
        double top = value_by_definition(f, largest);
        double step = top - value_by_definition(f, largest - 1);
        check_between(f, largest, top, top + step);
        unsigned sign = sign_pattern(f);
        const double beyond[] = {top + step, 1e39, 1e300, DBL_MAX, INFINITY};
        for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
            assert_int_equal(encode_one(f, beyond[i]), largest + 1);
            assert_int_equal(encode_one(f, -beyond[i]), (largest + 1) | sign);
        }
        assert_int_equal(encode_one(f, DBL_MIN), 0);
        assert_int_equal(encode_one(f, -5e-324), sign);
        assert_true(isnan(value_by_definition(f, encode_one(f, NAN))));
        assert_true(isnan(value_by_definition(f, encode_one(f, -NAN))));
    }
}

static void test_encode(void **state)
{
    (void)state;
    on_each_level(encode_between_neighbours);
}

/* The vector part and the rest of a loop must agree: every length from each start, and nothing written beyond. */
static void lengths_and_starts(void)
{
    enum { MOST = 70 };
    static const enum qk_dtype dtypes[] = {QK_DTYPE_F64,  QK_DTYPE_F32,     QK_DTYPE_F16,
                                           QK_DTYPE_BF16, QK_DTYPE_F8_E4M3, QK_DTYPE_F8_E5M2};
    for (size_t k = 0; k < sizeof dtypes / sizeof dtypes[0]; k++) {
        const struct qk_dtype_info *info = qk_dtype_info(dtypes[k]);
        size_t bytes = info->bits / 8;
        for (size_t n = 0; n <= MOST; n++) {
            size_t start = n % 9;
            unsigned char stored[8 * MOST + 16], back[8 * MOST + 16];
            double x[MOST], y[MOST + 1];
            float z[MOST + 1];
            for (size_t i = 0; i < n; i++) {
                x[i] = ((double)i - 20) / 8;
            }
            memset(stored, 0xa5, sizeof stored);
            info->from_f64(x, n, stored + start);
            assert_int_equal(stored[start + n * bytes], 0xa5);
            y[n] = 77;
            z[n] = 77;
            info->to_f64(stored + start, n, y);
            info->to_f32(stored + start, n, z);
            assert_true(y[n] == 77 && z[n] == 77);
            for (size_t i = 0; i < n; i++) {
                double one;
                info->from_f64(&x[i], 1, back);
                info->to_f64(back, 1, &one);
                assert_true(y[i] == one && (double)z[i] == one);
                assert_true(fabs(one - x[i]) <= ldexp(fabs(x[i]), -info->precision));
            }
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    on_each_level(lengths_and_starts);
}

static void f32_and_f64(void)
{
    static const double hard[] = {0.0,     -0.0,    1 + 0x1p-24, 1 + 0x3p-24,     0x1p-149, 0x1p-150, 0x1.8p-150,
                                  FLT_MAX, 0x1p128, -INFINITY,   0x1.fffffefp127, 1e-320,   DBL_MAX};
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++) {
        float narrow, expected = (float)hard[i];
        double wide, copy;
        qk_dtype_info(QK_DTYPE_F32)->from_f64(&hard[i], 1, &narrow);
        assert_memory_equal(&narrow, &expected, sizeof narrow);
        qk_dtype_info(QK_DTYPE_F32)->to_f64(&narrow, 1, &wide);
        assert_true(same_value(wide, (double)expected));
        qk_dtype_info(QK_DTYPE_F64)->from_f64(&hard[i], 1, &copy);
        assert_true(same_value(copy, hard[i]));
        qk_dtype_info(QK_DTYPE_F64)->to_f32(&hard[i], 1, &narrow);
        assert_memory_equal(&narrow, &expected, sizeof narrow);
    }
}

static void test_wide_types(void **state)
{
    (void)state;
    on_each_level(f32_and_f64);
}

/* Spacing from the definition: 2^(e − p + 1) by frexp. */
static double ulp_by_definition(const struct qk_dtype_info *info, double x)
{
    int e = info->min_exponent;
    if (x != 0) {
        int above;
        frexp(x, &above);
        e = above - 1 > e ? above - 1 : e;
    }
    return ldexp(1, e - info->precision + 1);
}

static double ulp_sums[N_FORMATS + 2];

static void sum_ulp2(void)
{
    enum { N = 9000 };
    static double x[N];
    struct qk_rng rng;
    qk_rng_seed(&rng, 7);
    for (size_t i = 0; i < N; i++) {
        x[i] = i % 11 == 0 ? 0 : ldexp(qk_rng_normal(&rng), (int)(i % 60) - 40);
    }
    static const enum qk_dtype dtypes[] = {QK_DTYPE_F64,  QK_DTYPE_F32,     QK_DTYPE_F16,
                                           QK_DTYPE_BF16, QK_DTYPE_F8_E4M3, QK_DTYPE_F8_E5M2};
    static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 4095, 4096, 4097, N};
    for (size_t k = 0; k < sizeof dtypes / sizeof dtypes[0]; k++) {
        const struct qk_dtype_info *info = qk_dtype_info(dtypes[k]);
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            long double expected = 0;
            for (size_t i = 0; i < lengths[l]; i++) {
                double ulp = ulp_by_definition(info, x[i]);
                expected += (long double)ulp * ulp;
            }
            double got = qk_dtype_sum_ulp2(dtypes[k], x, lengths[l]);
            /* positive terms: 256 per lane, 4 halvings, 2 levels of blocks, one rounding each; the square of F64's
             * smallest spacing is below the range of double */
            assert_true(fabsl(got - expected) <= 300 * DBL_EPSILON * expected + DBL_MIN);
            if (lengths[l] == N) {
                assert_true(ulp_sums[k] == 0 || ulp_sums[k] == got); /* the same bits on every level */
                ulp_sums[k] = got;
            }
        }
        double infinite = INFINITY;
        assert_true(isinf(qk_dtype_sum_ulp2(dtypes[k], &infinite, 1)));
    }
}

static void test_sum_ulp2(void **state)
{
    (void)state;
    on_each_level(sum_ulp2);
}

static void test_table(void **state)
{
    (void)state;
    for (int d = 0; d < QK_N_DTYPES; d++) {
        const struct qk_dtype_info *info = qk_dtype_info((enum qk_dtype)d);
        assert_int_equal(info->dtype, d);
        assert_ptr_equal(qk_dtype_by_name(info->name), info);
        assert_true(info->bits >= 4);
        assert_true(info->is_float == (info->to_f64 != NULL));
        assert_true(info->is_float == (info->to_f32 != NULL));
        assert_true(info->is_float == (info->from_f64 != NULL));
    }
    for (size_t k = 0; k < N_FORMATS; k++) {
        const struct qk_dtype_info *info = qk_dtype_info(formats[k].dtype);
        assert_int_equal(info->bits, 8 * pattern_bytes(&formats[k]));
        assert_int_equal(info->precision, formats[k].mantissa_bits + 1);
        assert_int_equal(info->min_exponent, 1 - formats[k].bias);
    }
    assert_ptr_equal(qk_dtype_by_name("F8_E4M3FN"), qk_dtype_info(QK_DTYPE_F8_E4M3));
    assert_null(qk_dtype_by_name("bf16"));
    assert_null(qk_dtype_by_name(""));
    assert_null(qk_dtype_by_name("F8_E4M3FNUZ"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),   cmocka_unit_test(test_decode),     cmocka_unit_test(test_encode),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_wide_types), cmocka_unit_test(test_sum_ulp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
