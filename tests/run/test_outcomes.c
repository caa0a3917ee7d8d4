/* Outcomes of variants: runs that begin at the first layer that differs give the bits of whole runs; a plan in memory
 * is the checkpoint that restore writes; parts of the base are where they should be and nowhere else. */
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
#include "base/rng.h"
#include "made_pair.h"
#include "num/blas.h"
#include "repair/restore.h"
#include "run/outcomes.h"
#include "run/variant.h"

enum { N_RECALL = 3, N_REASONING = 4, N_CASES = N_RECALL + N_REASONING, LONGEST = 90, N_ANSWER = 3 };
enum { QK = 1 << QK_ROLE_Q | 1 << QK_ROLE_K | 1 << QK_ROLE_QK_BIAS, ALL = (1 << QK_N_ROLES) - 1 };

static struct made_input base, tuned;
static char dir[64];
static uint32_t ids[N_CASES][LONGEST];
static struct qk_scoring_case cases[N_CASES];
static const size_t lengths[] = {64, 90}, length_of[N_RECALL] = {0, 1, 0};
static struct qk_case_list list = {.n_recall = N_RECALL,
                                   .n_reasoning = N_REASONING,
                                   .cases = cases,
                                   .n_lengths = 2,
                                   .lengths = lengths,
                                   .length_of = length_of};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static int set_up(void **state)
{
    static struct made_weights w;
    struct qk_rng rng;
    char path[128];
    (void)state;
    qk_rng_seed(&rng, 3);
    snprintf(dir, sizeof dir, "/tmp/qk-outcomes-%ld", (long)getpid());
    made_fill(&w, MADE_QWEN3, &rng);
    snprintf(path, sizeof path, "%s/base", dir);
    assert_true(made_write(&w, path));
    made_open(&base, path, "base");
    made_move(&w, 0.3, &rng);
    snprintf(path, sizeof path, "%s/tuned", dir);
    assert_true(made_write(&w, path));
    made_open(&tuned, path, "tuned");
    for (size_t i = 0; i < N_CASES; i++) {
        size_t n = LONGEST - 11 * i;
        for (size_t t = 0; t < n; t++) {
            ids[i][t] = (uint32_t)qk_rng_below(&rng, MADE_VOCAB);
        }
        cases[i] = (struct qk_scoring_case){n - N_ANSWER, ids[i], N_ANSWER, ids[i] + n - N_ANSWER};
    }
    qk_case_list_seal(&list);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    made_close(&base);
    made_close(&tuned);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* One engine with its pool. */
struct bench {
    struct qk_pool *pool;
    struct qk_outcome_engine *engine;
};

static struct bench open_bench(size_t n_threads, size_t memory)
{
    struct bench b;
    struct qk_err err = {0};
    struct qk_outcome_options options = {.memory = memory};
    must(qk_pool_new(n_threads, &b.pool, &err), &err);
    must(qk_outcome_engine_new(tuned.model, &list, &options, b.pool, &b.engine, &err), &err);
    return b;
}

static void close_bench(struct bench *b)
{
    qk_outcome_engine_free(b->engine);
    qk_pool_free(b->pool);
}

static struct qk_outcome *run(struct bench *b, const struct qk_model *model, const uint64_t *signature, int remember,
                              size_t expect_layers)
{
    struct qk_outcome *o;
    struct qk_err err = {0};
    struct qk_outcome_call call = {.model = model, .signature = signature, .remember = remember};
    size_t n_layers;
    must(qk_outcome_new(&list, &o, &err), &err);
    must(qk_outcome_run(b->engine, &call, o, &n_layers, &err), &err);
    assert_int_equal(n_layers, expect_layers);
    return o;
}

static void is_same(const struct qk_outcome *a, const struct qk_outcome *b)
{
    assert_memory_equal(a->hit, b->hit, N_CASES);
    assert_memory_equal(a->logprob, b->logprob, N_CASES * sizeof *a->logprob);
}

static bool differs(const struct qk_outcome *a, const struct qk_outcome *b)
{
    return memcmp(a->logprob, b->logprob, N_CASES * sizeof *a->logprob) != 0;
}

static struct qk_variant *restored(struct qk_pool *pool, const size_t *layers, size_t n)
{
    struct qk_plan_unit units[MADE_LAYERS] = {0};
    struct qk_plan plan = {.base = {"base", base.ckpt->header_sha256},
                           .tuned = {"tuned", tuned.ckpt->header_sha256},
                           .n_units = n,
                           .units = units};
    struct qk_variant_pair pair = {base.model, tuned.model};
    struct qk_variant *v;
    struct qk_err err = {0};
    for (size_t i = 0; i < n; i++) {
        units[i] =
            (struct qk_plan_unit){.layer = layers[i], .tensors = QK_PLAN_Q | QK_PLAN_K, .action = QK_PLAN_RESTORE};
    }
    must(qk_variant_of_plan(&pair, &plan, pool, &v, &err), &err);
    return v;
}

static void later_starts_give_the_same_bits(void **state)
{
    static const uint64_t none[MADE_LAYERS + 1], last[] = {0, 0, 0, 7}, both[] = {0, 0, 5, 7}, first[] = {0, 9, 0, 0};
    static const size_t in_last[] = {2}, in_both[] = {1, 2}, in_first[] = {0};
    struct bench keeping = open_bench(2, (size_t)1 << 30), whole = open_bench(1, 0);
    struct qk_variant *v[] = {restored(keeping.pool, in_last, 1), restored(keeping.pool, in_both, 2),
                              restored(keeping.pool, in_first, 1)};
    const struct {
        const uint64_t *signature;
        int remember;
        size_t layers;
    } runs[] = {{last, -1, 1}, {both, 1, 2}, {first, -1, 3}};
    struct qk_outcome *plain = run(&keeping, tuned.model, none, 0, 3), *again;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct qk_model *model = qk_variant_model(v[i]);
        struct qk_outcome *a = run(&keeping, model, runs[i].signature, runs[i].remember, runs[i].layers);
        struct qk_outcome *b = run(&whole, model, runs[i].signature, -1, 3);
        is_same(a, b);
        assert_true(differs(a, plain));
        qk_free(a);
        qk_free(b);
    }
    /* from the second place, which has layers 1 and 2 restored: one layer where it is the same up to the last */
    struct qk_outcome *a = run(&keeping, qk_variant_model(v[1]), both, -1, 1);
    struct qk_outcome *b = run(&whole, qk_variant_model(v[1]), both, -1, 3);
    is_same(a, b);
    again = run(&keeping, tuned.model, none, -1, 1);
    is_same(again, plain);
    qk_free(a);
    qk_free(b);
    qk_free(again);
    qk_free(plain);
    for (size_t i = 0; i < 3; i++) {
        qk_variant_free(v[i]);
    }
    close_bench(&keeping);
    close_bench(&whole);
}

static void a_plan_is_what_restore_writes(void **state)
{
    static const size_t layers[] = {0, 2};
    static const uint64_t signature[] = {0, 1, 0, 1};
    struct qk_plan_unit units[] = {{.layer = 0, .tensors = QK_PLAN_Q | QK_PLAN_K, .action = QK_PLAN_RESTORE},
                                   {.layer = 2, .tensors = QK_PLAN_Q | QK_PLAN_K, .action = QK_PLAN_RESTORE}};
    struct qk_plan plan = {.base = {"base", base.ckpt->header_sha256},
                           .tuned = {"tuned", tuned.ckpt->header_sha256},
                           .n_units = 2,
                           .units = units};
    struct qk_restore_options options = {.command = "test"};
    struct bench b = open_bench(2, 0);
    struct qk_edits *edits;
    struct qk_err err = {0};
    struct made_input written;
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/written", dir);
    must(qk_edits_new(&plan, base.model, tuned.model, &edits, &err), &err);
    must(qk_restore_write(&plan, edits, path, &options, b.pool, &err), &err);
    qk_edits_free(edits);
    made_open(&written, path, "written");
    struct qk_variant *v = restored(b.pool, layers, 2);
    struct qk_outcome *in_memory = run(&b, qk_variant_model(v), signature, -1, 3);
    struct qk_outcome *on_disk = run(&b, written.model, signature, -1, 3);
    is_same(in_memory, on_disk);
    qk_free(in_memory);
    qk_free(on_disk);
    qk_variant_free(v);
    made_close(&written);
    close_bench(&b);
}

/* Bytes of a layer's rows, which are stored whole in the made models. */
static void read_rows(const struct qk_model *model, const struct qk_rows *rows, unsigned char *buf, size_t *ret_n)
{
    uint64_t n_rows, n_cols;
    struct qk_err err = {0};
    const struct qk_tensor *t = qk_ckpt_find(model->ckpt, rows->tensor->name);
    qk_rows_shape(rows, &n_rows, &n_cols);
    *ret_n = (size_t)(rows->count * n_cols * sizeof(double));
    must(qk_ckpt_read(model->ckpt, t, rows->first * n_cols * sizeof(double), *ret_n, buf, &err), &err);
}

static void parts_of_the_base(void **state)
{
    static const bool in_first[MADE_LAYERS] = {true, false, false};
    const struct qk_variant_swap swaps[] = {
        {.roles = ALL & ~QK, .outer = true},
        {.roles = 1 << QK_ROLE_V},
        {.roles = ALL & ~QK, .elsewhere = ALL, .layers = in_first, .outer = true},
        {.outer = true},
    };
    static unsigned char buf[2][1 << 16];
    struct qk_variant_pair pair = {base.model, tuned.model};
    struct qk_err err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof swaps / sizeof swaps[0]; i++) {
        struct qk_variant *v;
        size_t n_swapped = 0, n_left = 0;
        must(qk_variant_of_swap(&pair, &swaps[i], &v, &err), &err);
        const struct qk_model *model = qk_variant_model(v);
        for (size_t l = 0; l < MADE_LAYERS; l++) {
            unsigned roles = swaps[i].layers == NULL || swaps[i].layers[l] ? swaps[i].roles : swaps[i].elsewhere;
            for (size_t s = 0; s < model->layers[l].n_slices; s++) {
                const struct qk_slice *slice = &model->layers[l].slices[s];
                bool swapped = (roles >> slice->role & 1) != 0;
                size_t n, m;
                read_rows(model, &slice->rows, buf[0], &n);
                read_rows(swapped ? base.model : tuned.model, &slice->rows, buf[1], &m);
                assert_int_equal(n, m);
                assert_memory_equal(buf[0], buf[1], n);
                n_swapped += swapped;
                n_left += !swapped;
            }
        }
        assert_true((n_swapped > 0) == (swaps[i].roles != 0) && n_left > 0);
        for (size_t o = 0; o < model->n_outer; o++) {
            struct qk_rows rows = {.tensor = model->outer[o].tensor, .count = model->outer[o].tensor->shape[0]};
            size_t n, m;
            read_rows(model, &rows, buf[0], &n);
            read_rows(swaps[i].outer ? base.model : tuned.model, &rows, buf[1], &m);
            assert_memory_equal(buf[0], buf[1], n);
        }
        qk_variant_free(v);
    }
}

static void all_of_the_base_is_the_base(void **state)
{
    static const uint64_t a[] = {1, 1, 1, 1}, b[] = {2, 2, 2, 2};
    struct qk_variant_pair pair = {base.model, tuned.model}, twins = {tuned.model, tuned.model};
    struct qk_variant_swap swap = {.roles = ALL, .outer = true};
    struct bench bench = open_bench(3, (size_t)1 << 30);
    struct qk_variant *v;
    struct qk_err err = {0};
    bool any = false;
    (void)state;
    must(qk_variant_of_swap(&pair, &swap, &v, &err), &err);
    struct qk_outcome *swapped = run(&bench, qk_variant_model(v), a, 0, 3);
    struct qk_outcome *whole = run(&bench, base.model, b, 1, 3);
    is_same(swapped, whole);
    must(qk_variant_swap_differs(&pair, &swap, &any, &err), &err);
    assert_true(any);
    must(qk_variant_swap_differs(&twins, &swap, &any, &err), &err);
    assert_false(any);
    qk_free(swapped);
    qk_free(whole);
    qk_variant_free(v);
    close_bench(&bench);
}

/* A log-probability by the log-probabilities of the tokens, and memory that runs out on the way. */
static void out_of_memory(void **state)
{
    static const uint64_t none[MADE_LAYERS + 1];
    (void)state;
    for (size_t k = 1; k < 400; k += 7) {
        struct bench b = open_bench(1, (size_t)1 << 30);
        struct qk_outcome *o = NULL;
        struct qk_err err = {0};
        struct qk_outcome_call call = {.model = tuned.model, .signature = none, .remember = 0};
        size_t n_layers;
        must(qk_outcome_new(&list, &o, &err), &err);
        qk_alloc_fail_after(k);
        enum qk_code code = qk_outcome_run(b.engine, &call, o, &n_layers, &err);
        qk_alloc_fail_after(0);
        assert_true(code == QK_OK || code == QK_ENOMEM);
        /* what failed is not taken for what was kept */
        call.remember = -1;
        struct qk_outcome *whole = run(&b, tuned.model, none, -1, code == QK_OK ? 1 : 3);
        if (code == QK_OK) {
            is_same(o, whole);
        }
        qk_free(whole);
        qk_free(o);
        close_bench(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_starts_give_the_same_bits),
        cmocka_unit_test(a_plan_is_what_restore_writes),
        cmocka_unit_test(parts_of_the_base),
        cmocka_unit_test(all_of_the_base_is_the_base),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
