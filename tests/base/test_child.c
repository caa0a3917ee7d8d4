/* Child processes: output, exit status, absence, time limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/file.h"
#include "base/interrupt.h"
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

static void attended_children_write_to_their_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/qk-child-XXXXXX", path[64], *text;
    size_t len;
    int status = -1;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/out", dir);
    const char *const fine[] = {"sh", "-c", "echo one; cat; exit 3", NULL};
    assert_int_equal(qk_child_attend(fine, path, &status, NULL), QK_OK);
    assert_int_equal(status, 3);
    assert_int_equal(qk_file_slurp(path, 100, &text, &len, NULL), QK_OK);
    assert_string_equal(text, "one\n");
    qk_free(text);
    struct qk_err err = {0};
    const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
    assert_int_equal(qk_child_attend(killed, path, &status, &err), QK_ECHILD);
    assert_non_null(strstr(err.text, "signal 9"));
    const char *const none[] = {"qk-no-such-program", NULL};
    assert_int_equal(qk_child_attend(none, path, &status, &err), QK_ECHILD);
    assert_int_equal(qk_child_attend(fine, "/nonexistent/out", &status, &err), QK_EIO);
    assert_int_equal(status, 3);
    (void)unlink(path);
    (void)rmdir(dir);
}

/* Ctrl-C at this process reaches the child once, and the child's end is waited for. */
static void an_interrupt_is_passed_on(void **state)
{
    (void)state;
    char dir[] = "/tmp/qk-child-XXXXXX", path[64], *text;
    size_t len;
    int status = -1;
    struct qk_err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/out", dir);
    qk_interrupt_install();
    const char *const child[] = {
        "sh", "-c",
        "trap 'echo told; exit 130' INT; kill -INT $PPID; n=0; while [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done",
        NULL};
    assert_int_equal(qk_child_attend(child, path, &status, &err), QK_EINTERRUPTED);
    assert_int_equal(qk_file_slurp(path, 100, &text, &len, NULL), QK_OK);
    assert_string_equal(text, "told\n");
    qk_free(text);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(output_and_status), cmocka_unit_test(absence_has_a_hint),
                                       cmocka_unit_test(a_hanging_child_is_killed),
                                       cmocka_unit_test(attended_children_write_to_their_file),
                                       cmocka_unit_test(an_interrupt_is_passed_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
