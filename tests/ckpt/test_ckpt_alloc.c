/* The k-th allocation fails, for every k: opening and validating give QK_ENOMEM or succeed, and leak nothing (the
 * address sanitizer's build sees to that). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "case_manifest.h"
#include "ckpt/ckpt.h"

static size_t count_open_files(void)
{
    size_t n = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream) != NULL) {
        n++;
    }
    closedir(stream);
    return n;
}

static void remove_files(const struct malformed_case *c, const char *dir)
{
    char path[4096];
    for (size_t i = 0; i < c->n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, c->files[i].name);
        (void)remove(path);
    }
    snprintf(path, sizeof path, "%s/config.json", dir);
    (void)remove(path);
    assert_int_equal(remove(dir), 0);
}

static void ignore(void *ctx, const struct qk_violation *violation)
{
    (void)ctx;
    assert_non_null(violation->rule);
}

/* Numbers of allocations that opening and validating need. */
static void fail_each(const char *path, size_t *ret_open, size_t *ret_validate)
{
    struct qk_err err = {0}, wanted = {0};
    struct qk_ckpt *ckpt = NULL;
    size_t n, k = 0;
    enum qk_code plain = qk_ckpt_open(path, &ckpt, &wanted), code;
    qk_ckpt_close(ckpt);
    do {
        ckpt = NULL;
        qk_alloc_fail_after(++k);
        code = qk_ckpt_open(path, &ckpt, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_ENOMEM || code == plain);
        assert_true((code == QK_OK) == (ckpt != NULL));
        qk_ckpt_close(ckpt);
    } while (code == QK_ENOMEM && k < 100000);
    assert_int_equal(code, plain);
    assert_string_equal(plain == QK_OK ? "" : err.text, wanted.text);
    *ret_open = k;
    k = 0;
    do {
        qk_alloc_fail_after(++k);
        code = qk_ckpt_validate(path, ignore, NULL, &n, &err);
        qk_alloc_fail_after(0);
    } while (code == QK_ENOMEM && k < 100000);
    assert_true(code == QK_OK || code == plain);
    *ret_validate = k;
}

/* All cases of the malformed corpus, the good ones among them. */
static void test_each_case(void **state)
{
    (void)state;
    char manifest[4096], path[4096];
    snprintf(manifest, sizeof manifest, "%s/malformed/cases.txt", getenv("QK_TEST_DATA"));
    size_t n, deepest = 0, files = count_open_files();
    struct malformed_case *cases = case_manifest_load(manifest, &n);
    for (size_t i = 0; i < n; i++) {
        char dir[] = "/tmp/qk-alloc-XXXXXX";
        assert_non_null(mkdtemp(dir));
        case_write(&cases[i], dir);
        snprintf(path, sizeof path, cases[i].at == NULL ? "%s" : "%s/%s", dir, cases[i].at);
        size_t opening, validating;
        fail_each(path, &opening, &validating);
        deepest = opening > deepest ? opening : deepest;
        remove_files(&cases[i], dir);
    }
    case_manifest_free(cases, n);
    assert_true(deepest > 20);
    assert_int_equal(count_open_files(), files);
}

static void test_real_checkpoint(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof path, "%s/examples/amnesia/base", getenv("QK_SOURCE_ROOT"));
    size_t opening, validating;
    fail_each(path, &opening, &validating);
    assert_true(opening > 20 && validating > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_case), cmocka_unit_test(test_real_checkpoint)};
    return cmocka_run_group_tests_name("failing allocations", tests, NULL, NULL);
}
