/* Answers to the cases of a set: see answering.h. */
#include "answering.h"

#include <math.h>

#include "base/alloc.h"
#include "forward/runner.h"
#include "run/scoring_text.h"

/* One checkpoint at work on the cases that it lacks. */
struct work {
    const struct qk_answering *a;
    struct qk_part_list list;
    struct qk_tokenizer *tokenizer;
    size_t n;                       /* cases to run */
    size_t *numbers;                /* (n) in the set */
    struct qk_scoring_case *scored; /* (n) */
    size_t n_done;                  /* of those to run */
    bool last;                      /* nothing is run after this checkpoint */
    const struct qk_progress *outer;
    uint64_t before, total; /* tokens, for progress */
};

void qk_answering_sums(const struct qk_scoring_case *c, const struct qk_scored_case *scored, double *ret_margin,
                       double *ret_logprob)
{
    double margin = INFINITY, logprob = 0.0;
    for (size_t t = 0; t < c->n_answer; t++) {
        margin = scored->answer[t].margin < margin ? scored->answer[t].margin : margin;
        logprob += scored->answer[t].logprob;
    }
    *ret_margin = margin;
    *ret_logprob = logprob;
}

bool qk_answering_find_foreign(const struct qk_scoring_case *c, size_t vocab, size_t *ret_at, uint32_t *ret_id)
{
    for (size_t t = 0; t < c->n_prompt + c->n_answer; t++) {
        uint32_t id = t < c->n_prompt ? c->prompt[t] : c->answer[t - c->n_prompt];
        if (id >= vocab) {
            *ret_at = t;
            *ret_id = id;
            return true;
        }
    }
    return false;
}

static enum qk_code until(void *ctx, size_t i, const uint32_t *said, size_t n, bool *ret, struct qk_err *err)
{
    const struct work *w = ctx;
    return w->a->until(w->a->ctx, w->tokenizer, w->numbers[i], said, n, ret, err);
}

static enum qk_code on_done(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err)
{
    struct work *w = ctx;
    QK_TRY(w->a->put(w->a->ctx, w->tokenizer, w->numbers[i], scored, err));
    qk_part_list_add(&w->list, w->numbers[i]);
    w->n_done++;
    bool is_last = w->last && w->n_done == w->n;
    return w->a->keep == NULL || is_last ? QK_OK : w->a->keep(w->a->keep_ctx, w->a->table, err);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    const struct work *w = ctx;
    (void)total;
    qk_progress_update(w->outer, w->before + done, w->total, label);
}

static enum qk_code answer(struct work *w, const struct qk_run_input *input, struct qk_pool *pool, struct qk_err *err)
{
    uint32_t stops[QK_SCORING_MOST_STOPS];
    struct qk_progress inner = {.ctx = w, .update = on_progress};
    struct qk_scoring_options options = {.max_new = w->a->max_new,
                                         .beyond = w->a->beyond,
                                         .stops = stops,
                                         .ctx = w,
                                         .until = until,
                                         .done = on_done,
                                         .progress = w->outer == NULL ? NULL : &inner};
    struct qk_runner *runner = NULL;
    QK_TRY(qk_scoring_stops(input->model, stops, &options.n_stops, err));
    QK_TRY(qk_tokenizer_open(input->ckpt->dir, &w->tokenizer, err));
    QK_TRY(qk_runner_new(input->model, pool, NULL, &runner, err));
    enum qk_code code = qk_score_cases(runner, w->n, w->scored, &options, err);
    qk_runner_free(runner);
    return code;
}

static enum qk_code choose_cases(struct work *w, size_t number, size_t n_inputs, struct qk_err *err)
{
    uint64_t tokens = 0, own = 0;
    w->numbers = qk_calloc(w->a->n, sizeof *w->numbers);
    w->scored = qk_calloc(w->a->n, sizeof *w->scored);
    if (w->numbers == NULL || w->scored == NULL) {
        return qk_fail_nomem(err, w->a->entry->path);
    }
    for (size_t k = 0; k < w->a->n; k++) {
        const struct qk_scoring_case *c = w->a->case_of(w->a->ctx, k);
        if (!qk_part_has(w->a->shard, k)) {
            continue;
        }
        tokens += c->n_prompt + c->n_answer;
        if (!w->list.done[k]) {
            own += c->n_prompt + c->n_answer;
            w->numbers[w->n] = k;
            w->scored[w->n++] = *c;
        }
    }
    w->total = n_inputs * tokens;
    w->before = (number + 1) * tokens - own;
    w->last = number + 1 == n_inputs;
    return QK_OK;
}

enum qk_code qk_answering_run(const struct qk_answering *answering, const struct qk_run_input *input, size_t number,
                              size_t n_inputs, struct qk_pool *pool, const struct qk_progress *progress,
                              struct qk_err *err)
{
    struct work w = {.a = answering, .outer = progress};
    QK_TRY(qk_part_list_open(answering->table, answering->entry, answering->sort, answering->n, &w.list, err));
    enum qk_code code = choose_cases(&w, number, n_inputs, err);
    if (code == QK_OK && w.n > 0) {
        code = answer(&w, input, pool, err);
    }
    qk_tokenizer_free(w.tokenizer);
    qk_part_list_release(&w.list);
    qk_free(w.numbers);
    qk_free(w.scored);
    return code;
}
