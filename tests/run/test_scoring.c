/* Scoring against a pass over the whole sequence, decoding against a session fed token by token; sharing of beginnings,
 * threads, ends, bad input, running out of memory. */
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
#include "run/scoring.h"

enum { N_CASES = 6, MAX_TOKENS = 1300, MAX_NEW = 12, MAX_ANSWER = 40 };

struct loaded {
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    struct qk_pool *pool;
    struct qk_runner *runner;
};

static void must(enum qk_code code, const struct qk_err *err)
{
    if (code != QK_OK) {
        fail_msg("%s", err->text);
    }
}

static struct loaded load_from(const char *path, size_t n_threads)
{
    struct loaded l = {0};
    struct qk_err err = {0};
    must(qk_ckpt_open(path, &l.ckpt, &err), &err);
    must(qk_model_open(l.ckpt, &l.model, &err), &err);
    must(qk_pool_new(n_threads, &l.pool, &err), &err);
    must(qk_runner_new(l.model, l.pool, NULL, &l.runner, &err), &err);
    return l;
}

static struct loaded load(const char *below, size_t n_threads)
{
    return load_from(fixture_data(below), n_threads);
}

static void unload(struct loaded *l)
{
    qk_runner_free(l->runner);
    qk_pool_free(l->pool);
    qk_model_free(l->model);
    qk_ckpt_close(l->ckpt);
}

/* What came back, by case. */
struct result {
    size_t n_calls, n_said;
    bool is_greedy, stopped;
    uint32_t said[MAX_ANSWER];
    struct qk_scored_token tokens[MAX_ANSWER];
};

struct sink {
    const struct qk_scoring_case *cases;
    struct result results[N_CASES];
    size_t until; /* ends what is said at so many tokens */
};

static enum qk_code done(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err)
{
    struct sink *sink = ctx;
    struct result *r = &sink->results[i];
    (void)err;
    r->n_calls++;
    r->n_said = scored->n_said;
    r->is_greedy = scored->is_greedy;
    r->stopped = scored->stopped;
    memcpy(r->said, scored->said, scored->n_said * sizeof *r->said);
    memcpy(r->tokens, scored->answer, sink->cases[i].n_answer * sizeof *r->tokens);
    return QK_OK;
}

static enum qk_code until(void *ctx, size_t i, const uint32_t *said, size_t n, bool *ret, struct qk_err *err)
{
    const struct sink *sink = ctx;
    (void)i;
    (void)said;
    (void)err;
    *ret = n >= sink->until;
    return QK_OK;
}

/* Ids that several cases begin with alike: 0 and 1 share two pieces, 2 one more with them, 3 is case 0 again, 4 and 5
 * are short and share nothing that is a piece. */
static uint32_t ids[N_CASES][MAX_TOKENS], answers[N_CASES][MAX_ANSWER];
static struct qk_scoring_case cases[N_CASES];

static void make_cases(void)
{
    static const size_t lengths[N_CASES] = {1200, 1100, 700, 1200, 40, 1}, n_answers[N_CASES] = {3, 30, 1, 3, 5, 2};
    for (size_t i = 0; i < N_CASES; i++) {
        for (size_t t = 0; t < MAX_TOKENS; t++) {
            size_t own = i == 1 && t >= 1030 ? 7 : i == 2 && t >= 600 ? 11 : i >= 4 ? 13 : 0;
            ids[i][t] = (uint32_t)((t * 37 + t * t % 101 + own) % 251);
        }
        for (size_t t = 0; t < MAX_ANSWER; t++) {
            answers[i][t] = (uint32_t)((t * 17 + i % 3) % 97);
        }
        cases[i] = (struct qk_scoring_case){lengths[i], ids[i], n_answers[i], answers[i]};
    }
}

static void score(struct loaded *l, size_t n, const struct qk_scoring_case *list, size_t max_new, struct sink *sink)
{
    struct qk_err err = {0};
    memset(sink, 0, sizeof *sink);
    sink->cases = list;
    struct qk_scoring_options options = {.max_new = max_new, .ctx = sink, .done = done};
    must(qk_score_cases(l->runner, n, list, &options, &err), &err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sink->results[i].n_calls, 1);
    }
}

/* ---- against one pass ---- */

struct pass {
    size_t first;
    uint32_t argmax[MAX_ANSWER];
    double nll[MAX_ANSWER];
};

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    struct pass *pass = ctx;
    (void)sequence;
    (void)err;
    pass->argmax[t - pass->first] = argmax;
    pass->nll[t - pass->first] = nll;
    return QK_OK;
}

static void same_as_one_pass(void **state)
{
    static const char *const models[] = {"weights/hypenet/base", "weights/llama/base", "weights/qwen3/sft"};
    static struct sink sink;
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct loaded l = load(models[m], 2);
        score(&l, N_CASES, cases, 0, &sink);
        for (size_t i = 0; i < N_CASES; i++) {
            uint32_t whole[MAX_TOKENS + MAX_ANSWER];
            size_t n = cases[i].n_prompt + cases[i].n_answer, from[] = {cases[i].n_prompt - 1};
            struct pass pass = {.first = from[0]};
            struct qk_sequence sequence = {n, whole};
            struct qk_forward_hooks hooks = {.ctx = &pass, .token = on_token};
            struct qk_forward_options options = {.scores_from = from};
            struct qk_err err = {0};
            memcpy(whole, cases[i].prompt, cases[i].n_prompt * sizeof *whole);
            memcpy(whole + cases[i].n_prompt, cases[i].answer, cases[i].n_answer * sizeof *whole);
            must(qk_runner_forward(l.runner, 1, &sequence, &hooks, &options, &err), &err);
            for (size_t t = 0; t < cases[i].n_answer; t++) {
                const struct qk_scored_token *token = &sink.results[i].tokens[t];
                assert_true(fabs(token->logprob + pass.nll[t]) < 1e-4);
                assert_true(token->choice == pass.argmax[t] || fabs(token->margin) < 1e-4);
                assert_int_equal(token->margin > 0, token->choice == cases[i].answer[t]);
            }
            assert_int_equal(sink.results[i].n_said, 0);
        }
        unload(&l);
    }
}

/* ---- decoding ---- */

static void decode_slowly(struct loaded *l, const struct qk_scoring_case *c, size_t n, uint32_t *said)
{
    struct qk_session *session = NULL;
    struct qk_err err = {0};
    size_t vocab = qk_runner_spec(l->runner)->vocab;
    float *logits = qk_alloc_aligned(vocab, sizeof *logits);
    must(qk_session_new(l->runner, c->n_prompt + n, &session, &err), &err);
    must(qk_session_feed(session, c->n_prompt, c->prompt, logits, &err), &err);
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        for (size_t v = 1; v < vocab; v++) {
            best = logits[v] > logits[best] ? v : best;
        }
        said[i] = (uint32_t)best;
        must(qk_session_feed(session, 1, &said[i], logits, &err), &err);
    }
    qk_session_free(session);
    qk_free(logits);
}

/* An answer that is right up to some token, and one that is right altogether. */
static void decoding_is_greedy(void **state)
{
    static const char *const models[] = {"weights/hypenet/base", "weights/llama/base"};
    static struct sink sink;
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct loaded l = load(models[m], 2);
        for (size_t i = 0; i < N_CASES; i++) {
            uint32_t slow[MAX_NEW], hoped[MAX_NEW];
            decode_slowly(&l, &cases[i], MAX_NEW, slow);
            for (size_t agreed = 0; agreed <= 4; agreed++) {
                memcpy(hoped, slow, sizeof hoped);
                hoped[agreed] = agreed < 4 ? (slow[agreed] + 1) % 90 : hoped[agreed];
                struct qk_scoring_case c = {cases[i].n_prompt, cases[i].prompt, 4, hoped};
                score(&l, 1, &c, MAX_NEW, &sink);
                assert_int_equal(sink.results[0].is_greedy, agreed == 4);
                assert_int_equal(sink.results[0].n_said, agreed == 4 ? 4 : MAX_NEW);
                assert_memory_equal(sink.results[0].said, slow, sink.results[0].n_said * sizeof *slow);
            }
            struct qk_scoring_case none = {cases[i].n_prompt, cases[i].prompt, 0, NULL};
            score(&l, 1, &none, MAX_NEW, &sink);
            assert_int_equal(sink.results[0].n_said, MAX_NEW);
            assert_memory_equal(sink.results[0].said, slow, sizeof slow);
        }
        unload(&l);
    }
}

static void ends(void **state)
{
    struct loaded l = load("weights/llama/base", 1);
    static struct sink sink;
    struct qk_err err = {0};
    uint32_t slow[MAX_NEW];
    decode_slowly(&l, &cases[4], MAX_NEW, slow);
    size_t at = 1;
    while (at < MAX_NEW && slow[at] == slow[0]) {
        at++;
    }
    struct qk_scoring_case none = {cases[4].n_prompt, cases[4].prompt, 0, NULL};
    struct qk_scoring_options options = {.max_new = MAX_NEW, .ctx = &sink, .done = done};
    (void)state;
    memset(&sink, 0, sizeof sink);
    sink.cases = &none;
    options.stops = slow;
    options.n_stops = 1;
    must(qk_score_cases(l.runner, 1, &none, &options, &err), &err);
    assert_int_equal(sink.results[0].n_said, 0);
    assert_true(sink.results[0].stopped);
    options.n_stops = 0;
    options.until = until;
    sink.until = 5;
    must(qk_score_cases(l.runner, 1, &none, &options, &err), &err);
    assert_int_equal(sink.results[0].n_said, 5);
    assert_true(sink.results[0].stopped);
    assert_memory_equal(sink.results[0].said, slow, 5 * sizeof *slow);
    /* an answer that is said goes on behind it when asked */
    struct qk_scoring_case right = {cases[4].n_prompt, cases[4].prompt, 3, slow};
    sink.cases = &right;
    options.until = NULL;
    options.beyond = true;
    must(qk_score_cases(l.runner, 1, &right, &options, &err), &err);
    assert_true(sink.results[0].is_greedy);
    assert_int_equal(sink.results[0].n_said, MAX_NEW);
    assert_memory_equal(sink.results[0].said, slow, sizeof slow);
    unload(&l);
}

/* ---- sharing, threads ---- */

static void sharing_and_threads_change_nothing(void **state)
{
    /* the made one has experts and the gated delta rule */
    static const char *const models[] = {"weights/hypenet/base", "weights/qwen3/sft", "forward/jet_nemotron_bf16",
                                         NULL};
    static struct sink together, alone, other;
    struct fixture made;
    (void)state;
    fixture_init(&made);
    fixture_write_described(&made, "qwen3_next", 1);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct loaded l = models[m] ? load(models[m], 3) : load_from(made.dir, 3);
        struct qk_scoring_case list[N_CASES];
        memcpy(list, cases, sizeof list);
        score(&l, N_CASES, list, MAX_NEW, &together);
        assert_true(isfinite(together.results[0].tokens[0].logprob));
        for (size_t i = 0; i < N_CASES; i++) {
            score(&l, 1, &list[i], MAX_NEW, &alone);
            assert_memory_equal(&together.results[i], &alone.results[0], sizeof alone.results[0]);
        }
        unload(&l);
        l = models[m] ? load(models[m], 1) : load_from(made.dir, 1);
        score(&l, N_CASES, list, MAX_NEW, &other);
        assert_memory_equal(together.results, other.results, sizeof other.results);
        assert_memory_equal(&together.results[0], &together.results[3], sizeof together.results[0]);
        unload(&l);
    }
    fixture_release(&made);
}

static void bad_input(void **state)
{
    struct loaded l = load("weights/llama/base", 1);
    static struct sink sink;
    struct qk_err err = {0};
    const uint32_t too_large[] = {1, 100000};
    struct qk_scoring_options options = {.max_new = 2, .ctx = &sink, .done = done};
    struct qk_scoring_case prompt = {2, too_large, 1, ids[0]}, answer = {2, ids[0], 2, too_large},
                           last = {2, ids[0], 1, too_large + 1}, empty = {0, ids[0], 1, ids[0]};
    (void)state;
    sink.cases = &prompt;
    assert_int_equal(qk_score_cases(l.runner, 1, &prompt, &options, &err), QK_EFORMAT);
    assert_int_equal(qk_score_cases(l.runner, 1, &answer, &options, &err), QK_EFORMAT);
    assert_int_equal(qk_score_cases(l.runner, 1, &last, &options, &err), QK_EFORMAT);
    assert_non_null(strstr(err.text, "100000"));
    assert_int_equal(qk_score_cases(l.runner, 1, &empty, &options, &err), QK_EUSAGE);
    assert_int_equal(qk_score_cases(l.runner, 0, &empty, &options, &err), QK_OK);
    unload(&l);
}

static void running_out_of_memory(void **state)
{
    struct loaded l = load("weights/hypenet/base", 1);
    static struct sink whole, sink;
    enum qk_code code = QK_ENOMEM;
    size_t n = 1;
    struct qk_scoring_options options = {.max_new = 3, .ctx = &sink, .done = done};
    (void)state;
    score(&l, 3, cases, 3, &whole);
    for (; code == QK_ENOMEM; n += n < 40 ? 1 : 37) {
        memset(&sink, 0, sizeof sink);
        sink.cases = cases;
        qk_alloc_fail_after(n);
        code = qk_score_cases(l.runner, 3, cases, &options, NULL);
        qk_alloc_fail_after(0);
    }
    assert_int_equal(code, QK_OK);
    assert_true(n > 30);
    assert_memory_equal(whole.results, sink.results, sizeof whole.results);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_one_pass),
        cmocka_unit_test(decoding_is_greedy),
        cmocka_unit_test(ends),
        cmocka_unit_test(sharing_and_threads_change_nothing),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(running_out_of_memory),
    };
    qk_blas_init();
    make_cases();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
