/* Comparing in memory: threads, failing allocations, spans of every kind of border. The command is tested by
 * check_compare.py. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "compare_span.h"
#include "num/blas.h"
#include "repair/compare.h"

struct pair {
    struct qk_ckpt *a, *b;
    struct qk_model *model, *other;
    struct qk_plan_unit unit;
    struct qk_plan plan;
};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static struct qk_ckpt *open_one(const char *below)
{
    char path[1024];
    struct qk_err err = {0};
    struct qk_ckpt *ckpt = NULL;
    snprintf(path, sizeof path, "%s/weights/%s", getenv("QK_TEST_DATA"), below);
    must(qk_ckpt_open(path, &ckpt, &err), &err);
    return ckpt;
}

static void open_pair(struct pair *p)
{
    struct qk_err err = {0};
    *p = (struct pair){.a = open_one("llama/sft"), .b = open_one("llama/base")};
    must(qk_model_open(p->a, &p->model, &err), &err);
    must(qk_model_open(p->b, &p->other, &err), &err);
    p->unit = (struct qk_plan_unit){
        .layer = 1, .tensors = QK_PLAN_Q | QK_PLAN_K, .action = QK_PLAN_ALIGN, .method = QK_PLAN_ROTATE, .alpha = 1};
    p->plan = (struct qk_plan){.n_units = 1, .units = &p->unit};
}

static void close_pair(struct pair *p)
{
    qk_model_free(p->model);
    qk_model_free(p->other);
    qk_ckpt_close(p->a);
    qk_ckpt_close(p->b);
}

static enum qk_code run(const struct pair *p, bool with_plan, size_t n_threads, struct qk_arena *arena,
                        struct qk_compare *ret, struct qk_err *err)
{
    struct qk_pool *pool = NULL;
    struct qk_edits *edits = NULL;
    enum qk_code code = qk_pool_new(n_threads, &pool, err);
    if (code == QK_OK && with_plan) {
        code = qk_edits_new(&p->plan, p->other, p->model, &edits, err);
    }
    if (code == QK_OK) {
        const struct qk_compare_options options = {.model = p->model, .edits = edits, .pool = pool};
        code = qk_compare(p->a, p->b, &options, arena, ret, err);
    }
    qk_edits_free(edits);
    qk_pool_free(pool);
    return code;
}

static void assert_same(const struct qk_compare *x, const struct qk_compare *y)
{
    assert_int_equal(x->n_differing, y->n_differing);
    for (size_t i = 0; i < x->n_differing; i++) {
        const struct qk_compare_tensor *s = &x->differing[i], *t = &y->differing[i];
        assert_string_equal(s->name, t->name);
        assert_int_equal(s->n_differing, t->n_differing);
        assert_int_equal(s->first_byte, t->first_byte);
        assert_true(s->max_abs == t->max_abs);
        assert_int_equal(s->n_parts, t->n_parts);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    for (int with_plan = 0; with_plan < 2; with_plan++) {
        struct qk_arena *one_arena = qk_arena_new(), *many_arena = qk_arena_new();
        struct qk_compare one, many;
        struct qk_err err = {0};
        assert_true(one_arena != NULL && many_arena != NULL);
        must(run(&p, with_plan, 1, one_arena, &one, &err), &err);
        must(run(&p, with_plan, 4, many_arena, &many, &err), &err);
        assert_true(one.n_differing > 0 && !one.equal);
        assert_int_equal(one.n_planned_tensors, with_plan ? 2 : 0);
        assert_same(&one, &many);
        qk_arena_free(one_arena);
        qk_arena_free(many_arena);
    }
    close_pair(&p);
}

static void running_out_of_memory(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    enum qk_code code = QK_ENOMEM;
    size_t n = 0;
    for (n = 1; code != QK_OK; n++) {
        struct qk_arena *arena = qk_arena_new();
        struct qk_compare ret;
        struct qk_err err = {0};
        assert_non_null(arena);
        qk_alloc_fail_after(n);
        code = run(&p, true, 1, arena, &ret, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        qk_arena_free(arena);
    }
    assert_true(n > 20);
    close_pair(&p);
}

/* Every byte of a (3, 5) matrix of 16-bit numbers, in every span that holds it. */
static void spans_find_the_row(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 5, N = 2 * ROWS * COLS };
    const struct qk_tensor t = {
        .dtype = QK_DTYPE_F16, .n_dims = 2, .shape = {ROWS, COLS}, .n_elements = ROWS * COLS, .n_bytes = N};
    for (int transposed = 0; transposed < 2; transposed++) {
        for (size_t at = 0; at < N; at += 2) {
            for (size_t end = at + 2; end <= N; end += 2) {
                for (size_t byte = at; byte < end; byte++) {
                    unsigned char expected[N] = {0}, found[N] = {0};
                    _Atomic uint64_t word = 0;
                    struct qk_compare_sums sums = {.rows = &word};
                    qk_compare_sums_init(&sums, &t, &t, transposed);
                    found[byte] = 1;
                    qk_compare_sums_add(&sums, at, end - at, expected + at, found + at);
                    uint64_t row = transposed ? byte / 2 % COLS : byte / 2 / COLS;
                    assert_int_equal(atomic_load(&word), (uint64_t)1 << row);
                    assert_int_equal(atomic_load(&sums.first_byte), byte);
                    assert_int_equal(qk_compare_sums_count(&sums, row, 1), 1);
                }
            }
        }
    }
}

/* Places among many numbers: whole lanes and their rest. */
static void numbers_that_are_none(void **state)
{
    (void)state;
    enum { N = 21 };
    const struct qk_tensor t = {.dtype = QK_DTYPE_F32, .n_dims = 1, .shape = {N}, .n_elements = N, .n_bytes = 4 * N};
    static const struct {
        float from, to;
        double most;
    } cases[] = {
        {2, 2.5f, 0.5},          {2, -2.5f, 4.5},
        {2, NAN, INFINITY},      {NAN, -2, INFINITY},
        {INFINITY, 1, INFINITY}, {-INFINITY, INFINITY, INFINITY},
        {NAN, -NAN, 0},          {FLT_MAX, -FLT_MAX, 2.0 * FLT_MAX},
    };
    for (size_t i = 0; i < N * sizeof cases / sizeof cases[0]; i++) {
        size_t at = i % N, c = i / N;
        float expected[N], found[N];
        for (size_t j = 0; j < N; j++) {
            expected[j] = found[j] = j % 3 == 0 ? INFINITY : j % 3 == 1 ? NAN : (float)j;
        }
        expected[at] = cases[c].from;
        found[at] = cases[c].to;
        _Atomic uint64_t word = 0;
        struct qk_compare_sums sums = {.rows = &word};
        double most;
        qk_compare_sums_init(&sums, &t, &t, false);
        qk_compare_sums_add(&sums, 0, sizeof found, (const unsigned char *)expected, (const unsigned char *)found);
        uint64_t bits = atomic_load(&sums.max_bits);
        memcpy(&most, &bits, sizeof most);
        assert_true(most == cases[c].most);
        assert_int_equal(atomic_load(&word), (uint64_t)1 << at);
    }
}

int main(void)
{
    qk_blas_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(running_out_of_memory),
        cmocka_unit_test(spans_find_the_row),
        cmocka_unit_test(numbers_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
