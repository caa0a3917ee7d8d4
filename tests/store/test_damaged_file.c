/* Cut and flipped run files: an error that names the file, never a crash, never other values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "store/store.h"
#include "synthetic_run.h"
#include "table_equal.h"

enum { SEAL = 84, SEAL_TEXT = 19, N_FLIPS = 300, N_CUTS = 150 };

struct fixture {
    char directory[32], path[64];
    struct qk_table *table; /* what the whole file holds */
    char *bytes;
    size_t n;
};

static int write_whole(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct synthetic_run run = synthetic_whole();
    struct qk_table *table = synthetic_table(&run);
    strcpy(f->directory, "/tmp/qk-damage-XXXXXX");
    if (mkdtemp(f->directory) == NULL) {
        return 1;
    }
    snprintf(f->path, sizeof(f->path), "%s/run.h5", f->directory);
    *state = f;
    bool fine = qk_store_write(table, f->path, false, NULL) == QK_OK &&
                qk_file_slurp(f->path, 1 << 28, &f->bytes, &f->n, NULL) == QK_OK &&
                qk_store_read(f->path, &f->table, NULL) == QK_OK;
    qk_table_free(table);
    return !fine;
}

static int remove_all(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    int status = rmdir(f->directory);
    qk_table_free(f->table);
    qk_free(f->bytes);
    free(f);
    return status;
}

/* Writes n bytes as the file and reads it; true when it was accepted, and then it held the same table. */
static bool is_accepted(const struct fixture *f, const char *bytes, size_t n)
{
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    FILE *file = fopen(f->path, "wb"); /* not by the atomic writer: hundreds of syncs would take the test's time */
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    enum qk_code code = qk_store_read(f->path, &table, &err);
    if (code == QK_OK) {
        assert_tables_equal(f->table, table);
        qk_table_free(table);
        return true;
    }
    assert_int_equal(code, QK_EFORMAT);
    assert_null(table);
    assert_int_equal(strncmp(err.text, f->path, strlen(f->path)), 0);
    return false;
}

/* Without the seal HDF5's own end of file decides, so a file cut inside the seal is still whole. */
static void test_cut(void **state)
{
    const struct fixture *f = *state;
    for (size_t k = 0; k < N_CUTS; k++) {
        size_t n = (f->n - SEAL) * k / N_CUTS;
        assert_false(is_accepted(f, f->bytes, n));
    }
    for (size_t cut = 1; cut <= SEAL + 16; cut++) {
        assert_int_equal(is_accepted(f, f->bytes, f->n - cut), cut <= SEAL);
    }
}

/* Only a flip in the words that make the seal a seal can go by, and then nothing else was hit. */
static void test_flips(void **state)
{
    const struct fixture *f = *state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 20260101);
    for (size_t k = 0; k < N_FLIPS; k++) {
        size_t at = (size_t)qk_rng_below(&rng, f->n);
        char mask = (char)(1 + qk_rng_below(&rng, 255));
        f->bytes[at] ^= mask;
        bool in_text = at >= f->n - SEAL && (at < f->n - SEAL + SEAL_TEXT || at == f->n - 1);
        assert_int_equal(is_accepted(f, f->bytes, f->n), in_text);
        f->bytes[at] ^= mask;
    }
    for (size_t at = f->n - SEAL; at < f->n; at++) {
        f->bytes[at] ^= 1;
        bool in_text = at < f->n - SEAL + SEAL_TEXT || at == f->n - 1;
        assert_int_equal(is_accepted(f, f->bytes, f->n), in_text);
        f->bytes[at] ^= 1;
    }
    assert_true(is_accepted(f, f->bytes, f->n));
}

/* HDF5 1.10 forgets memory when it meets damage; what is ours is still looked for. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

/* HDF5 alone stands between these bytes and the table: anything may come of them, but not a crash. */
static void test_flips_without_seal(void **state)
{
    const struct fixture *f = *state;
    struct qk_rng rng;
    qk_rng_seed(&rng, 20260102);
    size_t n = f->n - SEAL, n_refused = 0;
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t k = 0; k < N_FLIPS; k++) {
        memcpy(bytes, f->bytes, n);
        for (size_t i = 0; i <= k % 8; i++) {
            bytes[qk_rng_below(&rng, n)] = (char)qk_rng_below(&rng, 256);
        }
        FILE *file = fopen(f->path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
        struct qk_table *table = NULL;
        struct qk_err err = {0};
        if (qk_store_read(f->path, &table, &err) == QK_OK) {
            qk_table_free(table);
        } else {
            n_refused++;
            assert_int_equal(strncmp(err.text, f->path, strlen(f->path)), 0);
        }
    }
    assert_true(n_refused > 0);
    free(bytes);
}

static void test_other_files(void **state)
{
    const struct fixture *f = *state;
    static const char text[] = "dataset\tvalue\n", signature[] = "\x89HDF\r\n\x1a\n and nothing else";
    assert_false(is_accepted(f, "", 0));
    assert_false(is_accepted(f, text, sizeof(text)));
    assert_false(is_accepted(f, signature, sizeof(signature)));
    struct qk_table *table = NULL;
    struct qk_err err = {0};
    assert_int_equal(qk_store_read(f->directory, &table, &err), QK_EIO);
    assert_int_equal(qk_store_read("/nonexistent/run.h5", &table, &err), QK_EIO);
    assert_non_null(strstr(err.text, "/nonexistent/run.h5"));
    assert_null(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_flips_without_seal),
        cmocka_unit_test(test_other_files),
    };
    return cmocka_run_group_tests_name("damaged file", tests, write_whole, remove_all);
}
