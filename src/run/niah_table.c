/* The layout of a recall run's results, and scores out of cases. See run/niah.h. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "dataset_row.h"
#include "drift_table.h"
#include "niah_run.h"
#include "num/stats.h"
#include "provenance.h"

/* ---- axes ------------------------------------------------------------------------------------------------------- */

static const char *const cell_dims[] = {"/model/task", "/model/length", "/model/depth"};
static const char *const case_dims[] = {"/model/case"};

const struct qk_part_sort qk_niah_part = {
    .group = "niah", .list = "cases", .number = "n_cases", .one = "case", .axis = "/model/case"};

static enum qk_code add_axes(struct qk_table *table, const struct qk_niah_set *set, struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_scale(table, cell_dims[0], QK_TYPE_STR, set->n_tasks, &node, err));
    for (size_t i = 0; i < set->n_tasks; i++) {
        node->v.str[i] = qk_arena_strdup(table->arena, set->tasks[i]);
        if (node->v.str[i] == NULL) {
            return qk_fail_nomem(err, "result table");
        }
    }
    QK_TRY(qk_result_describe(
        table, node, "Recall task", "1",
        "s1: a number in noise; s2: a number in prose; s3: a UUID in prose; prompts: a prompt file", err));
    QK_TRY(qk_table_scale(table, cell_dims[1], QK_TYPE_I64, set->n_lengths, &node, err));
    for (size_t i = 0; i < set->n_lengths; i++) {
        node->v.i64[i] = (int64_t)set->lengths[i];
    }
    QK_TRY(qk_result_describe(table, node, "Context length", "tokens", "nominal length of the document", err));
    QK_TRY(qk_table_scale(table, cell_dims[2], QK_TYPE_F64, set->n_depths, &node, err));
    memcpy(node->v.f64, set->depths, set->n_depths * sizeof *set->depths);
    QK_TRY(qk_result_describe(table, node, "Depth of the needle", "1",
                              "place in the haystack: 0 = its beginning, 1 = its end; NaN = not known", err));
    QK_TRY(qk_table_scale(table, case_dims[0], QK_TYPE_I64, set->n, &node, err));
    for (size_t i = 0; i < set->n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
    return qk_result_describe(table, node, "Recall case", "1", "index of the case, from 0", err);
}

/* ---- datasets --------------------------------------------------------------------------------------------------- */

static const struct qk_dataset_row case_sets[QK_N_NIAH_CASE_SETS] = {
    [QK_NIAH_TASK] = {"task", QK_TYPE_STR, "Task", "1", "of the case"},
    [QK_NIAH_LENGTH] = {"length", QK_TYPE_I64, "Context length", "tokens", "nominal length of the document"},
    [QK_NIAH_DEPTH] = {"depth", QK_TYPE_F64, "Depth of the needle", "1", "as asked for"},
    [QK_NIAH_SAMPLE] = {"sample", QK_TYPE_I64, "Sample", "1", "number of the case in its cell, from 0"},
    [QK_NIAH_PROMPT_TOKENS] = {"n_prompt", QK_TYPE_I64, "Length of the prompt", "tokens", "of the prompt"},
    [QK_NIAH_EXPECTED] = {"expected", QK_TYPE_STR, "Expected answer", "1",
                          "the wanted texts, one a line where there are several"},
    [QK_NIAH_ANSWER] = {"answer", QK_TYPE_STR, "Answer", "1",
                        "greedy continuation of the prompt, up to where it holds the wanted texts or to its limit"},
    [QK_NIAH_HIT] = {"hit", QK_TYPE_F64, "Hit", "1",
                     "share of the wanted texts that the answer contains, ASCII upper and lower case alike"},
    [QK_NIAH_EXACT] = {"exact", QK_TYPE_F64, "Exact", "1",
                       "1 where the answer is the wanted text, white space at the ends aside, else 0"},
    [QK_NIAH_MARGIN] = {"margin", QK_TYPE_F64, "Least margin", "logit",
                        "least over the tokens of the expected answer, with the true ones before it fed in, of the "
                        "token's logit less the largest other one; > 0: greedy decoding says the answer"},
    [QK_NIAH_LOGPROB] = {"logprob", QK_TYPE_F64, "Log-probability of the answer", "nats",
                         "sum over the tokens of the expected answer of ln p(token | all before it)"},
    [QK_NIAH_SAID] = {"n_said", QK_TYPE_I64, "Length of the answer", "tokens", "of the answer"},
};

/* What qk_niah_finish makes. */
enum cell_set { CELL_SCORE, CELL_LO, CELL_HI, CELL_EXACT, CELL_EXACT_LO, CELL_EXACT_HI, CELL_N, N_CELL_SETS };
static const struct qk_dataset_row cell_sets[N_CELL_SETS] = {
    [CELL_SCORE] = {"score", QK_TYPE_F64, "Recall", "1", "mean of hit over the cases of the cell"},
    [CELL_LO] = {"score_lo", QK_TYPE_F64, "Recall, lower end", "1", "Wilson 95 % interval of score"},
    [CELL_HI] = {"score_hi", QK_TYPE_F64, "Recall, upper end", "1", "Wilson 95 % interval of score"},
    [CELL_EXACT] = {"exact", QK_TYPE_F64, "Exact recall", "1", "mean of exact over the cases of the cell"},
    [CELL_EXACT_LO] = {"exact_lo", QK_TYPE_F64, "Exact recall, lower end", "1", "Wilson 95 % interval of exact"},
    [CELL_EXACT_HI] = {"exact_hi", QK_TYPE_F64, "Exact recall, upper end", "1", "Wilson 95 % interval of exact"},
    [CELL_N] = {"n", QK_TYPE_I64, "Cases", "1", "number of cases in the cell"},
};

enum qk_code qk_niah_nodes_of(const struct qk_table *table, const char *name, struct qk_niah_nodes *ret,
                              struct qk_err *err)
{
    struct qk_niah_nodes nodes;
    QK_TRY(qk_dataset_find_all(table, "niah", name, "cases", QK_N_NIAH_CASE_SETS, case_sets, &nodes.entry, nodes.sets,
                               &nodes.n, err));
    *ret = nodes;
    return QK_OK;
}

/* ---- an entry --------------------------------------------------------------------------------------------------- */

static enum qk_code join_wanted(struct qk_table *table, const struct qk_niah_case *c, const char **ret,
                                struct qk_err *err)
{
    struct qk_str s = {0};
    for (size_t w = 0; w < c->n_wanted; w++) {
        qk_str_add(&s, w > 0 ? "\n" : "");
        qk_str_add(&s, c->wanted[w]);
    }
    *ret = s.failed ? NULL : qk_arena_strdup(table->arena, s.s == NULL ? "" : s.s);
    qk_str_release(&s);
    return *ret == NULL ? qk_fail_nomem(err, "result table") : QK_OK;
}

/* What a case is; what is answered comes with the run. */
static enum qk_code describe_case(struct qk_table *table, const struct qk_niah_nodes *nodes,
                                  const struct qk_niah_set *set, size_t i, struct qk_err *err)
{
    const struct qk_niah_case *c = &set->cases[i];
    const struct qk_node *task = qk_table_find(table, cell_dims[0]);
    nodes->sets[QK_NIAH_TASK]->v.str[i] = task->v.str[c->task];
    nodes->sets[QK_NIAH_LENGTH]->v.i64[i] = (int64_t)set->lengths[c->length];
    nodes->sets[QK_NIAH_DEPTH]->v.f64[i] = set->depths[c->depth];
    nodes->sets[QK_NIAH_SAMPLE]->v.i64[i] = (int64_t)c->sample;
    nodes->sets[QK_NIAH_PROMPT_TOKENS]->v.i64[i] = (int64_t)c->scoring.n_prompt;
    return join_wanted(table, c, &nodes->sets[QK_NIAH_EXPECTED]->v.str[i], err);
}

static enum qk_code add_entry(struct qk_table *table, const char *name, const char *base, const char *config_hash,
                              const struct qk_niah_set *set, const struct qk_niah_options *options, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/niah/%s", name);
    char *below = qk_arena_printf(table->arena, "/niah/%s/cases", name);
    struct qk_node *entry, *node;
    struct qk_niah_nodes nodes;
    if (path == NULL || below == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_group(table, path, &entry, err));
    QK_TRY(qk_node_attr_str(table, entry, "base", base, err));
    QK_TRY(qk_node_attr_str(table, entry, "config_hash", config_hash, err));
    QK_TRY(qk_node_attr_str(table, entry, "set", set->name, err));
    QK_TRY(qk_node_attr_i64(table, entry, qk_niah_part.number, (int64_t)set->n, err));
    QK_TRY(qk_node_attr_str(table, entry, "case_sha256", set->sha256, err));
    QK_TRY(qk_node_attr_i64(table, entry, "max_new", (int64_t)options->max_new, err));
    QK_TRY(qk_node_attr_i64s(table, entry, qk_niah_part.list, NULL, 0, err));
    QK_TRY(qk_table_group(table, below, &node, err));
    for (size_t k = 0; k < QK_N_NIAH_CASE_SETS; k++) {
        QK_TRY(qk_dataset_add(table, "niah", name, "cases", &case_sets[k], 1, case_dims, &node, err));
        for (size_t i = 0; case_sets[k].type == QK_TYPE_STR && i < set->n; i++) {
            node->v.str[i] = "";
        }
    }
    QK_TRY(qk_niah_nodes_of(table, name, &nodes, err));
    for (size_t i = 0; i < set->n; i++) {
        QK_TRY(describe_case(table, &nodes, set, i, err));
    }
    return QK_OK;
}

/* ---- provenance ------------------------------------------------------------------------------------------------- */

static void add_command(struct qk_str *str, const struct qk_run_input *inputs, size_t n, const struct qk_niah_set *set,
                        const struct qk_niah_options *options)
{
    qk_str_add(str, "qkscope niah");
    for (size_t i = 0; i < n; i++) {
        qk_provenance_add_operand(str, &inputs[i]);
    }
    qk_str_addf(str, " %s", set->words);
    if (options->max_new > 0) {
        qk_str_addf(str, " --max-new %zu", options->max_new);
    }
}

static enum qk_code hash_config(const struct qk_run_input *input, const char *sample, const struct qk_niah_set *set,
                                const struct qk_niah_options *options, char ret[65], struct qk_err *err)
{
    struct qk_str text = {0};
    qk_str_addf(&text, "niah 1|%s|%s|%s|%s|%zu|%zu", QK_VERSION, input->name, sample, set->sha256, set->n,
                options->max_new);
    return qk_provenance_hash(&text, ret, err);
}

enum qk_code qk_niah_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n,
                             const struct qk_niah_set *set, const struct qk_niah_options *options, struct qk_err *err)
{
    struct qk_str command = {0};
    add_command(&command, inputs, n, set, options);
    QK_TRY(qk_provenance_command(table, "Recall of needles in haystacks", &command, err));
    QK_TRY(qk_result_model(table, inputs[0].model, err));
    QK_TRY(add_axes(table, set, err));
    char(*samples)[65];
    QK_TRY(qk_provenance_checkpoints(table, inputs, n, 0, &samples, err));
    for (size_t i = 0; i < n; i++) {
        char hash[65];
        QK_TRY(hash_config(&inputs[i], samples[i], set, options, hash, err));
        QK_TRY(add_entry(table, inputs[i].name, inputs[0].name, hash, set, options, err));
    }
    return QK_OK;
}

/* ---- scores ----------------------------------------------------------------------------------------------------- */

/* Cell of a case, by its own coordinates; SIZE_MAX when an axis does not have them. */
static size_t cell_of(const struct qk_table *table, const struct qk_niah_nodes *nodes, size_t i)
{
    const struct qk_node *task = qk_table_find(table, cell_dims[0]), *length = qk_table_find(table, cell_dims[1]),
                         *depth = qk_table_find(table, cell_dims[2]);
    size_t t = 0, l = 0, d = 0;
    if (task == NULL || length == NULL || depth == NULL || task->type != QK_TYPE_STR || length->type != QK_TYPE_I64 ||
        depth->type != QK_TYPE_F64) {
        return SIZE_MAX;
    }
    double place = nodes->sets[QK_NIAH_DEPTH]->v.f64[i];
    while (t < task->n_values && !qk_streq(task->v.str[t], nodes->sets[QK_NIAH_TASK]->v.str[i])) {
        t++;
    }
    while (l < length->n_values && length->v.i64[l] != nodes->sets[QK_NIAH_LENGTH]->v.i64[i]) {
        l++;
    }
    while (d < depth->n_values && depth->v.f64[d] != place && !(isnan(place) && isnan(depth->v.f64[d]))) {
        d++;
    }
    bool is_there = t < task->n_values && l < length->n_values && d < depth->n_values;
    return is_there ? (t * length->n_values + l) * depth->n_values + d : SIZE_MAX;
}

static enum qk_code add_scores(struct qk_table *table, const char *name, struct qk_err *err)
{
    struct qk_niah_nodes nodes;
    struct qk_node *cells[N_CELL_SETS];
    QK_TRY(qk_niah_nodes_of(table, name, &nodes, err));
    for (size_t k = 0; k < N_CELL_SETS; k++) {
        QK_TRY(qk_dataset_add(table, "niah", name, NULL, &cell_sets[k], 3, cell_dims, &cells[k], err));
    }
    size_t n_cells = cells[CELL_N]->n_values;
    double *hits = qk_arena_alloc(table->arena, n_cells, sizeof *hits);
    double *exact = qk_arena_alloc(table->arena, n_cells, sizeof *exact);
    if (hits == NULL || exact == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t i = 0; i < nodes.n; i++) {
        size_t cell = cell_of(table, &nodes, i);
        if (cell >= n_cells) {
            return qk_fail(err, QK_EFORMAT, "/niah/%s: case %zu is not on the axes of task, length and depth", name, i);
        }
        hits[cell] += nodes.sets[QK_NIAH_HIT]->v.f64[i];
        exact[cell] += nodes.sets[QK_NIAH_EXACT]->v.f64[i];
        cells[CELL_N]->v.i64[cell]++;
    }
    for (size_t c = 0; c < n_cells; c++) {
        double n = (double)cells[CELL_N]->v.i64[c];
        if (n > 0.0) {
            cells[CELL_SCORE]->v.f64[c] = hits[c] / n;
            cells[CELL_EXACT]->v.f64[c] = exact[c] / n;
            qk_wilson(hits[c], n, &cells[CELL_LO]->v.f64[c], &cells[CELL_HI]->v.f64[c]);
            qk_wilson(exact[c], n, &cells[CELL_EXACT_LO]->v.f64[c], &cells[CELL_EXACT_HI]->v.f64[c]);
        }
    }
    return QK_OK;
}

enum qk_code qk_niah_finish(struct qk_table *table, struct qk_err *err)
{
    size_t n_nodes = table->n_nodes;
    for (size_t i = 0; i < n_nodes; i++) {
        const char *name = qk_part_whole_entry(table->nodes[i], &qk_niah_part);
        if (name != NULL && qk_dataset_find(table, "niah", name, NULL, cell_sets[CELL_SCORE].leaf) == NULL) {
            QK_TRY(add_scores(table, name, err));
        }
    }
    return QK_OK;
}

enum qk_code qk_niah_rate_of(const struct qk_table *table, const char *name, const struct qk_niah_set *set, size_t task,
                             size_t length, struct qk_niah_rate *ret, struct qk_err *err)
{
    struct qk_niah_nodes nodes;
    struct qk_niah_rate rate = {0};
    double hits = 0.0, exact = 0.0;
    QK_TRY(qk_niah_nodes_of(table, name, &nodes, err));
    for (size_t i = 0; i < nodes.n && i < set->n; i++) {
        bool wanted =
            (task == SIZE_MAX || set->cases[i].task == task) && (length == SIZE_MAX || set->cases[i].length == length);
        if (wanted && !isnan(nodes.sets[QK_NIAH_HIT]->v.f64[i])) {
            hits += nodes.sets[QK_NIAH_HIT]->v.f64[i];
            exact += nodes.sets[QK_NIAH_EXACT]->v.f64[i];
            rate.n++;
        }
    }
    rate.hit = rate.n > 0 ? hits / (double)rate.n : (double)NAN;
    rate.exact = rate.n > 0 ? exact / (double)rate.n : (double)NAN;
    qk_wilson(hits, (double)rate.n, &rate.lo, &rate.hi);
    *ret = rate;
    return QK_OK;
}
