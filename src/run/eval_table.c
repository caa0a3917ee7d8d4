/* The layout of an eval run's results, and rates out of problems. See run/eval.h. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "dataset_row.h"
#include "drift_table.h"
#include "eval_run.h"
#include "num/stats.h"
#include "provenance.h"

#define AXIS "/model/problem"

const struct qk_part_sort qk_eval_part = {
    .group = "eval", .list = "problems", .number = "n_problems", .one = "problem", .axis = AXIS};

static const char *const problem_dims[] = {AXIS};

static const struct qk_dataset_row problem_sets[QK_N_EVAL_PROBLEM_SETS] = {
    [QK_EVAL_ID] = {"id", QK_TYPE_STR, "Problem", "1", "the problem's id, or its line in the data file"},
    [QK_EVAL_EXPECTED] = {"expected", QK_TYPE_STR, "Expected answer", "1", "as the data file has it"},
    [QK_EVAL_ANSWERS] = {"answers", QK_TYPE_STR, "Answer", "1", "greedy continuation of the prompt"},
    [QK_EVAL_HIT] = {"hit", QK_TYPE_F64, "Hit", "1", "1 where the answer fits by the rule of `match`, else 0"},
    [QK_EVAL_LOGPROB] = {"logprob", QK_TYPE_F64, "Log-probability of the answer", "nats",
                         "sum over the tokens of the expected answer of ln p(token | all before it)"},
    [QK_EVAL_TOKEN_LOGPROB] = {"token_logprob", QK_TYPE_F64, "Log-probability per token", "nats",
                               "logprob over the number of tokens of the expected answer"},
    [QK_EVAL_MARGIN] = {"margin", QK_TYPE_F64, "Least margin", "logit",
                        "least over the tokens of the expected answer, with the true ones before it fed in, of the "
                        "token's logit less the largest other one; > 0: greedy decoding says the answer"},
    [QK_EVAL_PROMPT_TOKENS] = {"n_prompt", QK_TYPE_I64, "Length of the prompt", "tokens", "of the prompt"},
    [QK_EVAL_ANSWER_TOKENS] = {"n_expected", QK_TYPE_I64, "Length of the expected answer", "tokens",
                               "of the expected answer"},
    [QK_EVAL_SAID] = {"n_said", QK_TYPE_I64, "Length of what was said", "tokens",
                      "decoded, what follows the answer's end included"},
};

/* What qk_eval_finish makes: scalars. */
enum rate_set { RATE_ACCURACY, RATE_LO, RATE_HI, RATE_LOGPROB, RATE_TOKEN_LOGPROB, RATE_N, N_RATE_SETS };
static const struct qk_dataset_row rate_sets[N_RATE_SETS] = {
    [RATE_ACCURACY] = {"accuracy", QK_TYPE_F64, "Accuracy", "1", "mean of hit over the problems"},
    [RATE_LO] = {"accuracy_lo", QK_TYPE_F64, "Accuracy, lower end", "1", "Wilson 95 % interval of accuracy"},
    [RATE_HI] = {"accuracy_hi", QK_TYPE_F64, "Accuracy, upper end", "1", "Wilson 95 % interval of accuracy"},
    [RATE_LOGPROB] = {"mean_logprob", QK_TYPE_F64, "Mean log-probability of the answers", "nats",
                      "mean of logprob over the problems"},
    [RATE_TOKEN_LOGPROB] = {"mean_token_logprob", QK_TYPE_F64, "Mean log-probability per token", "nats",
                            "sum of logprob over the number of tokens of all expected answers"},
    [RATE_N] = {"n", QK_TYPE_I64, "Problems", "1", "number of problems"},
};

enum qk_code qk_eval_nodes_of(const struct qk_table *table, const char *name, const char *set,
                              struct qk_eval_nodes *ret, struct qk_err *err)
{
    struct qk_eval_nodes nodes;
    QK_TRY(qk_dataset_find_all(table, "eval", name, set, QK_N_EVAL_PROBLEM_SETS, problem_sets, &nodes.entry, nodes.sets,
                               &nodes.n, err));
    *ret = nodes;
    return QK_OK;
}

/* ---- an entry --------------------------------------------------------------------------------------------------- */

static enum qk_code add_axis(struct qk_table *table, const struct qk_eval_set *set, struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, AXIS, QK_TYPE_I64, set->n, &node, err));
    for (size_t i = 0; i < set->n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
    return qk_result_describe(table, node, "Problem", "1", "index of the problem in the data file, from 0", err);
}

static enum qk_code add_problems(struct qk_table *table, const char *name, const struct qk_eval_set *set,
                                 struct qk_err *err)
{
    struct qk_eval_nodes nodes;
    struct qk_node *node;
    for (size_t k = 0; k < QK_N_EVAL_PROBLEM_SETS; k++) {
        QK_TRY(qk_dataset_add(table, "eval", name, set->name, &problem_sets[k], 1, problem_dims, &node, err));
    }
    QK_TRY(qk_eval_nodes_of(table, name, set->name, &nodes, err));
    for (size_t i = 0; i < set->n; i++) {
        const struct qk_eval_problem *p = &set->problems[i];
        const char *id = qk_arena_strdup(table->arena, p->id);
        const char *expected = qk_arena_strdup(table->arena, p->expected);
        if (id == NULL || expected == NULL) {
            return qk_fail_nomem(err, "result table");
        }
        nodes.sets[QK_EVAL_ID]->v.str[i] = id;
        nodes.sets[QK_EVAL_EXPECTED]->v.str[i] = expected;
        nodes.sets[QK_EVAL_ANSWERS]->v.str[i] = "";
        nodes.sets[QK_EVAL_PROMPT_TOKENS]->v.i64[i] = (int64_t)p->scoring.n_prompt;
        nodes.sets[QK_EVAL_ANSWER_TOKENS]->v.i64[i] = (int64_t)p->scoring.n_answer;
    }
    return QK_OK;
}

static enum qk_code add_entry(struct qk_table *table, const char *name, const char *base, const char *config_hash,
                              const struct qk_eval_set *set, const struct qk_eval_options *options, struct qk_err *err)
{
    const struct qk_match_rule *rule = qk_match_rule(options->rules.match);
    char *path = qk_arena_printf(table->arena, "/eval/%s", name);
    char *below = qk_arena_printf(table->arena, "/eval/%s/%s", name, set->name);
    struct qk_node *entry, *node;
    if (path == NULL || below == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_group(table, path, &entry, err));
    QK_TRY(qk_node_attr_str(table, entry, "base", base, err));
    QK_TRY(qk_node_attr_str(table, entry, "config_hash", config_hash, err));
    QK_TRY(qk_node_attr_str(table, entry, "set", set->name, err));
    QK_TRY(qk_node_attr_i64(table, entry, qk_eval_part.number, (int64_t)set->n, err));
    QK_TRY(qk_node_attr_str(table, entry, "problem_sha256", set->sha256, err));
    QK_TRY(qk_node_attr_str(table, entry, "match", rule->name, err));
    QK_TRY(qk_node_attr_str(table, entry, "match_definition", rule->definition, err));
    QK_TRY(qk_node_attr_i64(table, entry, "max_new", (int64_t)options->rules.max_new, err));
    QK_TRY(qk_node_attr_strs(table, entry, "stops", options->rules.stops, options->rules.n_stops, err));
    QK_TRY(qk_node_attr_i64s(table, entry, qk_eval_part.list, NULL, 0, err));
    QK_TRY(qk_table_group(table, below, &node, err));
    return add_problems(table, name, set, err);
}

/* ---- provenance ------------------------------------------------------------------------------------------------- */

static void add_command(struct qk_str *str, const struct qk_run_input *inputs, size_t n, const struct qk_eval_set *set,
                        const struct qk_eval_options *options)
{
    qk_str_add(str, "qkscope eval");
    for (size_t i = 0; i < n; i++) {
        qk_provenance_add_operand(str, &inputs[i]);
    }
    qk_str_add(str, " --data ");
    qk_provenance_add_word(str, set->path);
    qk_str_addf(str, " --match %s", qk_match_rule(options->rules.match)->name);
    if (options->most > 0) {
        qk_str_addf(str, " --max-problems %zu", options->most);
    }
    if (options->rules.max_new > 0) {
        qk_str_addf(str, " --max-new %zu", options->rules.max_new);
    }
    for (size_t i = 0; i < options->rules.n_stops; i++) {
        qk_str_add(str, " --stop ");
        qk_provenance_add_word(str, options->rules.stops[i]);
    }
}

static enum qk_code hash_config(const struct qk_run_input *input, const char *sample, const struct qk_eval_set *set,
                                const struct qk_eval_options *options, char ret[65], struct qk_err *err)
{
    struct qk_str text = {0};
    qk_str_addf(&text, "eval 1|%s|%s|%s|%s|%zu|%s|%zu|%zu", QK_VERSION, input->name, sample, set->sha256, set->n,
                qk_match_rule(options->rules.match)->name, options->rules.max_new, options->rules.n_stops);
    for (size_t i = 0; i < options->rules.n_stops; i++) {
        qk_str_addf(&text, "|%zu|%s", strlen(options->rules.stops[i]), options->rules.stops[i]);
    }
    return qk_provenance_hash(&text, ret, err);
}

static enum qk_code check_numbers(const struct qk_eval_set *set, const struct qk_eval_options *options,
                                  struct qk_err *err)
{
    for (size_t i = 0; options->rules.match == QK_MATCH_NUMBER && i < set->n; i++) {
        if (!qk_text_has_number(set->problems[i].expected)) {
            return qk_fail(err, QK_EFORMAT, "%s: problem '%s': answer: no number in it, which --match number compares",
                           set->path, set->problems[i].id);
        }
    }
    return QK_OK;
}

enum qk_code qk_eval_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n,
                             const struct qk_eval_set *set, const struct qk_eval_options *options, struct qk_err *err)
{
    struct qk_str command = {0};
    QK_TRY(check_numbers(set, options, err));
    add_command(&command, inputs, n, set, options);
    QK_TRY(qk_provenance_command(table, "Answers to problems", &command, err));
    QK_TRY(qk_result_model(table, inputs[0].model, err));
    QK_TRY(add_axis(table, set, err));
    char(*samples)[65];
    QK_TRY(qk_provenance_checkpoints(table, inputs, n, 0, &samples, err));
    for (size_t i = 0; i < n; i++) {
        char hash[65];
        QK_TRY(hash_config(&inputs[i], samples[i], set, options, hash, err));
        QK_TRY(add_entry(table, inputs[i].name, inputs[0].name, hash, set, options, err));
    }
    return QK_OK;
}

/* ---- rates ------------------------------------------------------------------------------------------------------ */

enum qk_code qk_eval_rate_of(const struct qk_table *table, const char *name, const char *set, struct qk_eval_rate *ret,
                             struct qk_err *err)
{
    struct qk_eval_nodes nodes;
    struct qk_eval_rate rate = {0};
    double hits = 0.0, logprob = 0.0;
    QK_TRY(qk_eval_nodes_of(table, name, set, &nodes, err));
    for (size_t i = 0; i < nodes.n; i++) {
        if (!isnan(nodes.sets[QK_EVAL_HIT]->v.f64[i])) {
            hits += nodes.sets[QK_EVAL_HIT]->v.f64[i];
            logprob += nodes.sets[QK_EVAL_LOGPROB]->v.f64[i];
            rate.n_tokens += (size_t)nodes.sets[QK_EVAL_ANSWER_TOKENS]->v.i64[i];
            rate.n++;
        }
    }
    rate.accuracy = rate.n > 0 ? hits / (double)rate.n : (double)NAN;
    rate.logprob = rate.n > 0 ? logprob / (double)rate.n : (double)NAN;
    rate.token_logprob = rate.n_tokens > 0 ? logprob / (double)rate.n_tokens : (double)NAN;
    qk_wilson(hits, (double)rate.n, &rate.lo, &rate.hi);
    *ret = rate;
    return QK_OK;
}

static enum qk_code add_rates(struct qk_table *table, const char *name, const char *set, struct qk_err *err)
{
    struct qk_node *nodes[N_RATE_SETS];
    struct qk_eval_rate rate;
    QK_TRY(qk_eval_rate_of(table, name, set, &rate, err));
    for (size_t k = 0; k < N_RATE_SETS; k++) {
        QK_TRY(qk_dataset_add(table, "eval", name, set, &rate_sets[k], 0, problem_dims, &nodes[k], err));
    }
    nodes[RATE_ACCURACY]->v.f64[0] = rate.accuracy;
    nodes[RATE_LO]->v.f64[0] = rate.lo;
    nodes[RATE_HI]->v.f64[0] = rate.hi;
    nodes[RATE_LOGPROB]->v.f64[0] = rate.logprob;
    nodes[RATE_TOKEN_LOGPROB]->v.f64[0] = rate.token_logprob;
    nodes[RATE_N]->v.i64[0] = (int64_t)rate.n;
    return QK_OK;
}

enum qk_code qk_eval_finish(struct qk_table *table, struct qk_err *err)
{
    size_t n_nodes = table->n_nodes;
    for (size_t i = 0; i < n_nodes; i++) {
        const char *name = qk_part_whole_entry(table->nodes[i], &qk_eval_part);
        const char *set = name == NULL ? NULL : qk_node_attr_get_str(table->nodes[i], "set");
        if (set != NULL && qk_dataset_find(table, "eval", name, set, rate_sets[RATE_ACCURACY].leaf) == NULL) {
            QK_TRY(add_rates(table, name, set, err));
        }
    }
    return QK_OK;
}
