/* An eval run: checkpoints over problems, answers into the table. See run/eval.h. */
#include "run/eval.h"

#include "answering.h"
#include "base/str.h"
#include "eval_run.h"

enum qk_code qk_eval_check(const struct qk_run_input *input, const struct qk_eval_set *set,
                           const struct qk_progress *progress, struct qk_err *err)
{
    size_t vocab = input->model->vocab_size, context = input->model->max_position, at;
    uint32_t id;
    for (size_t i = 0; i < set->n; i++) {
        if (qk_answering_find_foreign(&set->problems[i].scoring, vocab, &at, &id)) {
            return qk_fail(err, QK_EMISMATCH,
                           "%s: problem '%s': token %zu: id %lu is outside the vocabulary of '%s' (expected below "
                           "%zu)",
                           set->path, set->problems[i].id, at, (unsigned long)id, input->name, vocab);
        }
    }
    if (context > 0 && set->longest > context) {
        qk_progress_notice(progress, "%s: up to %zu tokens, but '%s' was made for %zu", set->path, set->longest,
                           input->name, context);
    }
    return QK_OK;
}

enum qk_code qk_eval_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_eval_set *set, const struct qk_eval_options *options,
                            size_t *ret_done, struct qk_err *err)
{
    return qk_part_list_resume(table, partial, inputs, n, &qk_eval_part, set->n, &options->shard, ret_done, err);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

struct examination {
    struct qk_table *table;
    struct qk_eval_nodes nodes;
    const struct qk_eval_set *set;
    const struct qk_eval_rules *rules;
};

static const struct qk_scoring_case *case_of(const void *ctx, size_t i)
{
    const struct examination *e = ctx;
    return &e->set->problems[i].scoring;
}

static enum qk_code until(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const uint32_t *said, size_t n,
                          bool *ret, struct qk_err *err)
{
    const struct examination *e = ctx;
    return qk_eval_ends(e->rules, tokenizer, &e->set->problems[i], said, n, ret, err);
}

static enum qk_code put(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const struct qk_scored_case *scored,
                        struct qk_err *err)
{
    const struct examination *e = ctx;
    const struct qk_eval_problem *p = &e->set->problems[i];
    struct qk_str text = {0};
    bool hit = false;
    enum qk_code code = qk_eval_judge(e->rules, tokenizer, p, scored->said, scored->n_said, &text, &hit, err);
    char *copy = code == QK_OK ? qk_arena_strdup(e->table->arena, text.s) : NULL;
    qk_str_release(&text);
    QK_TRY(code);
    if (copy == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    double margin, logprob;
    qk_answering_sums(&p->scoring, scored, &margin, &logprob);
    e->nodes.sets[QK_EVAL_ANSWERS]->v.str[i] = copy;
    e->nodes.sets[QK_EVAL_HIT]->v.f64[i] = hit ? 1.0 : 0.0;
    e->nodes.sets[QK_EVAL_LOGPROB]->v.f64[i] = logprob;
    e->nodes.sets[QK_EVAL_TOKEN_LOGPROB]->v.f64[i] = logprob / (double)p->scoring.n_answer;
    e->nodes.sets[QK_EVAL_MARGIN]->v.f64[i] = margin;
    e->nodes.sets[QK_EVAL_SAID]->v.i64[i] = (int64_t)scored->n_said;
    return QK_OK;
}

enum qk_code qk_eval_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_eval_set *set, const struct qk_eval_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err)
{
    struct examination e = {.table = table, .set = set, .rules = &options->rules};
    QK_TRY(qk_eval_nodes_of(table, inputs[i].name, set->name, &e.nodes, err));
    struct qk_answering answering = {.table = table,
                                     .entry = e.nodes.entry,
                                     .sort = &qk_eval_part,
                                     .n = set->n,
                                     .shard = &options->shard,
                                     .ctx = &e,
                                     .case_of = case_of,
                                     .until = until,
                                     .put = put,
                                     .keep = options->on_problem,
                                     .keep_ctx = options->on_problem_ctx};
    for (size_t k = 0; k < set->n; k++) {
        size_t own = qk_eval_max_new(&options->rules, &set->problems[k]);
        answering.max_new = own > answering.max_new ? own : answering.max_new;
        answering.beyond = answering.beyond || qk_eval_looks_beyond(&options->rules, &set->problems[k]);
    }
    return qk_answering_run(&answering, &inputs[i], i, n, pool, progress, err);
}
