/* A recall run: checkpoints over cases, answers into the table. See run/niah.h. */
#include "run/niah.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "forward/runner.h"
#include "niah_run.h"
#include "resume.h"
#include "run/scoring_text.h"

bool qk_niah_has_case(const struct qk_niah_options *options, size_t i)
{
    return options->n_shards < 2 || i % options->n_shards == options->shard - 1;
}

enum qk_code qk_niah_check(const struct qk_run_input *input, const struct qk_niah_set *set,
                           const struct qk_progress *progress, struct qk_err *err)
{
    size_t vocab = input->model->vocab_size, context = input->model->max_position;
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_scoring_case *c = &set->cases[i].scoring;
        for (size_t t = 0; t < c->n_prompt + c->n_answer; t++) {
            uint32_t id = t < c->n_prompt ? c->prompt[t] : c->answer[t - c->n_prompt];
            if (id >= vocab) {
                return qk_fail(err, QK_EMISMATCH,
                               "%s: case %zu: token %zu: id %lu is outside the vocabulary of '%s' (expected below %zu)",
                               set->source, i, t, (unsigned long)id, input->name, vocab);
            }
        }
    }
    if (context > 0 && set->longest > context) {
        qk_progress_notice(progress, "%s: up to %zu tokens, but '%s' was made for %zu", set->source, set->longest,
                           input->name, context);
    }
    return QK_OK;
}

/* ---- resume ----------------------------------------------------------------------------------------------------- */

static enum qk_code take_case(struct qk_table *table, const struct qk_niah_nodes *into,
                              const struct qk_niah_nodes *from, size_t i, struct qk_err *err)
{
    for (size_t k = 0; k < QK_N_NIAH_CASE_SETS; k++) {
        struct qk_node *to = into->sets[k];
        size_t size = qk_resume_value_size(to->type);
        if (size > 0) {
            memcpy((char *)to->v.p + i * size, (const char *)from->sets[k]->v.p + i * size, size);
            continue;
        }
        to->v.str[i] = qk_arena_strdup(table->arena, from->sets[k]->v.str[i]);
        if (to->v.str[i] == NULL) {
            return qk_fail_nomem(err, "resume");
        }
    }
    return QK_OK;
}

static enum qk_code resume_entry(struct qk_table *table, const struct qk_table *partial, const char *name,
                                 const struct qk_niah_options *options, size_t *done, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/niah/%s", name);
    struct qk_niah_nodes into, from;
    if (path == NULL) {
        return qk_fail_nomem(err, "resume");
    }
    QK_TRY(qk_resume_check(table, partial, path, "cases", err));
    QK_TRY(qk_niah_nodes_of(table, name, &into, err));
    QK_TRY(qk_niah_nodes_of(partial, name, &from, err));
    const struct qk_attr *list = qk_node_attr(from.entry, "cases");
    for (size_t i = 0; i < list->n; i++) {
        int64_t c = list->v.i64[i];
        if (c < 0 || (uint64_t)c >= into.n || (i > 0 && c <= list->v.i64[i - 1])) {
            return qk_fail(err, QK_EFORMAT, "%s: cases: cannot resume: entry %zu is %" PRId64 " (of %zu)", path, i, c,
                           into.n);
        }
        if (!qk_niah_has_case(options, (size_t)c)) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: cases: cannot resume a run of another --shard (it has case %" PRId64 ")", path, c);
        }
        QK_TRY(take_case(table, &into, &from, (size_t)c, err));
    }
    *done += list->n;
    return qk_node_attr_i64s(table, into.entry, "cases", list->v.i64, list->n, err);
}

enum qk_code qk_niah_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_niah_set *set, const struct qk_niah_options *options,
                            size_t *ret_done, struct qk_err *err)
{
    size_t done = 0;
    (void)set;
    for (size_t i = 0; i < n; i++) {
        QK_TRY(resume_entry(table, partial, inputs[i].name, options, &done, err));
    }
    *ret_done = done;
    return QK_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* One checkpoint at work on the cases that it lacks. */
struct recall {
    struct qk_table *table;
    struct qk_niah_nodes nodes;
    const struct qk_niah_set *set;
    const struct qk_niah_options *options;
    struct qk_tokenizer *tokenizer;
    size_t n;                       /* cases to run */
    size_t *numbers;                /* (n) in the set */
    struct qk_scoring_case *scored; /* (n) */
    bool *done;                     /* (set->n) */
    size_t n_done;                  /* of those to run */
    bool last;                      /* nothing is run after this checkpoint */
    const struct qk_progress *outer;
    uint64_t before, total; /* tokens, for progress */
};

static const struct qk_niah_case *case_of(const struct recall *r, size_t i)
{
    return &r->set->cases[r->numbers[i]];
}

static enum qk_code text_of(const struct recall *r, size_t i, const uint32_t *said, size_t n, struct qk_str *ret,
                            struct qk_err *err)
{
    const struct qk_scoring_case *c = &case_of(r, i)->scoring;
    return qk_scoring_text(r->tokenizer, c->prompt, c->n_prompt, said, n, ret, err);
}

static size_t count_contained(const struct qk_niah_case *c, const char *text)
{
    size_t n = 0;
    for (size_t w = 0; w < c->n_wanted; w++) {
        n += qk_text_contains(text, c->wanted[w]) ? 1 : 0;
    }
    return n;
}

/* Ends an answer that has all that is wanted, or is longer than the case allows. */
static enum qk_code until(void *ctx, size_t i, const uint32_t *said, size_t n, bool *ret, struct qk_err *err)
{
    const struct recall *r = ctx;
    const struct qk_niah_case *c = case_of(r, i);
    struct qk_str text = {0};
    enum qk_code code = text_of(r, i, said, n, &text, err);
    if (code == QK_OK) {
        bool is_long = r->options->max_new == 0 && c->scoring.n_answer > 0 && n >= c->scoring.n_answer + QK_NIAH_SLACK;
        *ret = is_long || count_contained(c, text.s == NULL ? "" : text.s) == c->n_wanted;
    }
    qk_str_release(&text);
    return code;
}

static enum qk_code put_answer(struct recall *r, size_t i, const struct qk_scored_case *scored, const char *text,
                               struct qk_err *err)
{
    const struct qk_niah_case *c = case_of(r, i);
    size_t number = r->numbers[i];
    char *copy = qk_arena_strdup(r->table->arena, text);
    double margin = INFINITY, logprob = 0.0;
    if (copy == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t t = 0; t < c->scoring.n_answer; t++) {
        margin = scored->answer[t].margin < margin ? scored->answer[t].margin : margin;
        logprob += scored->answer[t].logprob;
    }
    bool is_exact = scored->is_greedy || (c->n_wanted == 1 && qk_text_same(text, c->wanted[0]));
    r->nodes.sets[QK_NIAH_ANSWER]->v.str[number] = copy;
    r->nodes.sets[QK_NIAH_HIT]->v.f64[number] =
        scored->is_greedy ? 1.0 : (double)count_contained(c, text) / (double)c->n_wanted;
    r->nodes.sets[QK_NIAH_EXACT]->v.f64[number] = is_exact ? 1.0 : 0.0;
    r->nodes.sets[QK_NIAH_SAID]->v.i64[number] = (int64_t)scored->n_said;
    if (c->scoring.n_answer > 0) {
        r->nodes.sets[QK_NIAH_MARGIN]->v.f64[number] = margin;
        r->nodes.sets[QK_NIAH_LOGPROB]->v.f64[number] = logprob;
    }
    return QK_OK;
}

/* The list of cases that are there, with room for all: what it holds changes in place with every case. */
static enum qk_code open_list(struct recall *r, struct qk_err *err)
{
    int64_t *room = qk_calloc(r->set->n, sizeof *room);
    if (room == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    enum qk_code code = qk_node_attr_i64s(r->table, r->nodes.entry, "cases", room, r->set->n, err);
    qk_free(room);
    return code;
}

static void list_cases(struct recall *r)
{
    struct qk_node *entry = r->nodes.entry;
    struct qk_attr *list = entry->attrs;
    while (!qk_streq(list->name, "cases")) {
        list++;
    }
    list->n = 0;
    for (size_t i = 0; i < r->set->n; i++) {
        if (r->done[i]) {
            list->v.i64[list->n++] = (int64_t)i;
        }
    }
}

static enum qk_code on_done(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err)
{
    struct recall *r = ctx;
    struct qk_str text = {0};
    enum qk_code code = text_of(r, i, scored->said, scored->n_said, &text, err);
    if (code == QK_OK) {
        code = put_answer(r, i, scored, text.s == NULL ? "" : text.s, err);
    }
    qk_str_release(&text);
    QK_TRY(code);
    r->done[r->numbers[i]] = true;
    r->n_done++;
    list_cases(r);
    bool is_last = r->last && r->n_done == r->n;
    return r->options->on_case == NULL || is_last ? QK_OK : r->options->on_case(r->options->on_case_ctx, r->table, err);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    const struct recall *r = ctx;
    (void)total;
    qk_progress_update(r->outer, r->before + done, r->total, label);
}

static size_t most_new(const struct recall *r)
{
    size_t most = 0;
    for (size_t i = 0; i < r->n; i++) {
        size_t answer = r->scored[i].n_answer, own = answer > 0 ? answer + QK_NIAH_SLACK : QK_NIAH_PROMPT_NEW;
        most = own > most ? own : most;
    }
    return r->options->max_new > 0 ? r->options->max_new : most;
}

static enum qk_code score(struct recall *r, const struct qk_run_input *input, struct qk_pool *pool, struct qk_err *err)
{
    uint32_t stops[QK_SCORING_MOST_STOPS];
    struct qk_progress inner = {.ctx = r, .update = on_progress};
    struct qk_scoring_options options = {.max_new = most_new(r),
                                         .stops = stops,
                                         .ctx = r,
                                         .until = until,
                                         .done = on_done,
                                         .progress = r->outer == NULL ? NULL : &inner};
    struct qk_runner *runner = NULL;
    QK_TRY(qk_scoring_stops(input->model, stops, &options.n_stops, err));
    QK_TRY(qk_tokenizer_open(input->ckpt->path, &r->tokenizer, err));
    QK_TRY(qk_runner_new(input->model, pool, NULL, &runner, err));
    enum qk_code code = qk_score_cases(runner, r->n, r->scored, &options, err);
    qk_runner_free(runner);
    return code;
}

static enum qk_code choose_cases(struct recall *r, size_t n_inputs, size_t i, struct qk_err *err)
{
    const struct qk_attr *list = qk_node_attr(r->nodes.entry, "cases");
    uint64_t tokens = 0, own = 0;
    r->done = qk_calloc(r->set->n, sizeof *r->done);
    r->numbers = qk_calloc(r->set->n, sizeof *r->numbers);
    r->scored = qk_calloc(r->set->n, sizeof *r->scored);
    if (r->done == NULL || r->numbers == NULL || r->scored == NULL) {
        return qk_fail_nomem(err, "recall");
    }
    for (size_t k = 0; list != NULL && list->type == QK_TYPE_I64 && k < list->n; k++) {
        r->done[list->v.i64[k]] = true;
    }
    for (size_t k = 0; k < r->set->n; k++) {
        const struct qk_scoring_case *c = &r->set->cases[k].scoring;
        if (!qk_niah_has_case(r->options, k)) {
            continue;
        }
        tokens += c->n_prompt + c->n_answer;
        if (!r->done[k]) {
            own += c->n_prompt + c->n_answer;
            r->numbers[r->n] = k;
            r->scored[r->n++] = *c;
        }
    }
    r->total = n_inputs * tokens;
    r->before = (i + 1) * tokens - own;
    r->last = i + 1 == n_inputs;
    return QK_OK;
}

enum qk_code qk_niah_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_niah_set *set, const struct qk_niah_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err)
{
    struct recall r = {.table = table, .set = set, .options = options, .outer = progress};
    QK_TRY(qk_niah_nodes_of(table, inputs[i].name, &r.nodes, err));
    enum qk_code code = choose_cases(&r, n, i, err);
    if (code == QK_OK) {
        code = open_list(&r, err);
    }
    if (code == QK_OK) {
        list_cases(&r);
        code = r.n > 0 ? score(&r, &inputs[i], pool, err) : QK_OK;
    }
    qk_tokenizer_free(r.tokenizer);
    qk_free(r.done);
    qk_free(r.numbers);
    qk_free(r.scored);
    return code;
}
