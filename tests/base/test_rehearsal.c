/* What a copy of the process does cannot end this one. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rehearsal.h"

static void change(void *ctx)
{
    *(int *)ctx = 7;
    printf("nobody sees this\n");
    fflush(stdout);
}

static void signal_itself(void *ctx)
{
    raise(*(const int *)ctx);
}

static void leave(void *ctx)
{
    _exit(*(const int *)ctx);
}

static void never_end(void *ctx)
{
    (void)ctx;
    for (;;) {
        pause();
    }
}

static void test_harmless(void **state)
{
    (void)state;
    int value = 3;
    struct qk_err err = {0};
    assert_int_equal(qk_rehearse(change, &value, "f", 60, &err), QK_OK);
    assert_int_equal(value, 3);
    assert_string_equal(err.text, "");
}

static void test_crashes(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGKILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct qk_err err = {0};
        int number = signals[i];
        char want[64];
        snprintf(want, sizeof want, "f: damaged: what reads it is ended by signal %d", number);
        assert_int_equal(qk_rehearse(signal_itself, &number, "f", 60, &err), QK_EFORMAT);
        assert_memory_equal(err.text, want, strlen(want));
    }
}

static void test_leaves(void **state)
{
    (void)state;
    for (int status = 0; status < 3; status++) {
        struct qk_err err = {0};
        assert_int_equal(qk_rehearse(leave, &status, "f", 60, &err), QK_EFORMAT);
        assert_non_null(strstr(err.text, "f: damaged: what reads it leaves with status"));
    }
}

static void test_no_end(void **state)
{
    (void)state;
    struct qk_err err = {0};
    assert_int_equal(qk_rehearse(never_end, NULL, "f", 0.1, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "does not end"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harmless),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
