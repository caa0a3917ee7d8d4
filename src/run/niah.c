/* A recall run: checkpoints over cases, answers into the table. See run/niah.h. */
#include "run/niah.h"

#include "answering.h"
#include "base/str.h"
#include "niah_run.h"
#include "run/scoring_text.h"

enum qk_code qk_niah_check(const struct qk_run_input *input, const struct qk_niah_set *set,
                           const struct qk_progress *progress, struct qk_err *err)
{
    size_t vocab = input->model->vocab_size, context = input->model->max_position, at;
    uint32_t id;
    for (size_t i = 0; i < set->n; i++) {
        if (qk_answering_find_foreign(&set->cases[i].scoring, vocab, &at, &id)) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: case %zu: token %zu: id %lu is outside the vocabulary of '%s' (expected below %zu)",
                           set->source, i, at, (unsigned long)id, input->name, vocab);
        }
    }
    if (context > 0 && set->longest > context) {
        qk_progress_notice(progress, "%s: up to %zu tokens, but '%s' was made for %zu", set->source, set->longest,
                           input->name, context);
    }
    return QK_OK;
}

enum qk_code qk_niah_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_niah_set *set, const struct qk_niah_options *options,
                            size_t *ret_done, struct qk_err *err)
{
    return qk_part_list_resume(table, partial, inputs, n, &qk_niah_part, set->n, &options->shard, ret_done, err);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

struct recall {
    struct qk_table *table;
    struct qk_niah_nodes nodes;
    const struct qk_niah_set *set;
    size_t max_new; /* as in struct qk_niah_options */
};

static const struct qk_scoring_case *case_of(const void *ctx, size_t i)
{
    const struct recall *r = ctx;
    return &r->set->cases[i].scoring;
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
static enum qk_code until(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const uint32_t *said, size_t n,
                          bool *ret, struct qk_err *err)
{
    const struct recall *r = ctx;
    const struct qk_niah_case *c = &r->set->cases[i];
    struct qk_str text = {0};
    enum qk_code code = qk_scoring_text(tokenizer, c->scoring.prompt, c->scoring.n_prompt, said, n, &text, err);
    if (code == QK_OK) {
        bool is_long = r->max_new == 0 && c->scoring.n_answer > 0 && n >= c->scoring.n_answer + QK_NIAH_SLACK;
        *ret = is_long || count_contained(c, text.s == NULL ? "" : text.s) == c->n_wanted;
    }
    qk_str_release(&text);
    return code;
}

static void put_numbers(const struct recall *r, size_t i, const struct qk_scored_case *scored, const char *text)
{
    const struct qk_niah_case *c = &r->set->cases[i];
    bool is_exact = scored->is_greedy || (c->n_wanted == 1 && qk_text_same(text, c->wanted[0]));
    r->nodes.sets[QK_NIAH_HIT]->v.f64[i] =
        scored->is_greedy ? 1.0 : (double)count_contained(c, text) / (double)c->n_wanted;
    r->nodes.sets[QK_NIAH_EXACT]->v.f64[i] = is_exact ? 1.0 : 0.0;
    r->nodes.sets[QK_NIAH_SAID]->v.i64[i] = (int64_t)scored->n_said;
    if (c->scoring.n_answer > 0) {
        qk_answering_sums(&c->scoring, scored, &r->nodes.sets[QK_NIAH_MARGIN]->v.f64[i],
                          &r->nodes.sets[QK_NIAH_LOGPROB]->v.f64[i]);
    }
}

static enum qk_code put(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const struct qk_scored_case *scored,
                        struct qk_err *err)
{
    const struct recall *r = ctx;
    const struct qk_scoring_case *c = &r->set->cases[i].scoring;
    struct qk_str text = {0};
    enum qk_code code = qk_scoring_text(tokenizer, c->prompt, c->n_prompt, scored->said, scored->n_said, &text, err);
    char *copy = code == QK_OK ? qk_arena_strdup(r->table->arena, text.s == NULL ? "" : text.s) : NULL;
    qk_str_release(&text);
    QK_TRY(code);
    if (copy == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    r->nodes.sets[QK_NIAH_ANSWER]->v.str[i] = copy;
    put_numbers(r, i, scored, copy);
    return QK_OK;
}

/* Of the whole set, so that it does not depend on what is left to run. */
static size_t most_new(const struct qk_niah_set *set, const struct qk_niah_options *options)
{
    size_t most = 0;
    for (size_t i = 0; i < set->n; i++) {
        size_t answer = set->cases[i].scoring.n_answer, own = answer > 0 ? answer + QK_NIAH_SLACK : QK_NIAH_PROMPT_NEW;
        most = own > most ? own : most;
    }
    return options->max_new > 0 ? options->max_new : most;
}

enum qk_code qk_niah_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_niah_set *set, const struct qk_niah_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err)
{
    struct recall r = {.table = table, .set = set, .max_new = options->max_new};
    QK_TRY(qk_niah_nodes_of(table, inputs[i].name, &r.nodes, err));
    struct qk_answering answering = {.table = table,
                                     .entry = r.nodes.entry,
                                     .sort = &qk_niah_part,
                                     .n = set->n,
                                     .shard = &options->shard,
                                     .ctx = &r,
                                     .case_of = case_of,
                                     .max_new = most_new(set, options),
                                     .until = until,
                                     .put = put,
                                     .keep = options->on_case,
                                     .keep_ctx = options->on_case_ctx};
    return qk_answering_run(&answering, &inputs[i], i, n, pool, progress, err);
}
