/* Strings and numbers as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/rng.h"
#include "base/str.h"

static void doubles_read_back(void **state)
{
    (void)state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 7);
    struct qk_str s = {0};
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = qk_rng_u64(&rng);
        double x, y;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x)) {
            continue;
        }
        qk_str_clear(&s);
        qk_str_add_double(&s, x);
        assert_true(qk_parse_double(s.s, &y));
        assert_memory_equal(&x, &y, sizeof x);
    }
    static const struct {
        double x;
        const char *text;
    } cases[] = {{0.1, "0.1"},       {1, "1"},     {-0.0, "-0"},      {1e300, "1e+300"},
                 {5e-324, "5e-324"}, {NAN, "nan"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qk_str_clear(&s);
        qk_str_add_double(&s, cases[i].x);
        assert_string_equal(s.s, cases[i].text);
    }
    qk_str_release(&s);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    struct qk_str s = {0};
    qk_str_add_json(&s, "a\"b\\c\n\x01\xff\xc3\xa9");
    assert_string_equal(s.s, "\"a\\\"b\\\\c\\n\\u0001\xef\xbf\xbd\xc3\xa9\"");
    qk_str_clear(&s);
    qk_str_add_html(&s, "<a href='x'>&\"");
    assert_string_equal(s.s, "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    qk_str_clear(&s);
    qk_str_add_html(&s, "\xc3\xa9\xff<\xe6\xbc");
    assert_string_equal(s.s, "\xc3\xa9\xef\xbf\xbd&lt;\xef\xbf\xbd\xef\xbf\xbd");
    qk_str_clear(&s);
    qk_str_add_json_double(&s, NAN);
    assert_string_equal(s.s, "null");
    qk_str_release(&s);
}

static void copies_are_valid_utf8(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    assert_string_equal(qk_utf8_copy(arena, ""), "");
    assert_string_equal(qk_utf8_copy(arena, "a/\xc3\xa9\xf0\x9f\x98\x80\n"), "a/\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_string_equal(qk_utf8_copy(arena, "\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(qk_utf8_copy(arena, "\xed\xa0\x80z"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    qk_arena_free(arena);
}

static void numbers_are_parsed_whole(void **state)
{
    (void)state;
    uint64_t u = 99;
    double d;
    assert_true(qk_parse_u64("18446744073709551615", 0, UINT64_MAX, &u));
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x10", "18446744073709551616", "1e3", "1.0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(qk_parse_u64(bad[i], 0, UINT64_MAX, &u));
    }
    assert_false(qk_parse_u64("5", 6, 9, &u));
    assert_true(u == UINT64_MAX);
    static const struct {
        const char *text;
        uint64_t n; /* 0: refused */
    } sizes[] = {{"512", 512},
                 {"2k", 2048},
                 {"2K", 2048},
                 {"1m", 1048576},
                 {"3M", 3145728},
                 {"1024k", 1048576},
                 {"k", 0},
                 {"1kk", 0},
                 {"1 k", 0},
                 {"-1k", 0},
                 {"1g", 0},
                 {"0.5k", 0},
                 {"", 0},
                 {"17592186044416m", 0},
                 {"00000000000000000000000000001k", 0},
                 {"4097k", 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t size = 0;
        assert_int_equal(qk_parse_size(sizes[i].text, 1, 4 << 20, &size), sizes[i].n > 0);
        assert_true(size == sizes[i].n);
    }
    assert_false(qk_parse_size("1k", 1025, 2048, &u));
    assert_true(qk_parse_size("0k", 0, 9, &u) && u == 0);
    assert_true(qk_parse_double("1e-3", &d));
    assert_true(d == 1e-3);
    assert_false(qk_parse_double("1,5", &d));
    assert_false(qk_parse_double("", &d));
    assert_false(qk_parse_double(" 1", &d));
    assert_false(qk_parse_double("1x", &d));
}

static void sizes_are_readable(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},       {999, "999 B"},     {1000, "1.0 kB"},    {9949, "9.9 kB"},
                 {15400, "15 kB"}, {999600, "1.0 MB"}, {8253448, "8.3 MB"}, {UINT64_MAX, "18 EB"}};
    struct qk_str s = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qk_str_clear(&s);
        qk_str_add_bytes(&s, cases[i].bytes);
        assert_string_equal(s.s, cases[i].text);
    }
    qk_str_release(&s);
}

static void names_and_globs(void **state)
{
    (void)state;
    assert_true(qk_name_is_clean("model.layers.0 \xc3\xa9"));
    assert_false(qk_name_is_clean("a\tb"));
    assert_false(qk_name_is_clean("a\xc2\x85"));
    assert_false(qk_name_is_clean("a\xff"));
    assert_false(qk_name_is_clean("a\xed\xa0\x80"));
    assert_true(qk_glob_match("q_*", "q_rel_drift"));
    assert_true(qk_glob_match("*_drift", "q_rel_drift"));
    assert_true(qk_glob_match("*", ""));
    assert_true(qk_glob_match("a*b*c", "aXbYbZc"));
    assert_false(qk_glob_match("a*b?c", "aXbc"));
    assert_false(qk_glob_match("", "x"));
    static const char *const names[] = {"restore", "drift", "report"};
    assert_string_equal(qk_nearest("drfit", names, 3), "drift");
    assert_string_equal(qk_nearest("repot", names, 3), "report");
    assert_null(qk_nearest("zzzzzz", names, 3));
}

static void a_failed_allocation_sticks(void **state)
{
    (void)state;
    struct qk_str s = {0};
    qk_alloc_fail_after(1);
    qk_str_add(&s, "abc");
    qk_alloc_fail_after(0);
    qk_str_add(&s, "def");
    assert_true(s.failed);
    assert_int_equal(s.len, 0);
    qk_str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_read_back),          cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(numbers_are_parsed_whole),   cmocka_unit_test(sizes_are_readable),
        cmocka_unit_test(copies_are_valid_utf8),      cmocka_unit_test(names_and_globs),
        cmocka_unit_test(a_failed_allocation_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
