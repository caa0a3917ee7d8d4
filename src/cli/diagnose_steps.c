/* The steps of a diagnosis: one row each, in the order in which they are run. */
#include <stdarg.h>
#include <stdio.h>

#include "diagnose.h"

/* ---- words ------------------------------------------------------------------------------------------------------ */

const char *qk_diagnose_path(const struct qk_diagnose *d, const char *name)
{
    return qk_arena_printf(qk_cli_arena(d->cli), "%s/%s", d->dir, name);
}

static void add_word(struct qk_diagnose_words *words, const char *word)
{
    if (word == NULL || words->n == QK_DIAGNOSE_MOST_WORDS) {
        words->failed = true;
        return;
    }
    words->word[words->n++] = word;
}

/* Words up to NULL. */
static void add_words(struct qk_diagnose_words *words, ...)
{
    va_list ap;
    va_start(ap, words);
    for (const char *word = va_arg(ap, const char *); word != NULL; word = va_arg(ap, const char *)) {
        add_word(words, word);
    }
    va_end(ap);
}

/* --option FILE-IN-DIR */
static void add_file(const struct qk_diagnose *d, struct qk_diagnose_words *words, const char *option, const char *file)
{
    if (option != NULL) {
        add_word(words, option);
    }
    add_word(words, qk_diagnose_path(d, file));
}

static void add_count(const struct qk_diagnose *d, struct qk_diagnose_words *words, const char *option, size_t n)
{
    add_words(words, option, qk_arena_printf(qk_cli_arena(d->cli), "%zu", n), NULL);
}

/* An option that was given is passed on. */
static void pass_on(const struct qk_diagnose *d, struct qk_diagnose_words *words, const char *name)
{
    const char *value = qk_cli_value(d->cli, name);
    if (value != NULL) {
        add_words(words, qk_arena_printf(qk_cli_arena(d->cli), "--%s", name), value, NULL);
    }
}

/* The documents; the seed of what is measured last is the given one, so that the plan is chosen by others. */
enum { CHOOSING_SEED = 1000, PROBING_SEED = 2000 };
static void add_documents(const struct qk_diagnose *d, struct qk_diagnose_words *words, size_t seed_offset)
{
    pass_on(d, words, "template");
    pass_on(d, words, "haystack");
    add_count(d, words, "--seed", qk_cli_count(d->cli, "seed") + seed_offset);
}

static const char *restored_operand(const struct qk_diagnose *d)
{
    return qk_arena_printf(qk_cli_arena(d->cli), "%s=%s/restored", d->restored_name, d->dir);
}

/* ---- the steps' command lines ----------------------------------------------------------------------------------- */

static void drift_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_words(words, "drift", d->base, d->tuned, NULL);
    pass_on(d, words, "base-model");
}

static void add_probe(const struct qk_diagnose *d, struct qk_diagnose_words *words, const char *compared)
{
    add_words(words, "probe", d->base, compared, "--niah", "--tasks", "s2", "--lengths", d->size.probe_length, NULL);
    add_count(d, words, "--depths", d->size.probes);
    add_documents(d, words, PROBING_SEED);
}

static void probe_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_probe(d, words, d->tuned);
    pass_on(d, words, "base-model");
}

static void measured_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_word(words, "merge");
    add_file(d, words, NULL, "steps/drift.h5");
    add_file(d, words, NULL, "steps/probe.h5");
}

static void recommend_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_word(words, "recommend");
    add_file(d, words, NULL, "steps/measured.h5");
    add_words(words, "--measure", "--base", d->base, "--tuned", d->tuned, NULL);
    pass_on(d, words, "units");
    pass_on(d, words, "by");
    pass_on(d, words, "max-reasoning-loss");
    if (qk_cli_value(d->cli, "tasks") != NULL) {
        add_words(words, "--tasks", d->size.tasks, NULL);
    }
    add_words(words, "--lengths", d->size.measure_lengths, NULL);
    add_count(d, words, "--depths", d->size.measure_depths);
    add_count(d, words, "--samples", d->size.measure_samples);
    add_count(d, words, "--test-samples", d->size.test_samples);
    add_documents(d, words, CHOOSING_SEED);
    if (d->calibration != NULL) {
        add_words(words, "--reasoning", d->calibration, "--reasoning-test", d->test, NULL);
    }
    add_count(d, words, "--budget-passes", d->size.passes);
    add_file(d, words, "--store", "steps/recommend.h5");
}

static void restore_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_words(words, "restore", d->base, d->tuned, NULL);
    add_file(d, words, "--plan", "plan.json");
    pass_on(d, words, "base-model");
}

static void restored_drift_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_words(words, "drift", d->base, restored_operand(d), NULL);
}

static void restored_probe_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_probe(d, words, restored_operand(d));
}

static void niah_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_words(words, "niah", d->base, d->tuned, NULL);
    if (d->plan_changes) {
        add_word(words, restored_operand(d));
    }
    add_words(words, "--tasks", d->size.tasks, "--lengths", d->size.lengths, NULL);
    add_count(d, words, "--depths", d->size.depths);
    add_count(d, words, "--samples", d->size.samples);
    add_documents(d, words, 0);
    pass_on(d, words, "base-model");
}

static void eval_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_words(words, "eval", d->base, d->tuned, NULL);
    if (d->plan_changes) {
        add_word(words, restored_operand(d));
    }
    add_words(words, "--data", d->test, NULL);
    pass_on(d, words, "base-model");
}

static void all_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_word(words, "merge");
    add_file(d, words, NULL, "steps/recommend.h5");
    if (d->plan_changes) {
        add_file(d, words, NULL, "steps/restored-drift.h5");
        add_file(d, words, NULL, "steps/restored-probe.h5");
    }
    add_file(d, words, NULL, "steps/niah.h5");
    if (d->test != NULL) {
        add_file(d, words, NULL, "steps/eval.h5");
    }
}

static void plot_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_word(words, "plot");
    add_file(d, words, NULL, "run.h5");
    add_words(words, "--format", "pdf,png", NULL);
}

static void report_words(const struct qk_diagnose *d, struct qk_diagnose_words *words)
{
    add_word(words, "report");
    add_file(d, words, NULL, "run.h5");
}

/* ---- which are run ---------------------------------------------------------------------------------------------- */

static bool always(const struct qk_diagnose *d)
{
    (void)d;
    return true;
}

static bool differs(const struct qk_diagnose *d)
{
    return !d->identical;
}

static bool has_plan(const struct qk_diagnose *d)
{
    return d->plan_changes;
}

static bool has_problems(const struct qk_diagnose *d)
{
    return !d->identical && d->test != NULL;
}

static bool has_report(const struct qk_diagnose *d)
{
    (void)d;
    return qk_command_find("report") != NULL;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static const struct qk_diagnose_step steps[] = {
    {.name = "drift",
     .title = "what moved in the weights",
     .output = "steps/drift.h5",
     .threads = true,
     .resumes = true,
     .wanted = always,
     .add_words = drift_words},
    {.name = "probe",
     .title = "where the heads look",
     .output = "steps/probe.h5",
     .threads = true,
     .resumes = true,
     .wanted = differs,
     .add_words = probe_words},
    {.name = "measured",
     .title = "both in one file",
     .output = "steps/measured.h5",
     .wanted = differs,
     .add_words = measured_words},
    {.name = "recommend",
     .title = "what to restore, chosen by running it",
     .output = "plan.json",
     .also = "steps/recommend.h5",
     .threads = true,
     .resumes = true,
     .wanted = differs,
     .add_words = recommend_words},
    {.name = "restore",
     .title = "the repaired checkpoint",
     .output = "restored",
     .threads = true,
     .wanted = has_plan,
     .add_words = restore_words},
    {.name = "restored-drift",
     .title = "what still differs from the base",
     .output = "steps/restored-drift.h5",
     .threads = true,
     .resumes = true,
     .wanted = has_plan,
     .add_words = restored_drift_words},
    {.name = "restored-probe",
     .title = "where its heads look, on the same probes",
     .output = "steps/restored-probe.h5",
     .threads = true,
     .resumes = true,
     .wanted = has_plan,
     .add_words = restored_probe_words},
    {.name = "niah",
     .title = "recall, on documents that nothing was chosen by",
     .output = "steps/niah.h5",
     .threads = true,
     .resumes = true,
     .wanted = differs,
     .add_words = niah_words},
    {.name = "eval",
     .title = "reasoning, on problems that nothing was chosen by",
     .output = "steps/eval.h5",
     .threads = true,
     .resumes = true,
     .wanted = has_problems,
     .add_words = eval_words},
    {.name = "all",
     .title = "everything in one file",
     .output = "steps/all.h5",
     .wanted = differs,
     .add_words = all_words},
    {.name = "plot",
     .title = "figures",
     .output = "figures",
     .closing = true,
     .wanted = always,
     .add_words = plot_words},
    {.name = "report",
     .title = "one page with all of it",
     .output = "report.html",
     .closing = true,
     .wanted = has_report,
     .add_words = report_words},
};

size_t qk_diagnose_n_steps(void)
{
    return sizeof steps / sizeof steps[0];
}

const struct qk_diagnose_step *qk_diagnose_step_at(size_t i)
{
    return &steps[i];
}

enum qk_code qk_diagnose_step_words(const struct qk_diagnose *d, const struct qk_diagnose_step *step,
                                    struct qk_diagnose_words *ret, struct qk_err *err)
{
    struct qk_diagnose_words words = {.n = 0};
    add_word(&words, "qkscope");
    step->add_words(d, &words);
    add_file(d, &words, "-o", step->output);
    if (step->threads) {
        pass_on(d, &words, "threads");
    }
    add_word(&words, "--force");
    if (words.failed) {
        return qk_fail_nomem(err, step->name);
    }
    *ret = words;
    return QK_OK;
}
