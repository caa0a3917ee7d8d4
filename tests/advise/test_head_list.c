/* Lists of head scores: both forms read by hand, what they do to the plan, refusals that name the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "advise/head_list.h"
#include "advise/recommendation.h"
#include "base/alloc.h"
#include "made_run.h"

static const char matrix[] = "0.5\t1.25\n\n0 0.25\nnan\tnan\r\n0.0625 -1\n1 1\nnan nan\n";

/* Reads text as a list for the made run's drift; the table and arena stay for the caller. */
struct listed_run {
    struct qk_table *table;
    struct qk_arena *arena;
    struct qk_evidence e;
    struct qk_err err;
};

static enum qk_code read_list(struct listed_run *run, const char *text, size_t len)
{
    char path[] = "/tmp/qk_head_list_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
    *run = (struct listed_run){.table = made_run(MADE_DRIFT), .arena = qk_arena_new()};
    run->e = made_evidence(run->table, run->arena);
    enum qk_code code = qk_head_list_read(path, &run->e, run->arena, &run->err);
    unlink(path);
    return code;
}

static void release(struct listed_run *run)
{
    qk_arena_free(run->arena);
    qk_table_free(run->table);
}

static void assert_listed(const struct qk_evidence *e, size_t layer, double a, double b, double c, double d)
{
    const double expected[MADE_HEADS] = {a, b, c, d};
    for (size_t h = 0; h < MADE_HEADS; h++) {
        double found = qk_evidence_listed(e, layer, h);
        if (!(isnan(found) && isnan(expected[h])) && !(fabs(found - expected[h]) < 1e-15)) {
            fail_msg("layer %zu head %zu: expected %g, found %g", layer, h, expected[h], found);
        }
    }
}

static void lists_are_means(void **state)
{
    (void)state;
    /* single scores above 1, and means of a little more, are in Retrieval_Head's own lists */
    static const char text[] =
        " {\"1-3\": [0, 1.5, 0], \"3-0\": 1, \"3-1\": [1.0000000000000002, 1.005], \"0-2\": [0]}";
    struct listed_run run;
    assert_int_equal(read_list(&run, text, strlen(text)), QK_OK);
    assert_listed(&run.e, 0, NAN, NAN, 0.0, NAN);
    assert_listed(&run.e, 1, NAN, NAN, NAN, 0.5);
    assert_listed(&run.e, 3, 1.0, 1.0, NAN, NAN);
    assert_true(isnan(qk_evidence_listed(&run.e, MADE_LAYERS, 0)));
    release(&run);
}

static void rows_are_kv_heads(void **state)
{
    (void)state;
    struct listed_run run;
    assert_int_equal(read_list(&run, matrix, strlen(matrix)), QK_OK);
    assert_listed(&run.e, 0, 0.5, 0.5, 1.0, 1.0);
    assert_listed(&run.e, 1, 0.0, 0.0, 0.25, 0.25);
    assert_listed(&run.e, 2, NAN, NAN, NAN, NAN);
    assert_listed(&run.e, 3, 0.0625, 0.0625, 0.0, 0.0);
    release(&run);
}

/* Of the full layers 1 and 3, the one with a retrieval head is restored, with the score that its parts give. */
static void retrieval_heads_that_moved_are_restored(void **state)
{
    (void)state;
    struct listed_run run;
    assert_int_equal(read_list(&run, matrix, strlen(matrix)), QK_OK);
    assert_int_equal(qk_score_basis_of(&run.e), QK_BASIS_LISTED);
    struct qk_head_score s = qk_score_head(&run.e, QK_BASIS_LISTED, 1, 2);
    double x = qk_evidence_drift(&run.e, 1, 2) * sqrt(1.0 - qk_evidence_alignable(&run.e, 1, 2));
    assert_true(fabs(s.score - sqrt(0.25 * x / (1.0 + x))) < 1e-15);
    assert_int_equal(s.lost, QK_LOST_LISTED);

    struct qk_recommend_options options = {.budget = SIZE_MAX, .qkscope = "0", .command = ""};
    struct qk_recommendation r;
    assert_int_equal(qk_recommend(&run.e, &options, run.arena, &r, NULL), QK_OK);
    assert_int_equal(r.layers[1].action, QK_PLAN_RESTORE);
    assert_int_equal(r.layers[3].action, QK_PLAN_KEEP);
    assert_int_equal(r.n_changed, 1);
    assert_non_null(strstr(r.plan.units[0].reason, "the list of heads gives it 0.25"));
    assert_non_null(strstr(r.plan.units[1].reason, "no head that moved has 0.1 or more"));
    release(&run);
}

static void refusals_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum qk_code code;
        const char *words;
    } cases[] = {
        {"{\"9-0\": [1]}", QK_EMISMATCH, "\"9-0\""},
        {"{\"1-4\": [1]}", QK_EMISMATCH, "\"1-4\""},
        {"{\"5-0\": [1]}", QK_EMISMATCH, "\"5-0\""}, /* a layer without heads */
        {"{\"1\": [1]}", QK_EMISMATCH, "\"1\""},
        {"{\"1-\": [1]}", QK_EMISMATCH, "\"1-\""},
        {"{\"-1-0\": [1]}", QK_EMISMATCH, "\"-1-0\""},
        {"{\"99999999999999999999-0\": [1]}", QK_EMISMATCH, "6 layers"},
        {"{\"1-0\": []}", QK_EFORMAT, "\"1-0\""},
        {"{\"1-0\": [2]}", QK_EFORMAT, "0 to 1 in the mean"},
        {"{\"1-0\": [0.5, -0.5]}", QK_EFORMAT, "\"1-0\""},
        {"{\"1-0\": [50, 1]}", QK_EFORMAT, "\"1-0\""},
        {"{\"1-0\": [NaN]}", QK_EFORMAT, "0 to 1 in the mean"},
        {"{\"1-0\": \"x\"}", QK_EFORMAT, "\"1-0\""},
        {"{}", QK_EFORMAT, "no head has a score"},
        {"{\"1-0\": 1", QK_EFORMAT, "qk_head_list"},
        {"", QK_EMISMATCH, "expected 6 lines"},
        {"1 1\n1 1\n", QK_EMISMATCH, "found 2"},
        {"1 1\n1\n", QK_EMISMATCH, "line 2: expected 2 scores"},
        {"1 1 1\n", QK_EMISMATCH, "line 1: expected 2 scores"},
        {"1 x\n", QK_EFORMAT, "'x'"},
        {"1 inf\n", QK_EMISMATCH, "'inf'"},
        {"1 1\n1 1\n1 1\n1 1\n1 1\n\nnan\n1 1\n", QK_EMISMATCH, "line 8"},
        {"nan nan\nnan nan\nnan nan\nnan nan\nnan nan\nnan\n", QK_EFORMAT, "no head has a score"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listed_run run;
        enum qk_code code = read_list(&run, cases[i].text, strlen(cases[i].text));
        if (code != cases[i].code || strstr(run.err.text, cases[i].words) == NULL) {
            fail_msg("%s: code %d, '%s' (expected %d, '%s')", cases[i].text, code, run.err.text, cases[i].code,
                     cases[i].words);
        }
        assert_null(run.e.listed.scores);
        release(&run);
    }
    struct listed_run run;
    assert_int_equal(read_list(&run, "1\0001", 3), QK_EFORMAT);
    release(&run);
}

static void allocation_failures(void **state)
{
    (void)state;
    char path[] = "/tmp/qk_head_list_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "{\"1-0\": [0.5]}";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct qk_table *table = made_run(MADE_DRIFT);
    enum qk_code code = QK_ENOMEM;
    size_t n_failures = 0;
    for (size_t k = 1; code != QK_OK; k++, n_failures++) {
        struct qk_arena *arena = qk_arena_new();
        struct qk_evidence e = made_evidence(table, arena);
        qk_alloc_fail_after(k);
        code = qk_head_list_read(path, &e, arena, NULL);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        qk_arena_free(arena);
    }
    assert_true(n_failures > 1);
    unlink(path);
    qk_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_means),
        cmocka_unit_test(rows_are_kv_heads),
        cmocka_unit_test(retrieval_heads_that_moved_are_restored),
        cmocka_unit_test(refusals_name_the_place),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests_name("head list", tests, NULL, NULL);
}
