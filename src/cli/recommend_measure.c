/* recommend --measure: see recommend_measure.h. */
#include "recommend_measure.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "advise/recommendation.h"
#include "base/file.h"
#include "base/str.h"
#include "help.h"
#include "niah_options.h"
#include "recommend_measure_answer.h"
#include "recommend_measure_log.h"
#include "recommend_measure_store.h"
#include "run/measure.h"

enum { LOOK_DEPTHS = 8, N_TASKS = QK_N_NEEDLE_TASKS };
/* Between the seed of the cases to choose by and that of the held-out ones. */
#define HELD_OUT_SEED 1000003

struct measure_command {
    struct qk_cli *cli;
    struct qk_table *table; /* NULL: no RUN.h5 */
    struct qk_ckpt *ckpts[2];
    struct qk_model *models[2];
    struct qk_run_input inputs[2]; /* base, tuned */
    struct qk_niah_grid grid;
    struct qk_eval_set reasoning, reasoning_test;
    struct qk_niah_set recall, recall_test;
    struct qk_case_list calibration, held_out;
    struct qk_evidence evidence;
    struct qk_recommendation recommendation;
    struct qk_measure_options options;
    struct qk_measurement measurement;
    struct qk_measure_log log;
    struct qk_pool *pool;
};

/* ---- options ---------------------------------------------------------------------------------------------------- */

enum qk_code qk_recommend_measure_check(const struct qk_cli *cli, struct qk_err *err)
{
    static const char *const only_with[] = {"base",  "tuned",    "reasoning", "reasoning-test",
                                            "tasks", "lengths",  "depths",    "samples",
                                            "seed",  "template", "haystack",  "budget-minutes"};
    static const char *const never_with[] = {"budget", "with", "fail-on"};
    bool measure = qk_cli_flag(cli, "measure");
    const char *const *names = measure ? never_with : only_with;
    size_t n = measure ? sizeof never_with / sizeof *never_with : sizeof only_with / sizeof *only_with;
    const char *const *unused;
    for (size_t i = 0; i < n; i++) {
        bool given = qk_streq(names[i], "tasks") || qk_streq(names[i], "lengths") || qk_streq(names[i], "with")
                         ? qk_cli_list(cli, names[i], &unused) > 0
                         : qk_cli_value(cli, names[i]) != NULL;
        if (given) {
            return qk_fail(err, QK_EUSAGE, "--%s: has no meaning %s --measure", names[i],
                           measure ? "beside" : "without");
        }
    }
    if (measure && qk_streq(qk_cli_value(cli, "export"), "mergekit")) {
        return qk_fail(err, QK_EUSAGE, "--export mergekit: has no meaning beside --measure");
    }
    if (!measure && (qk_cli_flag(cli, "exhaustive") || qk_cli_resume(cli))) {
        return qk_fail(err, QK_EUSAGE, "--%s: has no meaning without --measure",
                       qk_cli_resume(cli) ? "resume" : "exhaustive");
    }
    if (measure && (qk_cli_value(cli, "base") == NULL || qk_cli_value(cli, "tuned") == NULL)) {
        return qk_fail(err, QK_EUSAGE, "--measure: needs --base CKPT and --tuned CKPT");
    }
    return QK_OK;
}

static size_t default_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size / 2 : (size_t)1 << 30;
}

static enum qk_code read_options(struct measure_command *c, struct qk_err *err)
{
    struct qk_measure_options *o = &c->options;
    double points = qk_cli_number(c->cli, "max-reasoning-loss");
    o->all_units = qk_streq(qk_cli_value(c->cli, "units"), "all");
    o->by_group = qk_streq(qk_cli_value(c->cli, "by"), "kv-group");
    o->exhaustive = qk_cli_flag(c->cli, "exhaustive");
    o->budget = qk_cli_count(c->cli, "budget-passes");
    o->memory = default_memory();
    o->max_loss = points / 100;
    o->seconds = qk_cli_value(c->cli, "budget-minutes") != NULL ? 60 * qk_cli_number(c->cli, "budget-minutes") : 0;
    if (!(points >= 0)) {
        return qk_fail(err, QK_EUSAGE, "--max-reasoning-loss: %g (expected 0 or more points)", points);
    }
    if (o->budget == 0) {
        return qk_fail(err, QK_EUSAGE, "--budget-passes: a search needs at least one");
    }
    if (qk_cli_value(c->cli, "reasoning-test") != NULL && qk_cli_value(c->cli, "reasoning") == NULL) {
        return qk_fail(err, QK_EUSAGE, "--reasoning-test: has no meaning without --reasoning");
    }
    return QK_OK;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

static enum qk_code open_one(struct measure_command *c, size_t i, const char *option, struct qk_err *err)
{
    const char *name, *path;
    QK_TRY(qk_cli_split_name(c->cli, qk_cli_value(c->cli, option), &name, &path, err));
    QK_TRY(qk_cli_open_checkpoint(c->cli, path, c->ckpts[0], true, &c->ckpts[i], err));
    QK_TRY(qk_cli_guard_checkpoint(c->cli, c->ckpts[i], err));
    QK_TRY(qk_model_open(c->ckpts[i], &c->models[i], err));
    name = name != NULL ? name : c->ckpts[i]->name;
    if (i == 1 && qk_streq(name, c->inputs[0].name)) {
        name = qk_arena_printf(qk_cli_arena(c->cli), "%s-2", name);
    }
    c->inputs[i] = (struct qk_run_input){name, c->ckpts[i], c->models[i]};
    return name == NULL ? qk_fail_nomem(err, "checkpoint names") : QK_OK;
}

static enum qk_code open_pair(struct measure_command *c, struct qk_err *err)
{
    QK_TRY(open_one(c, 0, "base", err));
    QK_TRY(open_one(c, 1, "tuned", err));
    return qk_run_check_pair(&c->inputs[0], &c->inputs[1], qk_cli_progress(c->cli), err);
}

/* ---- RUN.h5 ----------------------------------------------------------------------------------------------------- */

/* header: the shapes; sample: a look at the values, not of adapters, which the run may have read unrounded. */
static enum qk_code check_same(const struct measure_command *c, size_t i, const char *header, const char *sample,
                               struct qk_err *err)
{
    const struct qk_ckpt *ckpt = c->ckpts[i];
    char own[65];
    QK_TRY(qk_ckpt_sample(ckpt, own, err));
    bool other = ckpt->adapter == NULL && strlen(sample) == 64 && !qk_streq(own, sample);
    if (other || !qk_streq(ckpt->header_sha256, header)) {
        (void)qk_fail(err, QK_EMISMATCH, "%s: /checkpoints: not made from '%s' (expected %s %.12s…, found %.12s…)",
                      qk_cli_operand(c->cli, 0), ckpt->path, other ? "values" : "header",
                      other ? own : ckpt->header_sha256, other ? sample : header);
        if (i == 1 && qk_cli_value(c->cli, "checkpoint") == NULL) {
            qk_err_hint(err, "the run's last checkpoint was taken; --checkpoint NAME takes another");
        }
        return QK_EMISMATCH;
    }
    return QK_OK;
}

/* What the run says about the layers: the order of the search, and evidence for the plan. */
static enum qk_code read_run(struct measure_command *c, struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(c->cli);
    struct qk_recommend_options options = {.budget = SIZE_MAX,
                                           .by_group = c->options.by_group,
                                           .all_units = c->options.all_units,
                                           .qkscope = QK_VERSION,
                                           .command = ""};
    if (c->table == NULL) {
        return QK_OK;
    }
    QK_TRY(qk_evidence_open(c->table, qk_cli_value(c->cli, "checkpoint"), arena, &c->evidence, err));
    QK_TRY(check_same(c, 0, c->evidence.base_sha256, c->evidence.base_sample, err));
    QK_TRY(check_same(c, 1, c->evidence.tuned_sha256, c->evidence.tuned_sample, err));
    QK_TRY(qk_recommend(&c->evidence, &options, arena, &c->recommendation, err));
    c->inputs[0].name = c->evidence.base;
    c->inputs[1].name = c->evidence.tuned;
    double *score = qk_arena_alloc(arena, c->recommendation.n_layers + 1, sizeof *score);
    if (score == NULL) {
        return qk_fail_nomem(err, "scores");
    }
    for (size_t l = 0; l < c->recommendation.n_layers; l++) {
        score[l] = c->recommendation.layers[l].score;
    }
    c->options.score = c->recommendation.n_layers == c->models[1]->n_layers ? score : NULL;
    return QK_OK;
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

/* Lengths that the model was not made for are left out, unless they were asked for. */
static void trim_lengths(struct measure_command *c)
{
    const char *const *words;
    size_t most = c->models[1]->max_position, n = 0;
    if (qk_cli_list(c->cli, "lengths", &words) > 0 || most == 0) {
        return;
    }
    for (size_t i = 0; i < c->grid.n_lengths; i++) {
        if (i == 0 || c->grid.lengths[i] <= most) {
            c->grid.lengths[n++] = c->grid.lengths[i];
        }
    }
    c->grid.n_lengths = n;
}

static enum qk_code tell_looks(const struct measure_command *c, const struct qk_measured_look *looks, size_t hardest,
                               struct qk_err *err)
{
    struct qk_str text = {0};
    for (size_t t = 0; t < N_TASKS; t++) {
        qk_str_addf(&text, "%s%s %.0f to %.0f %%", t > 0 ? ", " : "", qk_needle_task_name((enum qk_needle_task)t),
                    100 * looks[t].base, 100 * looks[t].tuned);
    }
    enum qk_code code = text.failed ? qk_fail_nomem(err, "tasks") : QK_OK;
    if (code == QK_OK) {
        qk_cli_notice(c->cli, "a look at %d documents a task: the answers' probability went from %s; %s is used",
                      LOOK_DEPTHS, text.s, qk_needle_task_name((enum qk_needle_task)hardest));
    }
    qk_str_release(&text);
    return code;
}

/* The task that fine-tuning hurt most, by a few documents of the shortest length. */
static enum qk_code choose_task(struct measure_command *c, struct qk_err *err)
{
    struct qk_niah_set sets[N_TASKS];
    struct qk_case_list lists[N_TASKS];
    struct qk_measured_look looks[N_TASKS];
    const char *const *words;
    struct qk_arena *arena = qk_cli_arena(c->cli);
    size_t hardest;
    if (qk_cli_list(c->cli, "tasks", &words) > 0) {
        return QK_OK;
    }
    for (size_t t = 0; t < N_TASKS; t++) {
        struct qk_niah_grid grid = c->grid;
        grid.n_tasks = grid.n_lengths = grid.n_samples = 1;
        grid.tasks[0] = (enum qk_needle_task)t;
        grid.n_depths = LOOK_DEPTHS;
        QK_TRY(qk_niah_set_grid(&grid, c->ckpts[0]->path, NULL, arena, &sets[t], err));
        QK_TRY(qk_case_list_make(&sets[t], NULL, -1, arena, &lists[t], err));
    }
    QK_TRY(qk_measure_hardest(&c->inputs[0], &c->inputs[1], N_TASKS, lists, c->pool, looks, &hardest, err));
    c->grid.n_tasks = 1;
    c->grid.tasks[0] = (enum qk_needle_task)hardest;
    return tell_looks(c, looks, hardest, err);
}

static enum qk_code read_reasoning(struct measure_command *c, const char *option, struct qk_eval_set *ret,
                                   struct qk_err *err)
{
    const char *path = qk_cli_value(c->cli, option);
    if (path == NULL) {
        return QK_OK;
    }
    QK_TRY(qk_cli_guard_input(c->cli, path, err));
    return qk_eval_set_read(path, c->ckpts[0]->path, 0, qk_cli_arena(c->cli), ret, err);
}

static enum qk_code make_cases(struct measure_command *c, struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(c->cli);
    const char *tokenizer = c->ckpts[0]->path;
    struct qk_niah_grid test;
    QK_TRY(qk_niah_read_grid(c->cli, QK_MEASURE_LENGTHS, QK_MEASURE_DEPTHS, &c->grid, err));
    trim_lengths(c);
    QK_TRY(choose_task(c, err));
    test = c->grid;
    test.seed += HELD_OUT_SEED;
    test.n_samples = 1;
    test.n_depths = qk_cli_count(c->cli, "test-samples");
    QK_TRY(qk_niah_set_grid(&c->grid, tokenizer, qk_cli_progress(c->cli), arena, &c->recall, err));
    QK_TRY(qk_niah_set_grid(&test, tokenizer, NULL, arena, &c->recall_test, err));
    for (size_t i = 0; i < 2; i++) {
        QK_TRY(qk_niah_check(&c->inputs[i], &c->recall, i == 0 ? qk_cli_progress(c->cli) : NULL, err));
    }
    QK_TRY(read_reasoning(c, "reasoning", &c->reasoning, err));
    QK_TRY(read_reasoning(c, "reasoning-test", &c->reasoning_test, err));
    bool halves = c->reasoning_test.n == 0;
    QK_TRY(qk_case_list_make(&c->recall, &c->reasoning, halves ? 0 : -1, arena, &c->calibration, err));
    QK_TRY(qk_case_list_make(&c->recall_test, halves ? &c->reasoning : &c->reasoning_test, halves ? 1 : -1, arena,
                             &c->held_out, err));
    if (c->reasoning.n == 0) {
        qk_cli_notice(c->cli, "without --reasoning nothing holds the plan back: what it costs is not known");
    }
    return QK_OK;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static const struct qk_plan_unit *advised(const struct measure_command *c, const struct qk_plan_unit *unit)
{
    const struct qk_plan *plan = &c->recommendation.plan;
    for (size_t u = 0; c->table != NULL && u < plan->n_units; u++) {
        bool same = plan->units[u].layer == unit->layer && plan->units[u].n_kv_groups == unit->n_kv_groups;
        if (same && (unit->n_kv_groups == 0 || plan->units[u].kv_groups[0] == unit->kv_groups[0])) {
            return &plan->units[u];
        }
    }
    return NULL;
}

/* Adds the scores and the evidence of the run to what was measured. */
static enum qk_code explain(struct measure_command *c, struct qk_plan *plan, struct qk_err *err)
{
    struct qk_arena *arena = qk_cli_arena(c->cli);
    struct qk_plan_unit *units = qk_arena_alloc(arena, plan->n_units + 1, sizeof *units);
    if (units == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    for (size_t u = 0; u < plan->n_units; u++) {
        const struct qk_plan_unit *seen = advised(c, &plan->units[u]);
        units[u] = plan->units[u];
        if (seen == NULL) {
            continue;
        }
        size_t n = seen->n_evidence, own = units[u].n_evidence;
        struct qk_plan_evidence *evidence = qk_arena_alloc(arena, n + own + 1, sizeof *evidence);
        if (evidence == NULL) {
            return qk_fail_nomem(err, "plan");
        }
        for (size_t i = 0; i < n + own; i++) {
            evidence[i] = i < n ? seen->evidence[i] : units[u].evidence[i - n];
        }
        units[u].score = seen->score;
        units[u].n_evidence = n + own;
        units[u].evidence = evidence;
    }
    plan->units = units;
    return QK_OK;
}

/* The command line out of what decides. */
static enum qk_code add_provenance(struct measure_command *c, struct qk_plan *plan, struct qk_err *err)
{
    static const char *const deciding[] = {"max-reasoning-loss", "reasoning",     "reasoning-test", "units", "by",
                                           "test-samples",       "budget-passes", "budget-minutes"};
    struct qk_str line = {0};
    qk_str_addf(&line, "qkscope recommend --measure --base %s --tuned %s %s", c->inputs[0].name, c->inputs[1].name,
                c->recall.words);
    for (size_t i = 0; i < sizeof deciding / sizeof deciding[0]; i++) {
        const char *value = qk_cli_value(c->cli, deciding[i]);
        if (value != NULL) {
            qk_str_addf(&line, " --%s %s", deciding[i], value);
        }
    }
    qk_str_add(&line, c->options.exhaustive ? " --exhaustive" : "");
    plan->qkscope = QK_VERSION;
    plan->command = line.failed ? NULL : qk_arena_strdup(qk_cli_arena(c->cli), line.s);
    qk_str_release(&line);
    return plan->command == NULL ? qk_fail_nomem(err, "command line") : QK_OK;
}

static enum qk_code write_plan(const struct measure_command *c, struct qk_err *err)
{
    struct qk_str text = {0};
    if (qk_cli_output(c->cli) == NULL) {
        return QK_OK;
    }
    qk_plan_write(&c->measurement.plan, &text);
    enum qk_code code = text.failed ? qk_fail_nomem(err, "plan")
                                    : qk_atomic_put(qk_cli_output(c->cli), qk_cli_force(c->cli), text.s, text.len, err);
    qk_str_release(&text);
    return code;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static bool known(void *ctx, const char *key, struct qk_outcome *ret)
{
    struct measure_command *c = ctx;
    return qk_measure_log_find(&c->log, key, ret);
}

static enum qk_code done(void *ctx, const char *key, const struct qk_outcome *outcome, struct qk_err *err)
{
    struct measure_command *c = ctx;
    return qk_measure_log_add(&c->log, key, outcome, err);
}

static void tell(void *ctx, const char *text)
{
    struct measure_command *c = ctx;
    qk_cli_notice(c->cli, "%s", text);
}

static const char *task_words(const struct measure_command *c)
{
    struct qk_str words = {0};
    for (size_t t = 0; t < c->recall.n_tasks; t++) {
        qk_str_addf(&words, "%s%s", t > 0 ? ", " : "", c->recall.tasks[t]);
    }
    const char *ret = words.failed ? NULL : qk_arena_strdup(qk_cli_arena(c->cli), words.s);
    qk_str_release(&words);
    return ret;
}

static enum qk_code print_answer(struct measure_command *c, struct qk_err *err)
{
    struct qk_measure_answer answer = {.measurement = &c->measurement,
                                       .plan = &c->measurement.plan,
                                       .tasks = task_words(c),
                                       .output = qk_cli_output(c->cli),
                                       .max_loss = c->options.max_loss};
    struct qk_str out = {0};
    if (answer.tasks == NULL) {
        return qk_fail_nomem(err, "answer");
    }
    if (qk_cli_json(c->cli)) {
        qk_measure_answer_json(&out, &answer);
    } else {
        qk_measure_answer_text(&out, &answer, qk_help_width());
    }
    return qk_cli_print_str(c->cli, &out, err);
}

static enum qk_code measure(struct measure_command *c, struct qk_err *err)
{
    char config[65];
    const char *kept_beside = qk_cli_output(c->cli) != NULL ? qk_cli_output(c->cli) : qk_cli_value(c->cli, "store");
    QK_TRY(qk_measure_config(&c->inputs[0], &c->inputs[1], &c->calibration, &c->held_out, config, err));
    QK_TRY(qk_measure_log_open(c->cli, kept_beside, config, &c->log, err));
    c->options.ctx = c;
    c->options.known = known;
    c->options.done = done;
    c->options.tell = tell;
    enum qk_code code = qk_measure(&c->inputs[0], &c->inputs[1], &c->calibration, &c->held_out, &c->options, c->pool,
                                   qk_cli_progress(c->cli), qk_cli_arena(c->cli), &c->measurement, err);
    if (code != QK_OK) {
        qk_measure_log_hint(&c->log, err);
    }
    return code;
}

static enum qk_code run(struct measure_command *c, struct qk_err *err)
{
    QK_TRY(read_options(c, err));
    QK_TRY(open_pair(c, err));
    QK_TRY(read_run(c, err));
    QK_TRY(qk_cli_pool(c->cli, &c->pool, err));
    qk_cli_progress_unit(c->cli, "tokens");
    QK_TRY(make_cases(c, err));
    QK_TRY(measure(c, err));
    QK_TRY(explain(c, &c->measurement.plan, err));
    QK_TRY(add_provenance(c, &c->measurement.plan, err));
    QK_TRY(write_plan(c, err));
    QK_TRY(qk_measure_store(c->cli, c->table, &c->evidence, c->inputs, &c->measurement, &c->recommendation, err));
    qk_measure_log_remove(&c->log);
    return print_answer(c, err);
}

enum qk_code qk_recommend_measured(struct qk_cli *cli, struct qk_table *table, struct qk_err *err)
{
    struct measure_command c = {.cli = cli, .table = table, .log = {.fd = -1}};
    enum qk_code code = run(&c, err);
    qk_measure_log_close(&c.log);
    for (size_t i = 2; i-- > 0;) {
        qk_model_free(c.models[i]);
        qk_ckpt_close(c.ckpts[i]);
    }
    return code;
}
