/* JSON: what is accepted and refused, values and defaults, failing allocations. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "ckpt/json.h"

static struct qk_json *parse(const char *text)
{
    struct qk_json *json = NULL;
    struct qk_err err = {0};
    if (qk_json_parse(text, strlen(text), "t.json", &json, &err) != QK_OK) {
        fail_msg("%s refused: %s", text, err.text);
    }
    return json;
}

static void test_accepts(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "1e5",
                                        "-1.25E-3",
                                        "\"\"",
                                        "true",
                                        " null\n",
                                        "[]",
                                        "{}",
                                        "[[],{}]",
                                        "\t{ \"a\" : [ 1 , 2 ] }\r\n",
                                        "\"\\u0041\\n\\/\\\\\\\"\"",
                                        "\"\\ud83d\\ude00\"",
                                        "\"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
                                        "[NaN,Infinity,-Infinity]",
                                        "{\"\":1}",
                                        "{\"a\":1,\"A\":2}",
                                        "1e400",
                                        "[1,[2,[3]]]",
                                        "{\"a\":{\"a\":{\"a\":1}}}",
                                        "123456789012345678901234567890",
                                        "\"\x7f\""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        qk_json_free(parse(texts[i]));
    }
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "{",
                                        "}",
                                        "[",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "[,1]",
                                        "[1 2]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "01",
                                        "-",
                                        "-01",
                                        "1.",
                                        ".5",
                                        "+1",
                                        "1e",
                                        "1e+",
                                        "0x10",
                                        "--1",
                                        "-NaN",
                                        "nan",
                                        "inf",
                                        "NaNs",
                                        "tru",
                                        "True",
                                        "nulll",
                                        "1 2",
                                        "[] x",
                                        "\"",
                                        "\"a",
                                        "\"\\\"",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\\u12g4\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\"",
                                        "\"\\ud800\\ud800\"",
                                        "\"\\ud800x\"",
                                        "\"\\u0000\"",
                                        "\"\n\"",
                                        "\"\x1f\"",
                                        "\"\x80\"",
                                        "\"\xc3\"",
                                        "\"\xc0\x80\"",
                                        "\"\xe0\x80\x80\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xf5\x80\x80\x80\"",
                                        "\"\xf4\x90\x80\x80\"",
                                        "\"\xff\"",
                                        "\xef\xbb\xbf{}",
                                        "{\"a\":1,\"a\":1}",
                                        "{\"a\":1,\"\\u0061\":2}",
                                        "[{\"b\":{\"x\":0,\"y\":1,\"x\":2}}]",
                                        "/**/1",
                                        "[1}",
                                        "{\"a\":1]",
                                        "\v1",
                                        "\xa0",
                                        "{\"a\" 1}",
                                        "{1:2}",
                                        "[:]",
                                        "{:}",
                                        "[\"a\":1]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct qk_json *json = NULL;
        struct qk_err err = {0};
        if (qk_json_parse(texts[i], strlen(texts[i]), "t.json", &json, &err) != QK_EFORMAT) {
            fail_msg("accepted: %s", texts[i]);
        }
        assert_null(json);
        assert_true(qk_str_starts(err.text, "t.json: "));
        assert_non_null(strstr(err.text, "expected "));
    }
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    struct qk_err err = {0};
    for (size_t depth = 63; depth <= 66; depth++) {
        struct qk_str s = {0};
        for (size_t i = 0; i < depth; i++) {
            qk_str_add(&s, i % 2 == 0 ? "[" : "{\"k\":");
        }
        qk_str_add(&s, "0");
        for (size_t i = depth; i-- > 0;) {
            qk_str_add(&s, i % 2 == 0 ? "]" : "}");
        }
        struct qk_json *json = NULL;
        enum qk_code code = qk_json_parse(s.s, s.len, "t", &json, &err);
        assert_int_equal(code, depth <= 64 ? QK_OK : QK_EUNSUPPORTED);
        qk_json_free(json);
        qk_str_release(&s);
    }
    static char open[1000000];
    memset(open, '[', sizeof open);
    struct qk_json *json = NULL;
    assert_int_equal(qk_json_parse(open, sizeof open, "t", &json, &err), QK_EUNSUPPORTED);
    memset(open, ' ', sizeof open);
    assert_int_equal(qk_json_parse(open, sizeof open, "t", &json, &err), QK_EFORMAT);
}

static void test_number_of_values_is_bounded(void **state)
{
    (void)state;
    enum { n = 9 << 20 };
    char *text = qk_calloc(2 * n + 1, 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = i == 0 ? '[' : ',';
        text[2 * i + 1] = '0';
    }
    struct qk_json *json = NULL;
    struct qk_err err = {0};
    assert_int_equal(qk_json_parse(text, 2 * n, "t", &json, &err), QK_EUNSUPPORTED);
    qk_free(text);
}

static void test_text_need_not_end_in_nul(void **state)
{
    (void)state;
    static const char text[] = "[12]34";
    struct qk_json *json = NULL;
    struct qk_err err = {0};
    for (size_t n = 0; n <= 4; n++) {
        char *copy = qk_calloc(n, 1); /* so that the address sanitizer sees a read too far */
        memcpy(copy, text, n);
        assert_int_equal(qk_json_parse(copy, n, "t", &json, &err), n == 4 ? QK_OK : QK_EFORMAT);
        qk_free(copy);
    }
    uint64_t value;
    assert_true(qk_json_u64(qk_json_first(json), &value));
    assert_int_equal(value, 12);
    qk_json_free(json);
}

static void test_values(void **state)
{
    (void)state;
    struct qk_json *json =
        parse("{\"i\":9007199254740992,\"j\":9007199254740994,\"f\":1.5,\"n\":-1,\"e\":1e6,\"nan\":NaN,"
              "\"inf\":Infinity,\"minf\":-Infinity,\"s\":\"a\\u00e9\",\"t\":true,\"z\":null,"
              "\"a\":[NaN,\"NaN\",\"\\\"Infinity\"],\"I\":1}");
    double d;
    uint64_t u = 7;
    bool b;
    const char *s;
    assert_true(qk_json_u64(qk_json_get(json, "i"), &u));
    assert_true(u == UINT64_C(9007199254740992));
    assert_true(qk_json_u64(qk_json_get(json, "e"), &u));
    assert_int_equal(u, 1000000);
    static const char *const no_integers[] = {"j", "f", "n", "nan", "inf", "minf", "s", "t", "z", "a", "absent"};
    for (size_t i = 0; i < sizeof no_integers / sizeof no_integers[0]; i++) {
        u = 7;
        assert_false(qk_json_u64(qk_json_get(json, no_integers[i]), &u));
        assert_int_equal(u, 7);
    }
    assert_true(qk_json_double(qk_json_get(json, "nan"), &d) && isnan(d));
    assert_true(qk_json_double(qk_json_get(json, "inf"), &d) && isinf(d) && d > 0);
    assert_true(qk_json_double(qk_json_get(json, "minf"), &d) && isinf(d) && d < 0);
    assert_true(qk_json_string(qk_json_get(json, "s"), &s));
    assert_string_equal(s, "a\xc3\xa9");
    assert_true(qk_json_bool(qk_json_get(json, "t"), &b) && b);
    assert_false(qk_json_bool(qk_json_get(json, "i"), &b));
    assert_int_equal(qk_json_type(qk_json_get(json, "z")), QK_JSON_NULL);
    assert_null(qk_json_get(json, "T"));
    assert_null(qk_json_get(qk_json_get(json, "s"), "x"));
    assert_null(qk_json_get(NULL, "x"));
    const struct qk_json *a = qk_json_get(json, "a");
    assert_int_equal(qk_json_count(a), 3);
    assert_int_equal(qk_json_type(qk_json_first(a)), QK_JSON_NUMBER);
    assert_true(qk_json_string(qk_json_next(qk_json_first(a)), &s));
    assert_string_equal(s, "NaN");
    assert_true(qk_json_string(qk_json_next(qk_json_next(qk_json_first(a))), &s));
    assert_string_equal(s, "\"Infinity");
    assert_string_equal(qk_json_key(qk_json_first(json)), "i");
    qk_json_free(json);
    qk_json_free(NULL);
}

static void test_defaults(void **state)
{
    (void)state;
    struct qk_json *json = parse("{\"u\":3,\"d\":0.5,\"b\":false,\"s\":\"x\",\"null\":null,\"bad\":[]}");
    struct qk_err err = {0};
    uint64_t u;
    double d;
    bool b;
    const char *s;
    assert_int_equal(qk_json_opt_u64(json, "u", 9, "c", &u, &err), QK_OK);
    assert_int_equal(u, 3);
    assert_int_equal(qk_json_opt_u64(json, "null", 9, "c", &u, &err), QK_OK);
    assert_int_equal(u, 9);
    assert_int_equal(qk_json_opt_double(json, "absent", 0.25, "c", &d, &err), QK_OK);
    assert_true(d == 0.25);
    assert_int_equal(qk_json_opt_double(json, "u", 0.25, "c", &d, &err), QK_OK);
    assert_true(d == 3.0);
    assert_int_equal(qk_json_opt_bool(json, "b", true, "c", &b, &err), QK_OK);
    assert_false(b);
    assert_int_equal(qk_json_opt_string(json, "s", "y", "c", &s, &err), QK_OK);
    assert_string_equal(s, "x");
    assert_int_equal(qk_json_opt_string(NULL, "s", "y", "c", &s, &err), QK_OK);
    assert_string_equal(s, "y");
    u = 11;
    assert_int_equal(qk_json_opt_u64(json, "d", 9, "c.json", &u, &err), QK_EFORMAT);
    assert_int_equal(u, 11);
    assert_string_equal(err.text, "c.json: d: unusable value (expected an integer from 0 to 2^53, found 0.5)");
    assert_int_equal(qk_json_opt_bool(json, "bad", true, "c.json", &b, &err), QK_EFORMAT);
    assert_string_equal(err.text, "c.json: bad: unusable value (expected true or false, found an array)");
    assert_int_equal(qk_json_opt_string(json, "u", "y", "c.json", &s, &err), QK_EFORMAT);
    assert_int_equal(qk_json_opt_double(json, "s", 1.0, "c.json", &d, &err), QK_EFORMAT);
    qk_json_free(json);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    static const char text[] = "{\"b\":[1,NaN,\"text\"],\"a\":{\"y\":\"\\u00e9\",\"x\":null}}";
    size_t k = 1;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK; k++) {
        struct qk_json *json = NULL;
        struct qk_err err = {0};
        qk_alloc_fail_after(k);
        code = qk_json_parse(text, sizeof text - 1, "t", &json, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_true((code == QK_OK) == (json != NULL));
        qk_json_free(json);
        assert_true(k < 1000);
    }
    assert_true(k > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_number_of_values_is_bounded),
        cmocka_unit_test(test_text_need_not_end_in_nul),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
