/* Wrapping of help texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "paragraph.h"

static void wrap(const char *s, size_t at, size_t indent, size_t width, const char *expected)
{
    struct qk_str out = {0};
    qk_paragraph(&out, s, strlen(s), at, indent, width);
    assert_false(out.failed);
    assert_string_equal(out.s, expected);
    qk_str_release(&out);
}

static void test_wrap(void **state)
{
    (void)state;
    wrap("", 0, 0, 10, "\n");
    wrap("one two three", 0, 0, 80, "one two three\n");
    wrap("one two three", 0, 0, 13, "one two three\n");
    wrap("one two three", 0, 0, 12, "one two\nthree\n");
    wrap("one  two\nthree ", 0, 2, 8, "one two\n  three\n");
    wrap("one two", 6, 4, 10, "one\n    two\n");
    wrap("a incomprehensibilities b", 0, 0, 8, "a\nincomprehensibilities\nb\n");
    /* a number keeps its unit, an arrow its numbers */
    wrap("heads (27 %), so", 0, 0, 10, "heads\n(27 %), so\n");
    wrap("ab 3 points more", 0, 0, 5, "ab\n3 points\nmore\n");
    wrap("ab 3 pointsmen", 0, 0, 5, "ab 3\npointsmen\n");
    wrap("5.3 (0.75 -> 0.31 -> 0.49), 5.2", 0, 0, 12, "5.3 (0.75 -> 0.31 -> 0.49),\n5.2\n");
    wrap("base -> sft 1 -> 2", 0, 0, 7, "base ->\nsft\n1 -> 2\n");
    wrap("79.2 % (68.4 to 86.9), or", 0, 0, 12, "79.2 %\n(68.4 to 86.9),\nor\n");
    wrap("(5 to 121) to 8 of 9", 0, 0, 6, "(5 to 121)\nto 8\nof 9\n");
    wrap("1 ", 0, 0, 7, "1\n");
    wrap("1 %", 0, 0, 1, "1 %\n");
    /* characters are counted, not bytes */
    wrap("ééé ééé", 0, 0, 7, "ééé ééé\n");
    assert_int_equal(qk_text_columns("TUNED…", strlen("TUNED…")), 6);
}

static void test_paragraphs(void **state)
{
    (void)state;
    const char *text = "first\nparagraph\n\n  kept\n  as it is\n\n\nlast\n", *s;
    const char *const expected[] = {"first\nparagraph", "  kept\n  as it is", "last"};
    size_t n, i = 0;
    bool verbatim;
    for (; qk_next_paragraph(&text, &s, &n, &verbatim); i++) {
        assert_true(i < 3);
        assert_int_equal(n, strlen(expected[i]));
        assert_memory_equal(s, expected[i], n);
        assert_int_equal(verbatim, i == 1);
    }
    assert_int_equal(i, 3);
}

static void test_lines(void **state)
{
    (void)state;
    const char *s = "ab\n\ncd", *line;
    size_t n = strlen(s), len;
    assert_true(qk_next_line(&s, &n, &line, &len));
    assert_int_equal(len, 2);
    assert_true(qk_next_line(&s, &n, &line, &len));
    assert_int_equal(len, 0);
    assert_true(qk_next_line(&s, &n, &line, &len));
    assert_memory_equal(line, "cd", 2);
    assert_false(qk_next_line(&s, &n, &line, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_paragraphs),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
