/* Files of one JSON value a line: marks, blank lines, numbers in messages, failing allocations. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ckpt/json_lines.h"

static char path[] = "/tmp/qkscope-lines-XXXXXX";

static void write_file(const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The values, which are numbers, and their lines; gives how many there were before the end or an error. */
static size_t read_all(size_t most, uint64_t *values, size_t *at, enum qk_code *code, struct qk_err *err)
{
    struct qk_json_lines lines = {0};
    size_t n = 0;
    *code = qk_json_lines_open(path, 1000, &lines, err);
    while (*code == QK_OK && n < most) {
        struct qk_json *json;
        *code = qk_json_lines_next(&lines, &json, err);
        if (*code != QK_OK || json == NULL) {
            break;
        }
        at[n] = lines.line;
        assert_true(qk_json_u64(json, &values[n++]));
        qk_json_free(json);
    }
    qk_json_lines_release(&lines);
    return n;
}

static void test_lines(void **state)
{
    (void)state;
    static const char *const texts[] = {"1\n\n \t\r\n2\r\n3", "1\n\n \t\r\n2\r\n3\n",
                                        "\xef\xbb\xbf"
                                        "1\n\n\n2\n3\n\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t values[4];
        size_t at[4];
        enum qk_code code;
        struct qk_err err = {0};
        write_file(texts[i], strlen(texts[i]));
        assert_int_equal(read_all(4, values, at, &code, &err), 3);
        assert_int_equal(code, QK_OK);
        assert_true(values[0] == 1 && values[1] == 2 && values[2] == 3);
        assert_true(at[0] == 1 && at[1] == 4 && at[2] == 5);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n, n_values;
        const char *message;
    } cases[] = {
        {"1\n\n[\n", 5, 1, "line 3: not valid JSON"},
        {"1\n\xef\xbb\xbf"
         "2\n",
         7, 1, "line 2: not valid JSON at line 1, column 1 (expected a value, found a UTF-8 byte order mark (BOM))"},
        {"1\n\0\n", 4, 1, "line 2: not valid JSON"},
        {"\xff\xfe"
         "1\0\n\0",
         6, 0, "its byte order mark says UTF-16 (expected UTF-8)"},
        {"\xef\xbb\xbf", 3, 0, NULL},
        {"", 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t values[4];
        size_t at[4];
        enum qk_code code;
        struct qk_err err = {0};
        write_file(cases[i].text, cases[i].n);
        assert_int_equal(read_all(4, values, at, &code, &err), cases[i].n_values);
        assert_int_equal(code, cases[i].message == NULL ? QK_OK : QK_EFORMAT);
        if (cases[i].message != NULL && strstr(err.text, cases[i].message) == NULL) {
            fail_msg("case %zu: '%s' (expected '%s')", i, err.text, cases[i].message);
        }
    }
}

static void test_failing_allocations(void **state)
{
    (void)state;
    static const char text[] = "1\n2\n";
    size_t k = 0;
    for (enum qk_code code = QK_ENOMEM; code != QK_OK; k++) {
        uint64_t values[4];
        size_t at[4];
        struct qk_err err = {0};
        write_file(text, sizeof text - 1);
        qk_alloc_fail_after(k + 1);
        (void)read_all(4, values, at, &code, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        assert_true(k < 1000);
    }
    assert_true(k > 2);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0) {
        return 1;
    }
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
