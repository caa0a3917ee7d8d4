/* Progress in a log: what is written, and that short work writes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "terminal_progress.h"

static int saved;
static FILE *capture;

static void begin(void)
{
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    capture = tmpfile();
    assert_non_null(capture);
    dup2(fileno(capture), STDERR_FILENO);
}

static const char *end(void)
{
    static char text[4096];
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(capture);
    size_t n = fread(text, 1, sizeof text - 1, capture);
    text[n] = 0;
    fclose(capture);
    return text;
}

static const char *run(enum qk_progress_mode mode, bool quiet, const char *unit)
{
    struct qk_terminal_progress bar;
    begin();
    qk_terminal_progress_init(&bar, mode, quiet);
    bar.unit = unit;
    for (uint64_t i = 0; i <= 4; i++) {
        qk_terminal_progress_update(&bar, i, 4, "layer 7");
    }
    qk_terminal_progress_notice(&bar, "by the way");
    qk_terminal_progress_clear(&bar);
    return end();
}

static void test_log(void **state)
{
    (void)state;
    assert_string_equal(run(QK_PROGRESS_AUTO, false, NULL), "qkscope: notice: by the way\n");
    assert_string_equal(run(QK_PROGRESS_NEVER, true, NULL), "");
    assert_string_equal(run(QK_PROGRESS_ALWAYS, false, NULL), "qkscope: progress: 0 %, starting, layer 7\n"
                                                              "qkscope: progress: 100 %, 0:00 in all, layer 7\n"
                                                              "qkscope: notice: by the way\n");
    assert_non_null(strstr(run(QK_PROGRESS_ALWAYS, false, "heads"), " heads/s, "));
    assert_non_null(strstr(run(QK_PROGRESS_ALWAYS, false, "bytes"), "B/s, "));
}

/* A bar that started a while ago: lines every ten seconds, with the time left. */
static void test_long_work(void **state)
{
    (void)state;
    struct qk_terminal_progress bar;
    begin();
    qk_terminal_progress_init(&bar, QK_PROGRESS_AUTO, false);
    qk_terminal_progress_update(&bar, 0, 100, "a");
    bar.started -= 20;
    qk_terminal_progress_update(&bar, 20, 100, "b");
    qk_terminal_progress_update(&bar, 21, 100, "c");
    bar.drawn -= 11;
    qk_terminal_progress_update(&bar, 50, 100, "d");
    assert_string_equal(end(), "qkscope: progress: 20 %, 1:20 left, b\nqkscope: progress: 50 %, 0:20 left, d\n");
}

static void test_bar(void **state)
{
    (void)state;
    struct qk_terminal_progress bar;
    begin();
    qk_terminal_progress_init(&bar, QK_PROGRESS_AUTO, false);
    bar.terminal = true;
    qk_terminal_progress_update(&bar, 0, 2, "a");
    bar.started -= 3600;
    qk_terminal_progress_update(&bar, 1, 2, "b");
    qk_terminal_progress_clear(&bar);
    qk_terminal_progress_clear(&bar);
    assert_string_equal(end(), "\r[############............]  50 %, 1:00:00 left, b\033[K\r\033[K");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_long_work),
        cmocka_unit_test(test_bar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
