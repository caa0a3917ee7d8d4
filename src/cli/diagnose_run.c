/* Running the steps of a diagnosis: see diagnose.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli_state.h"
#include "diagnose.h"
#include "diagnose_state.h"
#include "diagnose_verdict.h"
#include "repair/plan.h"

/* What a step printed. */
static const char *output_path(const struct qk_diagnose *d, const char *step)
{
    const char *file = qk_arena_printf(qk_cli_arena(d->cli), "steps/%s.txt", step);
    return file != NULL ? qk_diagnose_path(d, file) : NULL;
}

static enum qk_code code_of_status(int status)
{
    static const enum qk_code codes[] = {QK_EUSAGE, QK_EIO, QK_EFORMAT, QK_ENOMEM, QK_EINTERRUPTED, QK_EINTERNAL};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (qk_exit_status(codes[i]) == status) {
            return codes[i];
        }
    }
    return QK_EINTERNAL;
}

enum qk_code qk_diagnose_run_words(struct qk_diagnose *d, const char *name, const struct qk_diagnose_words *words,
                                   struct qk_err *err)
{
    struct qk_diagnose_words child = *words;
    const char *text = output_path(d, name);
    int status = 0;
    if (text == NULL) {
        return qk_fail_nomem(err, name);
    }
    child.word[0] = "/proc/self/exe";
    if (qk_cli_verbosity(d->cli) < 0) {
        child.word[child.n++] = "-q";
    }
    if (!qk_streq(qk_cli_value(d->cli, "progress"), "auto")) {
        child.word[child.n++] = "--progress";
        child.word[child.n++] = qk_cli_value(d->cli, "progress");
    }
    child.word[child.n] = NULL;
    QK_TRY(qk_child_attend(child.word, text, &status, err));
    if (status != 0 && status != 1) {
        enum qk_code code = qk_fail(err, code_of_status(status), "%s", ""); /* the step said it */
        qk_err_hint(err, "step '%s' of the diagnosis failed", name);
        return code;
    }
    return QK_OK;
}

/* What the user sees of the way there goes to standard error; standard output is for the verdict. */
static enum qk_code show_output(const struct qk_diagnose *d, const char *step, struct qk_err *err)
{
    char *text;
    size_t len;
    const char *path = output_path(d, step);
    if (path == NULL) {
        return qk_fail_nomem(err, step);
    }
    QK_TRY(qk_file_slurp(path, (size_t)1 << 26, &text, &len, err));
    qk_cli_remark(d->cli, text);
    qk_free(text);
    return QK_OK;
}

/* commands.sh: what was run so far, without --resume. */
static enum qk_code write_commands(struct qk_diagnose *d, const char *line, struct qk_err *err)
{
    const char *path = qk_diagnose_path(d, "commands.sh");
    qk_str_addf(&d->commands, "%s\n", line);
    if (path == NULL || d->commands.failed) {
        return qk_fail_nomem(err, "commands.sh");
    }
    return qk_atomic_put(path, true, d->commands.s, d->commands.len, err);
}

/* Reads from a finished step what later ones depend on. */
static enum qk_code learn_from(struct qk_diagnose *d, const struct qk_diagnose_step *step, struct qk_err *err)
{
    const char *output = qk_diagnose_path(d, step->output);
    if (qk_streq(step->name, "drift")) {
        return qk_diagnose_is_identical(d, output, &d->identical, err);
    }
    if (qk_streq(step->name, "recommend")) {
        struct qk_plan plan;
        QK_TRY(qk_plan_read(output, qk_cli_arena(d->cli), &plan, err));
        for (size_t i = 0; i < plan.n_units; i++) {
            d->plan_changes = d->plan_changes || plan.units[i].action != QK_PLAN_KEEP;
        }
        if (!d->plan_changes) {
            qk_cli_remark(d->cli, "\n# the plan keeps everything as tuned: there is no checkpoint to write\n");
        }
    }
    return QK_OK;
}

static bool is_done(const struct qk_diagnose *d, const struct qk_diagnose_step *step, const char *line)
{
    const char *output = qk_diagnose_path(d, step->output);
    const char *also = step->also != NULL ? qk_diagnose_path(d, step->also) : output;
    return output != NULL && also != NULL && qk_path_exists(also) &&
           qk_diagnose_state_is_done(d->state, step->name, line, output);
}

/* An interrupted step goes on where it was. */
static enum qk_code add_resume(const struct qk_diagnose *d, const struct qk_diagnose_step *step,
                               struct qk_diagnose_words *words, struct qk_err *err)
{
    const char *part = qk_arena_printf(qk_cli_arena(d->cli), "%s/%s.part", d->dir, step->output);
    if (part == NULL) {
        return qk_fail_nomem(err, step->name);
    }
    if (step->resumes && qk_cli_resume(d->cli) && qk_path_exists(part)) {
        words->word[words->n++] = "--resume";
    }
    return QK_OK;
}

static const char *shell_line(const struct qk_diagnose *d, const struct qk_diagnose_words *words)
{
    union {
        const char *const *in;
        char *const *out;
    } argv = {words->word}; /* not written to */
    return qk_shell_line(qk_cli_arena(d->cli), words->n, argv.out);
}

/* "3 of 13": the step's place among those that a diagnosis with these inputs may have. */
static void count_steps(const struct qk_diagnose *d, const struct qk_diagnose_step *step, size_t *ret_at, size_t *ret_n)
{
    struct qk_diagnose whole = *d;
    whole.identical = false;
    whole.plan_changes = true;
    *ret_at = *ret_n = 0;
    for (size_t i = 0; i < qk_diagnose_n_steps(); i++) {
        *ret_n += qk_diagnose_step_at(i)->wanted(&whole) ? 1 : 0;
        *ret_at = qk_diagnose_step_at(i) == step ? *ret_n : *ret_at;
    }
}

/* *anew: an earlier step was run, so that this one's output is out of date. */
static enum qk_code do_step(struct qk_diagnose *d, const struct qk_diagnose_step *step, bool *anew, struct qk_err *err)
{
    struct qk_diagnose_words words;
    const char *output = qk_diagnose_path(d, step->output);
    QK_TRY(qk_interrupt_check(err));
    QK_TRY(qk_diagnose_step_words(d, step, &words, err));
    const char *line = shell_line(d, &words);
    if (line == NULL || output == NULL) {
        return qk_fail_nomem(err, step->name);
    }
    size_t at, n;
    count_steps(d, step, &at, &n);
    bool done = !step->closing && !*anew && is_done(d, step, line);
    QK_TRY(write_commands(d, line, err));
    qk_cli_remark(d->cli, qk_arena_printf(qk_cli_arena(d->cli), "\n# step %zu of %zu: %s%s\n$ %s\n", at, n, step->title,
                                          done ? " (there already)" : "", line));
    if (!done) {
        QK_TRY(*anew ? QK_OK : add_resume(d, step, &words, err));
        QK_TRY(qk_diagnose_run_words(d, step->name, &words, err));
        QK_TRY(step->closing ? QK_OK : show_output(d, step->name, err)); /* lists of files are in steps/ only */
        *anew = true;
    }
    if (!step->closing) {
        QK_TRY(qk_diagnose_state_done(d->state, step->name, line, output, !done, err));
    }
    return learn_from(d, step, err);
}

enum qk_code qk_diagnose_do_steps(struct qk_diagnose *d, bool closing, struct qk_err *err)
{
    bool anew = false;
    enum qk_code first = QK_OK;
    for (size_t i = 0; i < qk_diagnose_n_steps(); i++) {
        const struct qk_diagnose_step *step = qk_diagnose_step_at(i);
        if (step->closing != closing || !step->wanted(d)) {
            continue;
        }
        /* a page that cannot be made keeps no other from being made */
        enum qk_code code = do_step(d, step, &anew, first == QK_OK ? err : NULL);
        first = first == QK_OK ? code : first;
        if (code == QK_EINTERRUPTED || (code != QK_OK && !closing)) {
            return code;
        }
    }
    return first;
}
