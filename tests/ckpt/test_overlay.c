/* Overlays: every range of a patched tensor reads as the same bytes patched by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "ckpt/overlay.h"

enum { N = 64 };

static struct qk_ckpt *open_fixture(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/weights/llama/base", getenv("QK_TEST_DATA"));
    struct qk_ckpt *ckpt = NULL;
    struct qk_err err;
    assert_int_equal(qk_ckpt_open(path, &ckpt, &err), QK_OK);
    return ckpt;
}

static enum qk_code counting(void *ctx, uint64_t at, size_t n, void *buf, struct qk_err *err)
{
    (void)err;
    for (size_t i = 0; i < n; i++) {
        ((unsigned char *)buf)[i] = (unsigned char)(at + i + *(const unsigned char *)ctx);
    }
    return QK_OK;
}

static void every_range(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *over = NULL;
    const struct qk_tensor *t = &below->tensors[3];
    unsigned char seed = 7, expected[N], bytes[5] = {1, 2, 3, 4, 5}, got[N];
    const struct qk_overlay_patch patches[] = {
        {t, 30, 10, t->dtype, NULL, counting, &seed},
        {t, 8, 5, t->dtype, bytes, NULL, NULL},
        {t, 13, 2, t->dtype, bytes, NULL, NULL},
    };
    struct qk_err err;
    assert_int_equal(qk_ckpt_overlay(below, "patched", 3, patches, &over, &err), QK_OK);
    assert_string_equal(over->name, "patched");
    assert_int_equal(qk_ckpt_read(below, t, 0, N, expected, &err), QK_OK);
    memcpy(expected + 8, bytes, 5);
    memcpy(expected + 13, bytes, 2);
    assert_int_equal(counting(&seed, 0, 10, expected + 30, &err), QK_OK);
    const struct qk_tensor *shown = qk_ckpt_find(over, t->name);
    for (size_t from = 0; from <= N; from++) {
        for (size_t n = 0; from + n <= N; n++) {
            memset(got, 0xEE, sizeof got);
            assert_int_equal(qk_ckpt_read(over, shown, from, n, got, &err), QK_OK);
            assert_memory_equal(got, expected + from, n);
        }
    }
    /* another tensor is what the file holds */
    unsigned char a[N], b[N];
    assert_int_equal(qk_ckpt_read(below, &below->tensors[0], 0, N, a, &err), QK_OK);
    assert_int_equal(qk_ckpt_read(over, &over->tensors[0], 0, N, b, &err), QK_OK);
    assert_memory_equal(a, b, N);
    qk_ckpt_close(over);
    qk_ckpt_close(below);
}

static void another_dtype(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *over = NULL;
    const struct qk_tensor *t = &below->tensors[2];
    unsigned char seed = 1, got[N];
    struct qk_err err;
    struct qk_overlay_patch patch = {t, 0, t->n_elements * 8, QK_DTYPE_F64, NULL, counting, &seed};
    assert_int_equal(qk_ckpt_overlay(below, "wide", 1, &patch, &over, &err), QK_OK);
    assert_int_equal(over->tensors[2].dtype, QK_DTYPE_F64);
    assert_int_equal(over->tensors[2].n_bytes, t->n_elements * 8);
    assert_int_equal(qk_ckpt_read(over, &over->tensors[2], t->n_elements * 8 - N, N, got, &err), QK_OK);
    assert_int_equal(got[N - 1], (unsigned char)(t->n_elements * 8 - 1 + seed));
    assert_int_equal(over->total_bytes - below->total_bytes, t->n_elements * 8 - t->n_bytes);
    qk_ckpt_close(over);
    patch.n -= 8;
    assert_int_equal(qk_ckpt_overlay(below, "wide", 1, &patch, &over, &err), QK_EINTERNAL);
    qk_ckpt_close(below);
}

static void wrong_patches(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *over = NULL;
    const struct qk_tensor *t = &below->tensors[3];
    struct qk_tensor stranger = *t;
    unsigned char bytes[16] = {0};
    struct qk_err err;
    struct qk_overlay_patch two[2] = {{t, 0, 9, t->dtype, bytes, NULL, NULL}, {t, 8, 8, t->dtype, bytes, NULL, NULL}};
    assert_int_equal(qk_ckpt_overlay(below, "x", 2, two, &over, &err), QK_EINTERNAL);
    struct qk_overlay_patch beyond = {t, t->n_bytes - 8, 16, t->dtype, bytes, NULL, NULL};
    assert_int_equal(qk_ckpt_overlay(below, "x", 1, &beyond, &over, &err), QK_EINTERNAL);
    struct qk_overlay_patch strange = {&stranger, 0, 8, t->dtype, bytes, NULL, NULL};
    assert_int_equal(qk_ckpt_overlay(below, "x", 1, &strange, &over, &err), QK_EINTERNAL);
    assert_null(over);
    qk_ckpt_close(below);
}

static void failing_allocations(void **state)
{
    (void)state;
    struct qk_ckpt *below = open_fixture(), *over = NULL;
    struct qk_err err;
    size_t k = 1;
    for (;; k++) {
        qk_alloc_fail_after(k);
        enum qk_code code = qk_ckpt_overlay(below, "x", 0, NULL, &over, &err);
        qk_alloc_fail_after(0);
        if (code == QK_OK) {
            break;
        }
        assert_int_equal(code, QK_ENOMEM);
    }
    assert_true(k > 1);
    qk_ckpt_close(over);
    qk_ckpt_close(below);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range),
        cmocka_unit_test(another_dtype),
        cmocka_unit_test(wrong_patches),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
