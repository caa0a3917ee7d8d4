/* Error text: one line, bounded, context in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void text_is_one_clean_line(void **state)
{
    (void)state;
    struct qk_err err = {0};
    assert_int_equal(qk_fail(&err, QK_EFORMAT, "tensor '%s': bad", "a\n\033[2J"), QK_EFORMAT);
    assert_string_equal(err.text, "tensor 'a??[2J': bad");
    (void)qk_fail(&err, QK_EFORMAT,
                  "csi \xc2\x9b"
                  "31m");
    assert_string_equal(err.text, "csi ??31m");
    (void)qk_fail(&err, QK_EFORMAT, "tensor '%s': bad", "a\n\033[2J");
    qk_err_context(&err, "file.safetensors");
    assert_string_equal(err.text, "file.safetensors: tensor 'a??[2J': bad");
    assert_int_equal(qk_fail(NULL, QK_EIO, "x"), QK_EIO);
    qk_err_context(NULL, "x");
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct qk_err err = {0};
    char text[5000];
    for (size_t i = 0; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 3);
    }
    (void)qk_fail(&err, QK_EFORMAT, "x%s", text);
    size_t n = strlen(err.text);
    assert_true(n < sizeof err.text && n > sizeof err.text - 4);
    assert_int_equal((unsigned char)err.text[n - 1], 0xa9);
    qk_err_context(&err, "yy");
    n = strlen(err.text);
    assert_int_equal((unsigned char)err.text[n - 1], 0xa9);
}

static void system_errors_are_classed(void **state)
{
    (void)state;
    struct qk_err err = {0};
    errno = ENOENT;
    assert_int_equal(qk_fail_errno(&err, "f", "open"), QK_EIO);
    assert_string_equal(err.text, "f: cannot open: No such file or directory");
    errno = ENOMEM;
    assert_int_equal(qk_fail_errno(&err, "f", "open"), QK_ENOMEM);
    errno = ENOSPC;
    assert_int_equal(qk_fail_errno(&err, "f", "write"), QK_EIO);
    assert_non_null(strstr(err.hint, "free space"));
}

static void exit_statuses_are_the_documented_ones(void **state)
{
    (void)state;
    static const int expected[][2] = {
        {QK_OK, 0},        {QK_EUSAGE, 2}, {QK_EIO, 3},          {QK_ECHILD, 3},         {QK_EFORMAT, 4},
        {QK_EMISMATCH, 4}, {QK_ENOMEM, 5}, {QK_EUNSUPPORTED, 4}, {QK_EINTERRUPTED, 130}, {QK_EINTERNAL, 70}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(qk_exit_status((enum qk_code)expected[i][0]), expected[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_one_clean_line), cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(system_errors_are_classed), cmocka_unit_test(exit_statuses_are_the_documented_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
