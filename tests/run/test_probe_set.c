/* Reading probes: what comes out, and that a failing allocation anywhere is an error and no leak or crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "run/probe.h"
#include "run/probe_set.h"

static char path[] = "/tmp/qk-probe-set-XXXXXX";

static void write_probes(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static const char probes[] = "{\"ids\": [0, 7, 9, 4], \"spans\": [{\"name\": \"needle\", \"start\": 1, \"end\": 3}]}\n"
                             "\r\n"
                             "{\"spans\": null, \"ids\": [1], \"note\": \"unknown members are the user's\"}\n"
                             "{\"ids\": [2, 3]}";

static void check_set(const struct qk_probe_set *set)
{
    assert_int_equal(set->n, 3);
    assert_int_equal(set->longest, 4);
    assert_int_equal(set->sequences[0].n, 4);
    assert_int_equal(set->sequences[0].ids[2], 9);
    assert_int_equal(set->sequences[0].n_spans, 1);
    assert_string_equal(set->sequences[0].spans[0].name, "needle");
    assert_int_equal(set->sequences[0].spans[0].start, 1);
    assert_int_equal(set->sequences[0].spans[0].end, 3);
    assert_int_equal(set->sequences[1].line, 3);
    assert_int_equal(set->sequences[2].ids[1], 3);
}

static void test_read(void **state)
{
    (void)state;
    struct qk_arena *arena = qk_arena_new();
    struct qk_probe_set set, fewer;
    struct qk_err err;
    assert_non_null(arena);
    write_probes(probes);
    assert_int_equal(qk_probe_set_tokens(path, "nowhere", 0, arena, &set, &err), QK_OK);
    check_set(&set);
    /* the tokens alone are hashed: sha256 of lengths (u64) and ids (u32), little-endian, by another program */
    assert_string_equal(set.sha256, "bbf47e5410fb2e04738793ce42df8ad5212df84fcba501fac5a6b3bd9bb11d52");
    assert_int_equal(qk_probe_set_tokens(path, "nowhere", 2, arena, &fewer, &err), QK_OK);
    assert_int_equal(fewer.n, 2);
    assert_string_not_equal(fewer.sha256, set.sha256);
    write_probes("{\"text\": \"a\"}\n");
    assert_int_equal(qk_probe_set_tokens(path, "/nowhere/at/all", 0, arena, &set, &err), QK_EIO);
    assert_int_equal(qk_probe_set_text(path, "/nowhere/at/all", 16, 0, arena, &set, &err), QK_EIO);
    assert_int_equal(qk_probe_set_text(path, "/nowhere/at/all", 0, 0, arena, &set, &err), QK_EUSAGE);
    qk_arena_free(arena);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    write_probes(probes);
    enum qk_code code = QK_ENOMEM;
    size_t k = 1;
    for (; code != QK_OK; k++) {
        struct qk_probe_set set = {0};
        struct qk_err err;
        qk_alloc_fail_after(k);
        struct qk_arena *arena = qk_arena_new();
        code = arena == NULL ? QK_ENOMEM : qk_probe_set_tokens(path, "nowhere", 0, arena, &set, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        if (code == QK_OK) {
            check_set(&set);
        }
        qk_arena_free(arena);
        assert_true(k < 10000);
    }
    assert_true(k > 3);
}

static void test_options(void **state)
{
    (void)state;
    struct qk_probe_options options = {0};
    struct qk_err err;
    assert_int_equal(qk_probe_parse_queries("last:12", &options, &err), QK_OK);
    assert_true(options.queries == QK_QUERIES_LAST && options.n_queries == 12);
    assert_int_equal(qk_probe_parse_queries("every:3", &options, &err), QK_OK);
    assert_true(options.queries == QK_QUERIES_EVERY && options.n_queries == 3);
    assert_int_equal(qk_probe_parse_queries("all", &options, &err), QK_OK);
    assert_true(options.queries == QK_QUERIES_ALL);
    static const char *const bad_queries[] = {"", "last", "last:", "last:0", "every:-1", "every:1x", "ALL"};
    for (size_t i = 0; i < sizeof(bad_queries) / sizeof(bad_queries[0]); i++) {
        assert_int_equal(qk_probe_parse_queries(bad_queries[i], &options, &err), QK_EUSAGE);
    }
}

static void test_part(void **state)
{
    (void)state;
    struct qk_part part = {0};
    struct qk_err err;
    assert_int_equal(qk_part_parse("2/7", &part, &err), QK_OK);
    assert_true(part.i == 2 && part.n == 7);
    static const char *const bad[] = {"",    "/",     "1/",  "/2",   "0/2",
                                      "3/2", "1/2/3", "a/b", "-1/2", "00000000000000000000000000001/2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(qk_part_parse(bad[i], &part, &err), QK_EUSAGE);
    }
    /* every piece is in one part, and each part has as many as it says */
    for (size_t n = 0; n < 12; n++) {
        for (size_t parts = 0; parts < 15; parts++) {
            size_t sum = 0;
            for (size_t i = 1; i <= (parts == 0 ? 1 : parts); i++) {
                struct qk_part one = {.i = i, .n = parts};
                size_t own = 0;
                for (size_t k = 0; k < n; k++) {
                    own += qk_part_has(&one, k) ? 1 : 0;
                }
                assert_int_equal(qk_part_count(&one, n), own);
                sum += own;
            }
            assert_int_equal(sum, n);
        }
    }
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
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_part),
    };
    return cmocka_run_group_tests(tests, NULL, remove_file);
}
