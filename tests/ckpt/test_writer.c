/* The writer itself: overlays become the file's bytes, ranges are checked, an aborted copy leaves nothing. Its promises
 * about killed runs, full disks and directories are held by tests/repair/check_writer.py. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "ckpt/overlay.h"
#include "ckpt/writer.h"

static char dir[256], target[300];

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/qk-writer-XXXXXX", tmp ? tmp : "/tmp");
    snprintf(target, sizeof target, "%s/out", mkdtemp(dir) ? dir : "?");
    return 0;
}

static int remove_dir(void **state)
{
    char command[512];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static size_t entries(void)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n - 2;
}

static struct qk_ckpt *open_fixture(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/weights/llama/base", getenv("QK_TEST_DATA"));
    struct qk_ckpt *ckpt = NULL;
    struct qk_err err;
    assert_int_equal(qk_ckpt_open(path, &ckpt, &err), QK_OK);
    return ckpt;
}

static enum qk_code sevens(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err)
{
    (void)ctx;
    (void)at;
    (void)err;
    memset(buf, 7, n);
    return QK_OK;
}

static void assert_same(const struct qk_ckpt *a, const struct qk_ckpt *b)
{
    struct qk_err err;
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        size_t n = (size_t)a->tensors[i].n_bytes;
        unsigned char *x = malloc(2 * n + 1);
        assert_non_null(x);
        assert_int_equal(qk_ckpt_read(a, &a->tensors[i], 0, n, x, &err), QK_OK);
        assert_int_equal(qk_ckpt_read(b, &b->tensors[i], 0, n, x + n, &err), QK_OK);
        assert_memory_equal(x, x + n, n);
        free(x);
    }
}

/* Two overlays, one over the other, and a range that is replaced and put. */
static void writes_what_overlays_show(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *middle = NULL, *top = NULL, *written = NULL;
    const struct qk_tensor *a = &below->tensors[1], *b = &below->tensors[4];
    unsigned char ones[32], got[16];
    struct qk_err err;
    struct qk_writer *writer;
    memset(ones, 1, sizeof ones);
    const struct qk_overlay_patch first[] = {{a, 4, 32, a->dtype, ones, NULL, NULL},
                                             {b, 0, b->n_bytes, b->dtype, NULL, sevens, NULL}};
    assert_int_equal(qk_ckpt_overlay(below, "middle", 2, first, &middle, &err), QK_OK);
    const struct qk_overlay_patch second = {&middle->tensors[1], 8, 8, a->dtype, NULL, sevens, NULL};
    assert_int_equal(qk_ckpt_overlay(middle, "top", 1, &second, &top, &err), QK_OK);
    const struct qk_writer_range replaced = {&below->tensors[0], 0, below->tensors[0].n_bytes};
    struct qk_writer_options options = {.n_replaced = 1, .replaced = &replaced};
    assert_int_equal(qk_writer_open(top, target, &options, &writer, &err), QK_OK);
    assert_int_equal(entries(), 1);
    assert_false(qk_path_exists(target));
    size_t n = (size_t)replaced.n;
    unsigned char *bytes = malloc(n + 1);
    assert_non_null(bytes);
    assert_int_equal(qk_ckpt_read(below, replaced.tensor, 0, n, bytes, &err), QK_OK);
    assert_int_equal(qk_writer_put(writer, replaced.tensor, 0, n, bytes, &err), QK_OK);
    free(bytes);
    assert_int_equal(qk_writer_put(writer, a, a->n_bytes - 1, 2, ones, &err), QK_EINTERNAL);
    assert_int_equal(qk_writer_read(writer, a, 0, 16, got, &err), QK_OK);
    assert_memory_equal(got + 8, "\7\7\7\7\7\7\7\7", 8);
    assert_int_equal(qk_writer_add_file(writer, "note.txt", "text", 4, &err), QK_OK);
    assert_int_equal(qk_writer_commit(writer, &err), QK_OK);
    assert_int_equal(entries(), 1);
    assert_int_equal(qk_ckpt_open(target, &written, &err), QK_OK);
    assert_same(top, written);
    assert_string_equal(written->header_sha256, below->header_sha256);
    qk_ckpt_close(written);
    qk_ckpt_close(top);
    qk_ckpt_close(middle);
    qk_ckpt_close(below);
}

static void refuses_another_type(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *over = NULL;
    const struct qk_tensor *t = &below->tensors[2];
    struct qk_err err;
    struct qk_writer *writer = NULL;
    const struct qk_overlay_patch patch = {t, 0, t->n_elements * 8, QK_DTYPE_F64, NULL, sevens, NULL};
    struct qk_writer_options options = {0};
    assert_int_equal(qk_ckpt_overlay(below, "wide", 1, &patch, &over, &err), QK_OK);
    assert_int_equal(qk_writer_open(over, target, &options, &writer, &err), QK_EUNSUPPORTED);
    assert_non_null(strstr(err.text, t->name));
    assert_null(writer);
    assert_int_equal(entries(), 0);
    qk_ckpt_close(over);
    qk_ckpt_close(below);
}

static void leaves_nothing_when_aborted(void **state)
{
    (void)state;
    struct qk_ckpt *ckpt = open_fixture();
    struct qk_err err;
    struct qk_writer *writer, *second;
    struct qk_writer_options options = {0};
    qk_writer_abort(NULL);
    assert_int_equal(qk_writer_check(ckpt, target, &options, &err), QK_OK);
    assert_int_equal(qk_writer_open(ckpt, target, &options, &writer, &err), QK_OK);
    /* another writer of the same target does not take this one for abandoned */
    assert_int_equal(qk_writer_open(ckpt, target, &options, &second, &err), QK_OK);
    assert_int_equal(entries(), 2);
    qk_writer_abort(writer);
    assert_int_equal(entries(), 1);
    assert_int_equal(qk_writer_commit(second, &err), QK_OK);
    assert_int_equal(qk_writer_check(ckpt, target, &options, &err), QK_EUSAGE);
    qk_ckpt_close(ckpt);
}

/* Of two writers of one target, the later to commit is refused, and the earlier one's result stays. */
static void the_first_to_commit_wins(void **state)
{
    (void)state;
    struct qk_ckpt *ckpt = open_fixture();
    struct qk_err err;
    struct qk_writer *writer, *second;
    struct qk_writer_options options = {0};
    assert_int_equal(qk_writer_open(ckpt, target, &options, &writer, &err), QK_OK);
    assert_int_equal(qk_writer_open(ckpt, target, &options, &second, &err), QK_OK);
    assert_int_equal(qk_writer_commit(writer, &err), QK_OK);
    assert_int_equal(qk_writer_commit(second, &err), QK_EUSAGE);
    assert_int_equal(entries(), 1);
    qk_ckpt_close(ckpt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_what_overlays_show, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(refuses_another_type, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(leaves_nothing_when_aborted, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(the_first_to_commit_wins, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
