/* Reads that check, and output that appears only when complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

static char dir[] = "/tmp/qk-file-XXXXXX";

static size_t entries(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    return n;
}

static void output_appears_when_committed(void **state)
{
    (void)state;
    char *target = qk_path_join(dir, "sub/deep/out.txt"), *sub = qk_path_join(dir, "sub/deep");
    struct qk_atomic_file *file;
    struct qk_err err = {0};
    assert_int_equal(qk_atomic_open(target, false, &file, &err), QK_OK);
    assert_int_equal(qk_atomic_write(file, "hello", 5, &err), QK_OK);
    assert_false(qk_path_exists(target));
    assert_int_equal(qk_atomic_commit(file, &err), QK_OK);
    assert_int_equal(entries(sub), 1);
    char *text;
    size_t n;
    assert_int_equal(qk_file_slurp(target, 100, &text, &n, &err), QK_OK);
    assert_string_equal(text, "hello");
    qk_free(text);
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);

    assert_int_equal(qk_atomic_open(target, false, &file, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "exists already"));
    assert_non_null(strstr(err.hint, "--force"));
    assert_int_equal(qk_atomic_open(target, true, &file, &err), QK_OK);
    assert_int_equal(qk_atomic_write(file, "x", 1, &err), QK_OK);
    qk_atomic_abort(file);
    qk_atomic_abort(NULL);
    assert_int_equal(entries(sub), 1);
    assert_int_equal(qk_file_slurp(target, 4, &text, &n, &err), QK_EFORMAT);
    assert_int_equal(qk_atomic_open(sub, true, &file, &err), QK_EUSAGE);
    qk_free(target);
    qk_free(sub);
}

/* Devices, pipes and links to them: a rename would replace them, /dev/stdout say. */
static void special_files_are_not_replaced(void **state)
{
    (void)state;
    char fifo[sizeof dir + 8], link[sizeof dir + 8];
    struct qk_atomic_file *file;
    struct qk_err err = {0};
    struct stat st;
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("/dev/null", link), 0);
    assert_int_equal(qk_atomic_open(fifo, true, &file, &err), QK_EUSAGE);
    assert_non_null(strstr(err.text, "special file"));
    assert_int_equal(qk_atomic_open(link, true, &file, &err), QK_EUSAGE);
    assert_int_equal(lstat(fifo, &st) == 0 && S_ISFIFO(st.st_mode), 1);
    assert_int_equal(lstat(link, &st) == 0 && S_ISLNK(st.st_mode), 1);
    unlink(fifo);
    unlink(link);
}

static void a_target_that_appears_meanwhile_is_kept(void **state)
{
    (void)state;
    char *target = qk_path_join(dir, "race");
    struct qk_atomic_file *file;
    struct qk_err err = {0};
    assert_int_equal(qk_atomic_open(target, false, &file, &err), QK_OK);
    assert_int_equal(qk_atomic_put(target, false, "first", 5, &err), QK_OK);
    assert_int_equal(qk_atomic_commit(file, &err), QK_EUSAGE);
    char *text;
    size_t n;
    assert_int_equal(qk_file_slurp(target, 100, &text, &n, &err), QK_OK);
    assert_string_equal(text, "first");
    qk_free(text);
    qk_free(target);
}

static void a_full_disk_leaves_nothing(void **state)
{
    (void)state;
    char *sub = qk_path_join(dir, "full");
    char *target = qk_path_join(sub, "out");
    struct rlimit old, small = {1000, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct qk_err err = {0};
    static char data[5000];
    enum qk_code code = qk_atomic_put(target, false, data, sizeof data, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, QK_EIO);
    assert_non_null(strstr(err.text, target));
    assert_int_equal(entries(sub), 0);
    qk_free(sub);
    qk_free(target);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    char *fifo = qk_path_join(dir, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int fd = -1;
    uint64_t size;
    struct qk_err err = {0};
    assert_int_equal(qk_file_open(fifo, &fd, &size, &err), QK_EIO);
    assert_non_null(strstr(err.text, "special file"));
    assert_int_equal(qk_file_open(dir, &fd, &size, &err), QK_EIO);
    assert_non_null(strstr(err.text, "directory"));
    assert_int_equal(qk_file_open("/no/such/file", &fd, &size, &err), QK_EIO);
    assert_int_equal(fd, -1);
    qk_free(fifo);
}

static void a_short_read_is_named(void **state)
{
    (void)state;
    char *path = qk_path_join(dir, "short");
    struct qk_err err = {0};
    assert_int_equal(qk_atomic_put(path, false, "0123456789", 10, &err), QK_OK);
    int fd;
    uint64_t size;
    char buf[8] = {0};
    assert_int_equal(qk_file_open(path, &fd, &size, &err), QK_OK);
    assert_int_equal(size, 10);
    assert_int_equal(qk_file_read_at(fd, path, 3, 7, buf, &err), QK_OK);
    assert_string_equal(buf, "3456789");
    assert_int_equal(qk_file_read_at(fd, path, 4, 7, buf, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "truncated"));
    qk_file_close(fd);
    qk_free(path);
}

static void paths(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"a/b", "b"}, {"a/b///", "b"}, {"b", "b"}, {"/", "/"}, {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *base = qk_path_basename(cases[i][0]);
        assert_string_equal(base, cases[i][1]);
        qk_free(base);
    }
    char *joined = qk_path_join("a/", "b");
    assert_string_equal(joined, "a/b");
    qk_free(joined);
}

static int make_directory(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    return mkdtemp(dir) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_appears_when_committed),
        cmocka_unit_test(special_files_are_not_replaced),
        cmocka_unit_test(a_target_that_appears_meanwhile_is_kept),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_short_read_is_named),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
