/* Child processes: output, exit status, absence, time limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/progress.h"

static void output_and_status(void **state)
{
    (void)state;
    char out[64];
    struct qk_err err = {0};
    const char *const fine[] = {"sh", "-c", "pwd; echo two >&2; echo $LC_ALL; cat", NULL};
    assert_int_equal(qk_child_run(fine, "/", 10, out, sizeof out, &err), QK_OK);
    assert_string_equal(out, "/\ntwo\nC\n");
    const char *const fails[] = {"sh", "-c", "echo; echo line 3: undefined; exit 5", NULL};
    assert_int_equal(qk_child_run(fails, NULL, 10, NULL, 0, &err), QK_ECHILD);
    assert_string_equal(err.text, "sh: exit status 5: line 3: undefined");
    const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
    assert_int_equal(qk_child_run(killed, NULL, 10, NULL, 0, &err), QK_ECHILD);
    assert_non_null(strstr(err.text, "signal 9"));
    const char *const much[] = {"sh", "-c", "yes | head -c 300000", NULL};
    assert_int_equal(qk_child_run(much, NULL, 10, out, sizeof out, &err), QK_OK);
    assert_int_equal(strlen(out), sizeof out - 1);
}

static void absence_has_a_hint(void **state)
{
    (void)state;
    const char *const none[] = {"qk-no-such-program", NULL};
    struct qk_err err = {0};
    assert_int_equal(qk_child_run(none, NULL, 10, NULL, 0, &err), QK_ECHILD);
    assert_non_null(strstr(err.hint, "qk-no-such-program"));
}

static void a_hanging_child_is_killed(void **state)
{
    (void)state;
    const char *const hangs[] = {"sleep", "100", NULL};
    struct qk_err err = {0};
    assert_int_equal(qk_child_run(hangs, NULL, 0.3, NULL, 0, &err), QK_ECHILD);
    assert_non_null(strstr(err.text, "killed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(output_and_status), cmocka_unit_test(absence_has_a_hint),
                                       cmocka_unit_test(a_hanging_child_is_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
