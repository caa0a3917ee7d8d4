/* The runner: batches, threads, hooks, weights put in others' place, errors, running out of memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../model/fixture.h"
#include "base/alloc.h"
#include "forward/runner.h"
#include "num/blas.h"

enum { N_FIRST = 70, N_SECOND = 9, MAX_VOCAB = 512 };

static uint32_t first_ids[N_FIRST], second_ids[N_SECOND];

struct loaded {
    struct qk_ckpt *ckpt;
    struct qk_model *model;
};

static struct loaded load_from(const char *path)
{
    struct loaded l = {0};
    struct qk_err err = {0};
    if (qk_ckpt_open(path, &l.ckpt, &err) != QK_OK || qk_model_open(l.ckpt, &l.model, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    return l;
}

static struct loaded load(const char *below)
{
    return load_from(fixture_data(below));
}

static void unload(struct loaded *l)
{
    qk_model_free(l->model);
    qk_ckpt_close(l->ckpt);
}

/* What hooks saw. */
struct seen {
    float logits[2][MAX_VOCAB]; /* of each sequence's last token */
    size_t vocab, n_rows[2], n_linear, n_attention, n_hidden;
    double nll[2];
    uint32_t argmax[2];
    size_t first_scored[2];
};

static enum qk_code on_attention(void *ctx, const struct qk_forward_place *place, const struct qk_attention *attention,
                                 struct qk_attention_observer *ret, struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)place;
    (void)attention;
    (void)ret;
    (void)err;
    seen->n_attention++;
    return QK_OK;
}

static enum qk_code on_linear(void *ctx, const struct qk_forward_place *place, const struct qk_linear_view *view,
                              struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)err;
    assert_int_equal(view->mixer->n_tokens, place->n_tokens);
    seen->n_linear++;
    return QK_OK;
}

static enum qk_code on_hidden(void *ctx, const struct qk_forward_place *place, const float *x, struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)place;
    (void)err;
    assert_true(isfinite(x[0]));
    seen->n_hidden++;
    return QK_OK;
}

static enum qk_code on_logits(void *ctx, const struct qk_forward_place *place, const float *final, const float *logits,
                              struct qk_err *err)
{
    struct seen *seen = ctx;
    size_t s = place->sequence;
    (void) final;
    (void)err;
    seen->n_rows[s] += place->n_tokens;
    memcpy(seen->logits[s], logits + (place->n_tokens - 1) * seen->vocab, seen->vocab * sizeof *logits);
    return QK_OK;
}

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    struct seen *seen = ctx;
    (void)err;
    if (seen->first_scored[sequence] == SIZE_MAX) {
        seen->first_scored[sequence] = t;
    }
    seen->nll[sequence] = nll;
    seen->argmax[sequence] = argmax;
    return QK_OK;
}

static const struct qk_sequence both[] = {{N_FIRST, first_ids}, {N_SECOND, second_ids}};

static enum qk_code run(const struct qk_model *model, size_t n_threads, const struct qk_weight_override *override,
                        size_t n, const struct qk_sequence *sequences, const struct qk_forward_options *options,
                        struct seen *seen, struct qk_err *err)
{
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_forward_hooks hooks = {.ctx = seen,
                                     .attention = on_attention,
                                     .linear = on_linear,
                                     .hidden = on_hidden,
                                     .logits = on_logits,
                                     .token = on_token};
    memset(seen, 0, sizeof *seen);
    seen->first_scored[0] = seen->first_scored[1] = SIZE_MAX;
    QK_TRY(qk_pool_new(n_threads, &pool, err));
    enum qk_code code = qk_runner_new(model, pool, override, &runner, err);
    if (code == QK_OK) {
        seen->vocab = qk_runner_spec(runner)->vocab;
        assert_true(seen->vocab <= MAX_VOCAB);
        code = qk_runner_forward(runner, n, sequences, &hooks, options, err);
    }
    qk_runner_free(runner);
    qk_pool_free(pool);
    return code;
}

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static void batches_and_threads_change_nothing(void **state)
{
    struct loaded l = load("weights/hypenet/base");
    static struct seen together, alone, threads;
    struct qk_err err = {0};
    (void)state;
    must(run(l.model, 1, NULL, 2, both, NULL, &together, &err), &err);
    must(run(l.model, 3, NULL, 2, both, NULL, &threads, &err), &err);
    assert_memory_equal(together.logits, threads.logits, sizeof together.logits);
    must(run(l.model, 1, NULL, 1, both + 1, NULL, &alone, &err), &err);
    assert_memory_equal(together.logits[1], alone.logits[0], sizeof alone.logits[0]);
    assert_int_equal(together.n_rows[0], N_FIRST);
    assert_int_equal(together.n_rows[1], N_SECOND);
    assert_true(isnan(together.nll[0])); /* nothing follows the last token */
    unload(&l);
}

static void hooks_see_what_is_asked_for(void **state)
{
    struct loaded l = load("weights/hypenet/base");
    static struct seen seen;
    struct qk_err err = {0};
    bool layers[64] = {false};
    const size_t from[] = {N_FIRST - 3, 0};
    size_t n_linear = 0, n_softmax = 0;
    struct qk_forward_options options = {.scores_from = from};
    (void)state;
    for (size_t i = 0; i < l.model->n_layers; i++) {
        n_linear += l.model->layers[i].kind == QK_LAYER_LINEAR;
        n_softmax += l.model->layers[i].kind == QK_LAYER_FULL;
    }
    assert_true(n_linear > 0 && n_softmax > 0);
    must(run(l.model, 1, NULL, 2, both, &options, &seen, &err), &err);
    assert_int_equal(seen.n_linear, 2 * n_linear);
    assert_int_equal(seen.n_attention, 2 * n_softmax);
    assert_int_equal(seen.n_hidden, 2 * (l.model->n_layers + 1));
    assert_int_equal(seen.n_rows[0], 3);
    assert_int_equal(seen.first_scored[0], N_FIRST - 3);
    assert_int_equal(seen.first_scored[1], 0);
    options.layers = layers;
    must(run(l.model, 1, NULL, 2, both, &options, &seen, &err), &err);
    assert_int_equal(seen.n_linear + seen.n_attention, 0);
    assert_int_equal(seen.n_rows[1], N_SECOND);
    unload(&l);
}

/* The same rows of another checkpoint: all of them, or those of Q and K only. */
struct swap {
    const struct qk_ckpt *other;
    bool all;
    size_t n_swapped;
};

static bool find_other(void *ctx, const struct qk_rows *rows, const struct qk_ckpt **ret_ckpt, struct qk_rows *ret_rows)
{
    struct swap *swap = ctx;
    bool qk = strstr(rows->tensor->name, "q_proj.") || strstr(rows->tensor->name, "k_proj.");
    if (!swap->all && !qk) {
        return false;
    }
    *ret_rows = *rows;
    ret_rows->tensor = qk_ckpt_find(swap->other, rows->tensor->name);
    *ret_ckpt = swap->other;
    swap->n_swapped++;
    return true;
}

static void other_weights_in_place(void **state)
{
    static const char *const pairs[][2] = {{"weights/hypenet/base", "weights/hypenet/sft"},
                                           {"weights/llama/base", "weights/llama/sft"},
                                           {"weights/qwen3/base", "weights/qwen3/sft"}};
    static struct seen base, sft, swapped;
    struct qk_err err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct loaded b = load(pairs[i][0]), s = load(pairs[i][1]);
        struct swap swap = {.other = s.ckpt, .all = true};
        struct qk_weight_override override = {.ctx = &swap, .find = find_other};
        must(run(b.model, 1, NULL, 2, both, NULL, &base, &err), &err);
        must(run(s.model, 1, NULL, 2, both, NULL, &sft, &err), &err);
        must(run(b.model, 1, &override, 2, both, NULL, &swapped, &err), &err);
        assert_memory_equal(swapped.logits, sft.logits, sizeof sft.logits);
        swap.all = false;
        swap.n_swapped = 0;
        must(run(b.model, 1, &override, 2, both, NULL, &swapped, &err), &err);
        assert_true(swap.n_swapped >= 2 * b.model->n_layers);
        assert_memory_not_equal(swapped.logits, base.logits, sizeof base.logits);
        unload(&b);
        unload(&s);
    }
}

static void bad_input(void **state)
{
    struct loaded l = load("weights/llama/base");
    static struct seen seen;
    struct qk_err err = {0};
    const uint32_t too_large[] = {1, 2, 100000};
    const struct qk_sequence bad = {3, too_large}, empty = {0, too_large};
    (void)state;
    assert_int_equal(run(l.model, 1, NULL, 1, &bad, NULL, &seen, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "100000"));
    assert_int_equal(run(l.model, 1, NULL, 1, &empty, NULL, &seen, &err), QK_EUSAGE);
    unload(&l);
}

static void sessions_know_their_size(void **state)
{
    struct loaded l = load("weights/llama/base");
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_session *session = NULL;
    struct qk_err err = {0};
    (void)state;
    must(qk_pool_new(1, &pool, &err), &err);
    must(qk_runner_new(l.model, pool, NULL, &runner, &err), &err);
    must(qk_session_new(runner, 4, &session, &err), &err);
    assert_int_equal(qk_session_feed(session, 0, first_ids, NULL, &err), QK_EUSAGE);
    must(qk_session_feed(session, 3, first_ids, NULL, &err), &err);
    assert_int_equal(qk_session_length(session), 3);
    assert_int_equal(qk_session_feed(session, 2, first_ids, NULL, &err), QK_EUSAGE);
    must(qk_session_feed(session, 1, first_ids, NULL, &err), &err);
    qk_session_free(session);
    qk_runner_free(runner);
    qk_pool_free(pool);
    unload(&l);
}

static void running_out_of_memory(void **state)
{
    /* the made one has experts, fused projections with the gated delta rule, and gated softmax */
    static const char *const models[] = {"weights/hypenet/base", "forward/jet_nemotron_bf16", NULL};
    static struct seen whole, seen;
    struct fixture made;
    struct qk_err err = {0};
    (void)state;
    fixture_init(&made);
    fixture_write_described(&made, "qwen3_next", 1);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct loaded l = models[i] ? load(models[i]) : load_from(made.dir);
        enum qk_code code = QK_ENOMEM;
        must(run(l.model, 1, NULL, 1, both + 1, NULL, &whole, &err), &err);
        assert_true(isfinite(whole.logits[0][0]));
        size_t n = 0, step = 1;
        for (n = 1; code == QK_ENOMEM; n += step) {
            qk_alloc_fail_after(n);
            code = run(l.model, 1, NULL, 1, both + 1, NULL, &seen, &err);
            qk_alloc_fail_after(0);
            step = n < 200 ? 1 : 7;
        }
        assert_int_equal(code, QK_OK);
        assert_true(n > 50);
        assert_memory_equal(whole.logits[0], seen.logits[0], sizeof seen.logits[0]);
        unload(&l);
    }
    fixture_release(&made);
}

static void support_says_what_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < qk_family_count(); i++) {
        const struct qk_family *f = qk_family_at(i);
        assert_int_equal((f->support & QK_SUPPORT_FORWARD) != 0, f->forward != NULL);
        assert_true(!(f->support & QK_SUPPORT_IMPLICIT) || f->forward);
    }
}

/* 32k tokens of the bundled pair: nothing may grow with the square of the length. */
static void a_long_text_fits(void **state)
{
    (void)state;
    char path[1024];
    struct loaded l = {0};
    struct qk_pool *pool = NULL;
    struct qk_runner *runner = NULL;
    struct qk_err err = {0};
    const size_t length = 32768, twice = 65536;
    snprintf(path, sizeof path, "%s/examples/amnesia/base", getenv("QK_SOURCE_ROOT"));
    must(qk_ckpt_open(path, &l.ckpt, &err), &err);
    must(qk_model_open(l.ckpt, &l.model, &err), &err);
    must(qk_pool_new(2, &pool, &err), &err);
    must(qk_runner_new(l.model, pool, NULL, &runner, &err), &err);
    assert_true(qk_runner_memory(runner, 1, &length) < (size_t)1500000000);
    assert_true(qk_runner_memory(runner, 1, &twice) < 2 * qk_runner_memory(runner, 1, &length));
    qk_runner_free(runner);
    qk_pool_free(pool);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_text_fits),
        cmocka_unit_test(batches_and_threads_change_nothing),
        cmocka_unit_test(hooks_see_what_is_asked_for),
        cmocka_unit_test(other_weights_in_place),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(sessions_know_their_size),
        cmocka_unit_test(running_out_of_memory),
        cmocka_unit_test(support_says_what_is_there),
    };
    qk_blas_init();
    for (uint32_t i = 0; i < N_FIRST; i++) {
        first_ids[i] = i * 37 % 251;
    }
    for (uint32_t i = 0; i < N_SECOND; i++) {
        second_ids[i] = i * 53 % 249;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
