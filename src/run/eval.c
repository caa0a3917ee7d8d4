/* An eval run: checkpoints over problems, answers into the table. See run/eval.h. */
#include "run/eval.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "eval_run.h"
#include "forward/runner.h"
#include "part_list.h"
#include "resume.h"
#include "run/scoring_text.h"

bool qk_eval_has_problem(const struct qk_eval_options *options, size_t i)
{
    return options->n_shards < 2 || i % options->n_shards == options->shard - 1;
}

enum qk_code qk_eval_check(const struct qk_run_input *input, const struct qk_eval_set *set,
                           const struct qk_progress *progress, struct qk_err *err)
{
    size_t vocab = input->model->vocab_size, context = input->model->max_position;
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_scoring_case *c = &set->problems[i].scoring;
        for (size_t t = 0; t < c->n_prompt + c->n_answer; t++) {
            uint32_t id = t < c->n_prompt ? c->prompt[t] : c->answer[t - c->n_prompt];
            if (id >= vocab) {
                return qk_fail(err, QK_EMISMATCH,
                               "%s: problem '%s': token %zu: id %lu is outside the vocabulary of '%s' (expected below "
                               "%zu)",
                               set->path, set->problems[i].id, t, (unsigned long)id, input->name, vocab);
            }
        }
    }
    if (context > 0 && set->longest > context) {
        qk_progress_notice(progress, "%s: up to %zu tokens, but '%s' was made for %zu", set->path, set->longest,
                           input->name, context);
    }
    return QK_OK;
}

/* ---- resume ----------------------------------------------------------------------------------------------------- */

static enum qk_code resume_entry(struct qk_table *table, const struct qk_table *partial, const char *name,
                                 const struct qk_eval_set *set, const struct qk_eval_options *options, size_t *done,
                                 struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/eval/%s", name);
    if (path == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    QK_TRY(qk_resume_check(table, partial, path, QK_EVAL_LIST, err));
    const struct qk_attr *list = qk_node_attr(qk_table_find(partial, path), QK_EVAL_LIST);
    for (size_t i = 0; i < list->n; i++) {
        int64_t p = list->v.i64[i];
        if (p < 0 || (uint64_t)p >= set->n || (i > 0 && p <= list->v.i64[i - 1])) {
            return qk_fail(err, QK_EFORMAT, "%s: " QK_EVAL_LIST ": cannot resume: entry %zu is %" PRId64 " (of %zu)",
                           path, i, p, set->n);
        }
        if (!qk_eval_has_problem(options, (size_t)p)) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: " QK_EVAL_LIST ": cannot resume a run of another --shard (it has problem %" PRId64 ")",
                           path, p);
        }
    }
    *done += list->n;
    return qk_part_list_resume(table, partial, path, QK_EVAL_LIST, QK_EVAL_AXIS, err);
}

enum qk_code qk_eval_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_eval_set *set, const struct qk_eval_options *options,
                            size_t *ret_done, struct qk_err *err)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        QK_TRY(resume_entry(table, partial, inputs[i].name, set, options, &done, err));
    }
    *ret_done = done;
    return QK_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* One checkpoint at work on the problems that it lacks. */
struct examination {
    struct qk_table *table;
    struct qk_eval_nodes nodes;
    struct qk_part_list list;
    const struct qk_eval_set *set;
    const struct qk_eval_options *options;
    struct qk_tokenizer *tokenizer;
    size_t n;                       /* problems to run */
    size_t *numbers;                /* (n) in the set */
    struct qk_scoring_case *scored; /* (n) */
    size_t n_done;                  /* of those to run */
    bool last;                      /* nothing is run after this checkpoint */
    const struct qk_progress *outer;
    uint64_t before, total; /* tokens, for progress */
};

static const struct qk_eval_problem *problem_of(const struct examination *e, size_t i)
{
    return &e->set->problems[e->numbers[i]];
}

static enum qk_code until(void *ctx, size_t i, const uint32_t *said, size_t n, bool *ret, struct qk_err *err)
{
    const struct examination *e = ctx;
    return qk_eval_ends(&e->options->rules, e->tokenizer, problem_of(e, i), said, n, ret, err);
}

static enum qk_code put_answer(struct examination *e, size_t i, const struct qk_scored_case *scored, const char *text,
                               bool hit, struct qk_err *err)
{
    const struct qk_eval_problem *p = problem_of(e, i);
    size_t number = e->numbers[i];
    char *copy = qk_arena_strdup(e->table->arena, text);
    double margin = INFINITY, logprob = 0.0;
    if (copy == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t t = 0; t < p->scoring.n_answer; t++) {
        margin = scored->answer[t].margin < margin ? scored->answer[t].margin : margin;
        logprob += scored->answer[t].logprob;
    }
    e->nodes.sets[QK_EVAL_ANSWERS]->v.str[number] = copy;
    e->nodes.sets[QK_EVAL_HIT]->v.f64[number] = hit ? 1.0 : 0.0;
    e->nodes.sets[QK_EVAL_LOGPROB]->v.f64[number] = logprob;
    e->nodes.sets[QK_EVAL_TOKEN_LOGPROB]->v.f64[number] = logprob / (double)p->scoring.n_answer;
    e->nodes.sets[QK_EVAL_MARGIN]->v.f64[number] = margin;
    e->nodes.sets[QK_EVAL_SAID]->v.i64[number] = (int64_t)scored->n_said;
    return QK_OK;
}

static enum qk_code on_done(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err)
{
    struct examination *e = ctx;
    struct qk_str text = {0};
    bool hit = false;
    enum qk_code code = qk_eval_judge(&e->options->rules, e->tokenizer, problem_of(e, i), scored->said, scored->n_said,
                                      &text, &hit, err);
    if (code == QK_OK) {
        code = put_answer(e, i, scored, text.s, hit, err);
    }
    qk_str_release(&text);
    QK_TRY(code);
    qk_part_list_add(&e->list, e->numbers[i]);
    e->n_done++;
    bool is_last = e->last && e->n_done == e->n;
    return e->options->on_problem == NULL || is_last
               ? QK_OK
               : e->options->on_problem(e->options->on_problem_ctx, e->table, err);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    const struct examination *e = ctx;
    (void)total;
    qk_progress_update(e->outer, e->before + done, e->total, label);
}

static enum qk_code examine(struct examination *e, const struct qk_run_input *input, struct qk_pool *pool,
                            struct qk_err *err)
{
    uint32_t stops[QK_SCORING_MOST_STOPS];
    struct qk_progress inner = {.ctx = e, .update = on_progress};
    struct qk_scoring_options options = {
        .stops = stops, .ctx = e, .until = until, .done = on_done, .progress = e->outer == NULL ? NULL : &inner};
    struct qk_runner *runner = NULL;
    /* over the whole set, so that it does not depend on what is left to run */
    for (size_t i = 0; i < e->set->n; i++) {
        const struct qk_eval_problem *p = &e->set->problems[i];
        size_t own = qk_eval_max_new(&e->options->rules, p);
        options.max_new = own > options.max_new ? own : options.max_new;
        options.beyond = options.beyond || qk_eval_looks_beyond(&e->options->rules, p);
    }
    QK_TRY(qk_scoring_stops(input->model, stops, &options.n_stops, err));
    QK_TRY(qk_tokenizer_open(input->ckpt->path, &e->tokenizer, err));
    QK_TRY(qk_runner_new(input->model, pool, NULL, &runner, err));
    enum qk_code code = qk_score_cases(runner, e->n, e->scored, &options, err);
    qk_runner_free(runner);
    return code;
}

static enum qk_code choose_problems(struct examination *e, size_t n_inputs, size_t i, struct qk_err *err)
{
    uint64_t tokens = 0, own = 0;
    e->numbers = qk_calloc(e->set->n, sizeof *e->numbers);
    e->scored = qk_calloc(e->set->n, sizeof *e->scored);
    if (e->numbers == NULL || e->scored == NULL) {
        return qk_fail_nomem(err, "eval");
    }
    for (size_t k = 0; k < e->set->n; k++) {
        const struct qk_scoring_case *c = &e->set->problems[k].scoring;
        if (!qk_eval_has_problem(e->options, k)) {
            continue;
        }
        tokens += c->n_prompt + c->n_answer;
        if (!e->list.done[k]) {
            own += c->n_prompt + c->n_answer;
            e->numbers[e->n] = k;
            e->scored[e->n++] = *c;
        }
    }
    e->total = n_inputs * tokens;
    e->before = (i + 1) * tokens - own;
    e->last = i + 1 == n_inputs;
    return QK_OK;
}

enum qk_code qk_eval_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_eval_set *set, const struct qk_eval_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err)
{
    struct examination e = {.table = table, .set = set, .options = options, .outer = progress};
    QK_TRY(qk_eval_nodes_of(table, inputs[i].name, set->name, &e.nodes, err));
    QK_TRY(qk_part_list_open(table, e.nodes.entry, QK_EVAL_LIST, set->n, &e.list, err));
    enum qk_code code = choose_problems(&e, n, i, err);
    if (code == QK_OK && e.n > 0) {
        code = examine(&e, &inputs[i], pool, err);
    }
    qk_tokenizer_free(e.tokenizer);
    qk_part_list_release(&e.list);
    qk_free(e.numbers);
    qk_free(e.scored);
    return code;
}
