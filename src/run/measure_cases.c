/* Cases to choose and to prove by: see run/measure.h. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "run/measure.h"

enum qk_code qk_case_list_make(const struct qk_niah_set *recall, const struct qk_eval_set *reasoning, int half,
                               struct qk_arena *arena, struct qk_case_list *ret, struct qk_err *err)
{
    size_t n_problems = reasoning == NULL ? 0 : reasoning->n, step = half < 0 ? 1 : 2, n = 0;
    struct qk_scoring_case *cases = qk_arena_alloc(arena, recall->n + n_problems + 1, sizeof *cases);
    size_t *length_of = qk_arena_alloc(arena, recall->n + 1, sizeof *length_of);
    if (cases == NULL || length_of == NULL) {
        return qk_fail_nomem(err, "cases");
    }
    for (size_t i = 0; i < recall->n; i++) {
        cases[n++] = recall->cases[i].scoring;
        length_of[i] = recall->cases[i].length;
    }
    for (size_t i = half > 0 ? 1 : 0; i < n_problems; i += step) {
        cases[n++] = reasoning->problems[i].scoring;
    }
    *ret = (struct qk_case_list){.n_recall = recall->n,
                                 .n_reasoning = n - recall->n,
                                 .cases = cases,
                                 .n_lengths = recall->n_lengths,
                                 .lengths = recall->lengths,
                                 .length_of = length_of};
    qk_case_list_seal(ret);
    return QK_OK;
}

static void add_text(struct qk_sha256 *sha, const char *text)
{
    qk_sha256_add(sha, text, strlen(text) + 1);
}

enum qk_code qk_measure_config(const struct qk_run_input *base, const struct qk_run_input *tuned,
                               const struct qk_case_list *calibration, const struct qk_case_list *held_out,
                               char ret[65], struct qk_err *err)
{
    const struct qk_ckpt *const ckpts[] = {base->ckpt, tuned->ckpt};
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    add_text(&sha, QK_VERSION);
    add_text(&sha, calibration->sha256);
    add_text(&sha, held_out->sha256);
    for (size_t i = 0; i < 2; i++) {
        char sample[65];
        QK_TRY(qk_ckpt_sample(ckpts[i], sample, err));
        add_text(&sha, ckpts[i]->header_sha256);
        add_text(&sha, ckpts[i]->config_sha256);
        add_text(&sha, sample);
    }
    qk_sha256_hex(&sha, ret);
    return QK_OK;
}

/* ---- which task ------------------------------------------------------------------------------------------------- */

static double mean_probability(const struct qk_outcome *o)
{
    double sum = 0;
    for (size_t i = 0; i < o->n_recall; i++) {
        sum += exp(o->logprob[i]);
    }
    return sum / (double)o->n_recall;
}

static enum qk_code look(const struct qk_model *model, const struct qk_case_list *list, struct qk_pool *pool,
                         double *ret, struct qk_err *err)
{
    struct qk_outcome_engine *engine = NULL;
    struct qk_outcome *outcome = NULL;
    struct qk_outcome_options options = {0};
    uint64_t *signature = qk_calloc(model->n_layers + 1, sizeof *signature);
    struct qk_outcome_call call = {.model = model, .signature = signature, .remember = -1};
    size_t n_layers;
    enum qk_code code = signature == NULL ? qk_fail_nomem(err, "cases")
                                          : qk_outcome_engine_new(model, list, &options, pool, &engine, err);
    if (code == QK_OK) {
        code = qk_outcome_new(list, &outcome, err);
    }
    if (code == QK_OK) {
        code = qk_outcome_run(engine, &call, outcome, &n_layers, err);
    }
    if (code == QK_OK) {
        *ret = mean_probability(outcome);
    }
    qk_free(outcome);
    qk_free(signature);
    qk_outcome_engine_free(engine);
    return code;
}

enum qk_code qk_measure_hardest(const struct qk_run_input *base, const struct qk_run_input *tuned, size_t n,
                                const struct qk_case_list *lists, struct qk_pool *pool, struct qk_measured_look *looks,
                                size_t *ret, struct qk_err *err)
{
    double most = -INFINITY;
    size_t hardest = 0;
    for (size_t i = 0; i < n; i++) {
        QK_TRY(look(base->model, &lists[i], pool, &looks[i].base, err));
        QK_TRY(look(tuned->model, &lists[i], pool, &looks[i].tuned, err));
        if (looks[i].base - looks[i].tuned >= most) {
            most = looks[i].base - looks[i].tuned;
            hardest = i;
        }
    }
    *ret = hardest;
    return QK_OK;
}
