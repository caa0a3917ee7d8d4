/* A diagnosis: qkscope's own commands, run one after the other in one directory, and a verdict on what they found.
 *
 *   DIR/steps/NAME.h5, NAME.txt   what step NAME stored and printed
 *   DIR/steps/state               which steps are complete, for --resume (diagnose_state.c)
 *   DIR/run.h5 plan.json restored/ figures/ report.html verdict.txt commands.sh
 *
 * Private to src/cli. */
#ifndef QK_CLI_DIAGNOSE_H
#define QK_CLI_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"
#include "diagnose_sizes.h"

enum { QK_DIAGNOSE_MOST_WORDS = 48 };

struct qk_diagnose_state;

struct qk_diagnose {
    struct qk_cli *cli;
    const char *dir;
    const char *base, *tuned;                           /* operands */
    const char *base_name, *tuned_name, *restored_name; /* in results */
    const char *calibration, *test;                     /* problem files; NULL: reasoning is not measured */
    struct qk_diagnose_size size;
    bool identical;    /* the weights are the same: nothing is run after drift */
    bool plan_changes; /* the plan changes something: there is a restored checkpoint */
    struct qk_diagnose_state *state;
    struct qk_str commands; /* commands.sh so far */
};

/* "DIR/name", from the command's arena; NULL when out of memory. */
const char *qk_diagnose_path(const struct qk_diagnose *d, const char *name);

/* The words of a step's command line, argv[0] included; a NULL word marks that memory ran out. */
struct qk_diagnose_words {
    size_t n;
    const char *word[QK_DIAGNOSE_MOST_WORDS + 8]; /* room for what is added for running it, and NULL */
    bool failed;
};

struct qk_diagnose_step {
    const char *name;      /* its files are DIR/steps/NAME.* */
    const char *title;     /* what it is for, for the user */
    const char *output;    /* of -o, in DIR: a file, or a directory with qkscope.json */
    const char *also;      /* a second file that it leaves; NULL = none */
    bool threads, resumes; /* its command takes --threads, leaves OUTPUT.part for --resume */
    bool closing;          /* makes pages out of DIR/run.h5: run every time, behind the verdict */
    bool (*wanted)(const struct qk_diagnose *d);
    void (*add_words)(const struct qk_diagnose *d, struct qk_diagnose_words *words);
};
size_t qk_diagnose_n_steps(void);
const struct qk_diagnose_step *qk_diagnose_step_at(size_t i);
/* The whole command line, --resume left out. */
enum qk_code qk_diagnose_step_words(const struct qk_diagnose *d, const struct qk_diagnose_step *step,
                                    struct qk_diagnose_words *ret, struct qk_err *err) QK_CHECKED;
/* Runs a command line as a child of this program: its output goes to DIR/steps/NAME.txt. Its exit status becomes the
 * code. */
enum qk_code qk_diagnose_run_words(struct qk_diagnose *d, const char *name, const struct qk_diagnose_words *words,
                                   struct qk_err *err) QK_CHECKED;
/* Runs the wanted steps that are, or are not, closing ones, but for those that are complete. */
enum qk_code qk_diagnose_do_steps(struct qk_diagnose *d, bool closing, struct qk_err *err) QK_CHECKED;

#endif
