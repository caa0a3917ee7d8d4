/* qkscope diagnose BASE TUNED -o DIR: the whole circle, from what moved to a repaired checkpoint and a verdict. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "advise/diagnosis.h"
#include "base/file.h"
#include "checkpoint_inputs.h"
#include "diagnose.h"
#include "diagnose_problems.h"
#include "diagnose_state.h"
#include "diagnose_verdict.h"
#include "model/forward_spec.h"
#include "run/drift.h"
#include "run/eval.h"
#include "run/niah.h"
#include "text/haystack.h"
#include "text/tokenizer.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

/* Tokens a second of the tuned checkpoint, by running it, start of the program included. */
static enum qk_code measure_speed(struct qk_diagnose *d, double *ret, struct qk_err *err)
{
    enum { SHORT = 512, N_CASES = 2 };
    const char *output = qk_diagnose_path(d, "steps/speed.h5");
    struct qk_diagnose_words words = {.word = {"qkscope", "niah", d->base, "--tasks", "s1", "--lengths", "512",
                                               "--depths", "2", "-o", output, "--force", "-q"},
                                      .n = 13};
    if (output == NULL) {
        return qk_fail_nomem(err, "speed");
    }
    qk_cli_remark(d->cli, "# how fast the model runs here\n");
    double start = qk_seconds();
    QK_TRY(qk_diagnose_run_words(d, "speed", &words, err));
    *ret = (double)SHORT * N_CASES / fmax(qk_seconds() - start, 1e-3);
    (void)unlink(output);
    return QK_OK;
}

static enum qk_code choose_size(struct qk_diagnose *d, const char *name, struct qk_err *err)
{
    double reasoning = 0.0, speed = 1.0;
    if (!qk_streq(name, "auto")) {
        d->size = *qk_diagnose_size_find(name);
        return QK_OK;
    }
    if (d->test != NULL) {
        QK_TRY(qk_diagnose_problem_tokens(d->test, &reasoning, err));
    }
    QK_TRY(measure_speed(d, &speed, err));
    double seconds = 60.0 * qk_cli_number(d->cli, "budget-minutes");
    d->size = *qk_diagnose_size_within(speed * seconds, reasoning);
    double minutes = ceil(qk_diagnose_size_tokens(&d->size, reasoning) / speed / 60.0);
    qk_cli_remark(d->cli,
                  qk_arena_printf(qk_cli_arena(d->cli), "# %.0f tokens a second: size %s, about %.0f minute%s\n", speed,
                                  d->size.name, minutes, minutes == 1.0 ? "" : "s"));
    return QK_OK;
}

/* All items of a list option, "s1,s2"; dflt when it was not given; NULL when out of memory. */
static const char *list_or(const struct qk_diagnose *d, const char *option, const char *dflt)
{
    const char *const *items, *text = dflt;
    size_t n = qk_cli_list(d->cli, option, &items);
    for (size_t i = 0; text != NULL && i < n; i++) {
        text = i == 0 ? items[i] : qk_arena_printf(qk_cli_arena(d->cli), "%s,%s", text, items[i]);
    }
    return text;
}

static void take_count(const struct qk_diagnose *d, const char *option, size_t *into)
{
    *into = qk_cli_value(d->cli, option) != NULL ? qk_cli_count(d->cli, option) : *into;
}

static enum qk_code settle_size(struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs, struct qk_err *err)
{
    const char *before = qk_diagnose_state_find(d->state, "size"), *size = qk_cli_value(d->cli, "size");
    bool as_before = qk_streq(size, "auto") && before != NULL && qk_diagnose_size_find(before) != NULL;
    QK_TRY(choose_size(d, as_before ? before : size, err));
    struct qk_arena *arena = qk_cli_arena(d->cli);
    size_t longest = inputs->models[0]->max_position;
    d->size.tasks = list_or(d, "tasks", d->size.tasks);
    d->size.probe_length = qk_diagnose_lengths_within(d->size.probe_length, longest, arena);
    d->size.measure_lengths =
        list_or(d, "lengths", qk_diagnose_lengths_within(d->size.measure_lengths, longest, arena));
    d->size.lengths = list_or(d, "lengths", qk_diagnose_lengths_within(d->size.lengths, longest, arena));
    take_count(d, "depths", &d->size.depths);
    take_count(d, "samples", &d->size.samples);
    take_count(d, "passes", &d->size.passes);
    if (d->size.tasks == NULL || d->size.probe_length == NULL || d->size.measure_lengths == NULL ||
        d->size.lengths == NULL) {
        return qk_fail_nomem(err, "sizes");
    }
    struct qk_str text = {0};
    qk_str_add(&text, "# ");
    qk_diagnose_size_add(&d->size, &text);
    qk_str_add(&text,
               d->test != NULL ? ", reasoning\n" : "; no problems were given (--data): reasoning is not measured\n");
    qk_cli_remark(d->cli, text.failed ? NULL : text.s);
    qk_str_release(&text);
    return QK_OK;
}

/* ---- resuming --------------------------------------------------------------------------------------------------- */

/* ---- what must be there ----------------------------------------------------------------------------------------- */

/* What documents are made of: the template and the files that it names. */
static enum qk_code hash_documents(const struct qk_diagnose *d, char *ret, struct qk_err *err)
{
    struct qk_haystack *haystack;
    QK_TRY(qk_haystack_open(qk_cli_value(d->cli, "template"), qk_cli_value(d->cli, "haystack"), &haystack, err));
    (void)snprintf(ret, 65, "%s", qk_haystack_sha256(haystack));
    qk_haystack_free(haystack);
    return QK_OK;
}

static enum qk_code check_forward(const struct qk_run_input *input, struct qk_err *err)
{
    struct qk_forward_spec *spec = NULL;
    enum qk_code code = qk_forward_spec_open(input->model, &spec, err);
    qk_forward_spec_free(spec);
    if (code != QK_OK) {
        qk_err_hint(err, "from the weights alone: qkscope drift, recommend RUN.h5, restore --plan");
    }
    return code;
}

/* Before anything is written: what later steps would stop at. */
static enum qk_code check_measurable(const struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs,
                                     struct qk_err *err)
{
    static const char *const files[] = {"data", "data-test"};
    const char *const *words;
    struct qk_niah_grid grid = {0};
    struct qk_tokenizer *tokenizer;
    struct qk_eval_set problems;
    char sha[65];
    if (qk_cli_value(d->cli, "data-test") != NULL && qk_cli_value(d->cli, "data") == NULL) {
        return qk_fail(err, QK_EUSAGE, "--data-test: goes with --data, the problems to choose by");
    }
    size_t n = qk_cli_list(d->cli, "tasks", &words);
    QK_TRY(qk_niah_parse_tasks(words, n, &grid, err));
    n = qk_cli_list(d->cli, "lengths", &words);
    QK_TRY(qk_niah_parse_lengths(words, n, &grid, err));
    for (size_t i = 0; i < inputs->n; i++) {
        QK_TRY(check_forward(&inputs->inputs[i], err));
    }
    QK_TRY(qk_tokenizer_open(inputs->ckpts[0]->dir, &tokenizer, err));
    qk_tokenizer_free(tokenizer);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *file = qk_cli_value(d->cli, files[i]);
        QK_TRY(file == NULL ? QK_OK
                            : qk_eval_set_read(file, inputs->ckpts[0]->dir, 0, qk_cli_arena(d->cli), &problems, err));
    }
    return hash_documents(d, sha, err);
}

/* What must be the same for --resume. The drift run's hash stands for the program and both checkpoints. */
static enum qk_code state_facts(struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs, struct qk_err *err)
{
    static const char *const options[] = {
        "units", "by", "max-reasoning-loss", "tasks", "lengths", "depths", "samples", "seed", "passes"};
    static const char *const files[] = {"data", "data-test"};
    struct qk_drift_options plain = {0};
    struct qk_table *table;
    QK_TRY(qk_table_new(&table, err));
    enum qk_code code = qk_drift_prepare(table, &inputs->inputs[0], &inputs->inputs[1], 1, &plain, err);
    const char *path = qk_arena_printf(qk_cli_arena(d->cli), "/drift/%s", d->tuned_name);
    const struct qk_node *entry = code == QK_OK && path != NULL ? qk_table_find(table, path) : NULL;
    const char *pair = entry != NULL ? qk_node_attr_get_str(entry, "config_hash") : NULL;
    if (code == QK_OK) {
        code = qk_diagnose_state_fact(d->state, "pair", pair, err);
    }
    qk_table_free(table);
    for (size_t i = 0; code == QK_OK && i < sizeof options / sizeof options[0]; i++) {
        const char *value = qk_streq(options[i], "tasks") || qk_streq(options[i], "lengths")
                                ? list_or(d, options[i], "-")
                                : qk_cli_value(d->cli, options[i]);
        code = qk_diagnose_state_fact(d->state, options[i], value, err);
    }
    for (size_t i = 0; code == QK_OK && i < sizeof files / sizeof files[0]; i++) {
        char sha[65];
        const char *file = qk_cli_value(d->cli, files[i]);
        code = file == NULL ? QK_OK : qk_diagnose_hash(file, sha, err);
        code = code == QK_OK ? qk_diagnose_state_fact(d->state, files[i], file == NULL ? NULL : sha, err) : code;
    }
    char documents[65];
    QK_TRY(code);
    QK_TRY(hash_documents(d, documents, err));
    return qk_diagnose_state_fact(d->state, "documents", documents, err);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static enum qk_code take_problems(struct qk_diagnose *d, struct qk_err *err)
{
    const char *data = qk_cli_value(d->cli, "data"), *test = qk_cli_value(d->cli, "data-test");
    d->calibration = data;
    d->test = test;
    if (data != NULL && test == NULL) {
        d->calibration = qk_diagnose_path(d, "steps/calibration.jsonl");
        d->test = qk_diagnose_path(d, "steps/test.jsonl");
        if (d->calibration == NULL || d->test == NULL) {
            return qk_fail_nomem(err, "problems");
        }
        return qk_diagnose_split_problems(data, d->calibration, d->test, err);
    }
    return QK_OK;
}

/* Inputs are never written: DIR may not be one, or lie in one. */
static enum qk_code guard_inputs(const struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs,
                                 struct qk_err *err)
{
    char own[PATH_MAX], input[PATH_MAX], *above = qk_arena_strdup(qk_cli_arena(d->cli), d->dir);
    if (above == NULL) {
        return qk_fail_nomem(err, "directory");
    }
    while (realpath(above, own) == NULL && strrchr(above, '/') != NULL) {
        *strrchr(above, '/') = '\0'; /* what does not exist yet lies where its parent does */
    }
    if (realpath(above, own) == NULL && realpath(".", own) == NULL) {
        return qk_fail_errno(err, d->dir, "find");
    }
    for (size_t i = 0; i < inputs->n; i++) {
        const char *path = inputs->inputs[i].ckpt->path;
        size_t n = qk_path_is_dir(path) && realpath(path, input) != NULL ? strlen(input) : 0;
        if (n > 0 && strncmp(own, input, n) == 0 && (own[n] == '/' || own[n] == '\0')) {
            return qk_fail(err, QK_EUSAGE, "%s: is an input or lies in one (%s)", d->dir, path);
        }
    }
    return QK_OK;
}

static enum qk_code make_directory(const struct qk_diagnose *d, struct qk_err *err)
{
    bool may = qk_cli_force(d->cli) || qk_cli_resume(d->cli);
    if (qk_path_exists(d->dir) && !may) {
        (void)qk_fail(err, QK_EUSAGE, "%s: exists already", d->dir);
        qk_err_hint(err, "--resume goes on with what is there, --force begins anew");
        return QK_EUSAGE;
    }
    const char *steps = qk_diagnose_path(d, "steps");
    return steps == NULL ? qk_fail_nomem(err, "directory") : qk_mkdirs(steps, err);
}

/* An operand as the steps are given it: with its name, where that is not the directory's own. */
static const char *operand_of(const struct qk_diagnose *d, const struct qk_run_input *input, const char *given)
{
    bool named = qk_streq(input->name, input->ckpt->name) || strchr(given, '=') != NULL;
    return named ? given : qk_arena_printf(qk_cli_arena(d->cli), "%s=%s", input->name, given);
}

/* Names and operands outlive the inputs. */
static enum qk_code take_names(struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs, struct qk_err *err)
{
    static const char *const restored[] = {"restored", "restored-2", "restored-3"};
    const struct qk_run_input *base = &inputs->inputs[0], *tuned = &inputs->inputs[1];
    size_t i = 0;
    d->base_name = qk_arena_strdup(qk_cli_arena(d->cli), base->name);
    d->tuned_name = qk_arena_strdup(qk_cli_arena(d->cli), tuned->name);
    d->base = operand_of(d, base, d->base);
    d->tuned = operand_of(d, tuned, d->tuned);
    while (qk_streq(restored[i], base->name) || qk_streq(restored[i], tuned->name)) {
        i++;
    }
    d->restored_name = restored[i];
    return d->base_name == NULL || d->tuned_name == NULL || d->base == NULL || d->tuned == NULL
               ? qk_fail_nomem(err, "checkpoint names")
               : QK_OK;
}

static enum qk_code begin(struct qk_diagnose *d, const struct qk_checkpoint_inputs *inputs, struct qk_err *err)
{
    bool resumed;
    QK_TRY(qk_run_check_pair(&inputs->inputs[0], &inputs->inputs[1], qk_cli_progress(d->cli), err));
    QK_TRY(take_names(d, inputs, err));
    QK_TRY(guard_inputs(d, inputs, err));
    QK_TRY(check_measurable(d, inputs, err));
    QK_TRY(make_directory(d, err));
    QK_TRY(qk_diagnose_state_open(d->dir, qk_cli_resume(d->cli), qk_cli_arena(d->cli), &d->state, &resumed, err));
    if (qk_cli_resume(d->cli) && !resumed) {
        qk_cli_notice(d->cli, "%s: nothing to go on with; a new diagnosis begins", d->dir);
    }
    QK_TRY(state_facts(d, inputs, err));
    QK_TRY(take_problems(d, err));
    QK_TRY(settle_size(d, inputs, err));
    qk_str_add(&d->commands,
               "#!/bin/sh\n# the steps of a qkscope diagnosis; run in the directory that it was run in\nset "
               "-e\n");
    return qk_diagnose_state_fact(d->state, "size", d->size.name, err);
}

/* What the user may want to open, in DIR. */
static const struct {
    const char *name, *what;
} kept_files[] = {
    {"verdict.txt", "the verdict"},
    {"report.html", "the report, one page for a browser"},
    {"restored", "the repaired checkpoint"},
    {"figures", "the figures, as PDF and PNG"},
    {"run.h5", "all that was measured, for plot, report, export, h5py"},
    {"commands.sh", "the commands that were run"},
};

static enum qk_code carry_out(struct qk_diagnose *d, struct qk_err *err)
{
    QK_TRY(qk_diagnose_do_steps(d, false, err));
    struct qk_diagnosis diagnosis;
    QK_TRY(qk_diagnose_verdict(d, &diagnosis, err));
    /* a machine without gnuplot still gets its verdict */
    enum qk_code code = qk_diagnose_do_steps(d, true, err);
    if (code == QK_EINTERRUPTED) {
        return code;
    }
    QK_TRY(qk_diagnose_print(d, &diagnosis, code == QK_OK ? err : NULL));
    qk_cli_remark(d->cli, "\n");
    for (size_t i = 0; i < sizeof kept_files / sizeof kept_files[0]; i++) {
        const char *path = qk_diagnose_path(d, kept_files[i].name);
        if (path != NULL && qk_path_exists(path)) {
            qk_cli_remark(d->cli, qk_arena_printf(qk_cli_arena(d->cli), "# %s: %s\n", path, kept_files[i].what));
        }
    }
    return code;
}

static enum qk_code diagnose(struct qk_diagnose *d, struct qk_err *err)
{
    struct qk_checkpoint_inputs inputs = {0};
    enum qk_code code = qk_checkpoint_inputs_open(d->cli, &inputs, err);
    if (code == QK_OK) {
        code = begin(d, &inputs, err);
    }
    qk_checkpoint_inputs_release(&inputs);
    if (code == QK_OK) {
        code = carry_out(d, err);
        if (code != QK_OK) {
            const char *failed = err->text[0] == 0 ? qk_arena_printf(qk_cli_arena(d->cli), "%s; ", err->hint) : "";
            qk_err_hint(err, "%sfinished steps are in %s; the same command with --resume goes on",
                        failed == NULL ? "" : failed, d->dir);
        }
    }
    qk_str_release(&d->commands);
    return code;
}

static enum qk_code run(struct qk_cli *cli, struct qk_err *err)
{
    struct qk_diagnose d = {
        .cli = cli, .dir = qk_cli_output(cli), .base = qk_cli_operand(cli, 0), .tuned = qk_cli_operand(cli, 1)};
    if (d.dir == NULL) {
        (void)qk_fail(err, QK_EUSAGE, "no output directory");
        qk_err_hint(err, "-o DIR names it");
        return QK_EUSAGE;
    }
    return diagnose(&d, err);
}

static const char *const unit_choices[] = {"full", "all", NULL};
static const char *const by_choices[] = {"layer", "kv-group", NULL};
static const char *const size_choices[] = {"auto", "xs", "s", "m", "l", "xl", NULL};

static const struct qk_option options[] = {
    {.name = "data",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help =
         "Problems that fine-tuning taught, one JSON object a line: {\"prompt\": text, \"answer\": text}. The plan is "
         "chosen by every second one; the others prove it. Without, reasoning is not measured."},
    {.name = "data-test",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Problems to prove the plan by; all of --data choose it then."},
    {.name = "units",
     .kind = QK_OPT_CHOICE,
     .arg = "WHICH",
     .dflt = "full",
     .choices = unit_choices,
     .help = "Layers that may be restored: softmax attention over all keys, or every layer with Q and K."},
    {.name = "by",
     .kind = QK_OPT_CHOICE,
     .arg = "UNIT",
     .dflt = "layer",
     .choices = by_choices,
     .help = "Restore per layer, or per KV group."},
    {.name = "max-reasoning-loss",
     .kind = QK_OPT_NUMBER,
     .arg = "POINTS",
     .dflt = "3",
     .help = "At most so many percent of the problems may be lost against the tuned checkpoint."},
    {.name = "budget-minutes",
     .kind = QK_OPT_NUMBER,
     .arg = "M",
     .dflt = "5",
     .help = "About how long it may take on this machine; decides the size."},
    {.name = "size",
     .kind = QK_OPT_CHOICE,
     .arg = "SIZE",
     .dflt = "auto",
     .choices = size_choices,
     .help = "How many cases, at which lengths, and how many variants are measured; auto: the largest within "
             "--budget-minutes."},
    {.name = "tasks",
     .kind = QK_OPT_LIST,
     .arg = "TASK,…",
     .help = "Recall tasks (see qkscope niah -h). Default: all."},
    {.name = "lengths",
     .kind = QK_OPT_LIST,
     .arg = "N,…",
     .help = "Lengths of the documents for recall in tokens, instead of the size's."},
    {.name = "depths", .kind = QK_OPT_COUNT, .arg = "N", .help = "Places of the needle, instead of the size's."},
    {.name = "samples",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .help = "Documents per task, length and depth, instead of the size's."},
    {.name = "passes",
     .kind = QK_OPT_COUNT,
     .arg = "N",
     .help = "Variants measured at most to choose the plan, instead of the size's."},
    {.name = "seed", .kind = QK_OPT_COUNT, .arg = "N", .dflt = "1", .help = "Other documents for another number."},
    {.name = "template",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "JSON that says what documents look like (see qkscope niah -h)."},
    {.name = "haystack",
     .kind = QK_OPT_PATH,
     .arg = "FILE",
     .help = "Prose to hide needles in, instead of the template's."},
    {0},
};

static const char *const operand_help[] = {
    "BASE",  "The checkpoint before fine-tuning, or NAME=PATH.",
    "TUNED", "The checkpoint after it, or NAME=PATH; a PEFT adapter stands for base and adapter.",
    NULL,
};

static const char *const examples[] = {
    "qkscope diagnose base/ sft/ -o diagnosis --data problems.jsonl",
    "What was lost, where and why, and a repaired checkpoint in diagnosis/restored.",
    "qkscope diagnose base/ sft/ -o diagnosis --data problems.jsonl --units all --budget-minutes 60",
    "Linear layers may be restored too; an hour of measuring.",
    "qkscope diagnose base/ sft/ -o diagnosis --data problems.jsonl --resume",
    "Goes on where an interrupted diagnosis stopped.",
    NULL,
};

const struct qk_command qk_cmd_diagnose = {
    .name = "diagnose",
    .summary = "the whole circle: drift, attention, recall, repair, proof, verdict",
    .operands = "BASE TUNED",
    .min_operands = 2,
    .max_operands = 2,
    .description =
        "Runs qkscope's commands one after the other: drift; probe on needles in haystacks; recommend --measure, which "
        "chooses what to restore by running it; restore of the plan; drift and probe of the restored "
        "checkpoint; niah and eval of base, tuned and restored checkpoint on documents and problems that nothing was "
        "chosen by; merge; plot; report. Every command line is shown before it is run and kept in DIR/commands.sh, so "
        "that any of them can be run again with other options.\n\n"
        "The verdict says what was lost, in which heads, how sure that is, whether drift of Q and K is the main cause, "
        "and "
        "what the plan brings back at what price. It is printed, in DIR/verdict.txt, and in /verdict of DIR/run.h5, "
        "which "
        "holds all that was measured. A repaired checkpoint is in DIR/restored when the plan changes anything.\n\n"
        "Recall is lost when a task's rate fell by more than chance (Newcombe's 95 % interval of the difference). "
        "Drift "
        "of Q and K is the main cause when putting back Q and K alone returns half of it or more, and putting back "
        "everything else does not return clearly more.\n\n"
        "Sizes follow from --budget-minutes by a short run of the model, so that they depend on the machine; --size "
        "makes "
        "them fixed, and the same inputs and options then give the same files. Ctrl-C loses nothing that was finished: "
        "--resume goes on.",
    .common = QK_COMMON_OUTPUT | QK_COMMON_THREADS | QK_COMMON_JSON | QK_COMMON_FORCE | QK_COMMON_RESUME |
              QK_COMMON_BASE_MODEL,
    .output_help = "DIR",
    .options = options,
    .examples = examples,
    .run = run,
    .operand_help = operand_help,
};
