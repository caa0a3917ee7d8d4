/* Needle-in-a-haystack recall: cases, and what checkpoints answer to them.
 *
 * A case is a document of text/haystack.h, or a line of a prompt file as RULER writes it. A checkpoint is run over the
 * cases by run/scoring.h; hit is the share of the wanted texts that its greedy answer contains (upper and lower case
 * alike), exact whether the answer is the wanted text and nothing else up to its end, white space aside.
 *
 * How parts become a whole: as in run/probe.h. /niah/NAME/cases hold one value per case (axis /model/case); a part
 * (--shard i/n) fills those of its cases and lists them in the attribute `cases` of /niah/NAME. Scores are not in a
 * part: qk_niah_finish makes them when all cases are there. What is stored of a case depends on nothing but the case
 * and the checkpoint. */
#ifndef QK_RUN_NIAH_H
#define QK_RUN_NIAH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "run/drift.h"
#include "run/scoring.h"
#include "run/part.h"
#include "text/haystack.h"

enum { QK_NIAH_MOST_LENGTHS = 64, QK_NIAH_MOST_CASES = 8000, QK_NIAH_MAX_FILE = 1 << 30 };

/* tasks × lengths × depths × samples. */
struct qk_niah_grid {
    size_t n_tasks, n_lengths, n_depths, n_samples;
    enum qk_needle_task tasks[QK_N_NEEDLE_TASKS];
    size_t lengths[QK_NIAH_MOST_LENGTHS];
    uint64_t seed;
    const char *template_path, *prose_path; /* NULL: built in */
};
/* "s1", "s2" …, resp. "512", "2k" (2048), "1m"; each once. QK_EUSAGE else. */
enum qk_code qk_niah_parse_tasks(const char *const *words, size_t n, struct qk_niah_grid *grid,
                                 struct qk_err *err) QK_CHECKED;
enum qk_code qk_niah_parse_lengths(const char *const *words, size_t n, struct qk_niah_grid *grid,
                                   struct qk_err *err) QK_CHECKED;

struct qk_niah_case {
    size_t task, length, depth, sample; /* the first three: places on the set's axes */
    struct qk_scoring_case scoring;     /* without an answer for a line of a prompt file */
    size_t value_start, value_end;      /* tokens of the needle's value in the prompt; 0 and 0 unknown */
    size_t n_wanted;
    const char *const *wanted;
};

struct qk_niah_set {
    const char *words;  /* the options that made it, as a shell takes them */
    const char *name;   /* the same without paths of files: a prompt file's name */
    const char *source; /* names it in messages: the prompt file, the template, or "built-in haystack" */
    size_t n_tasks, n_lengths, n_depths;
    const char *const *tasks;
    const size_t *lengths;
    const double *depths; /* in (0, 1); NaN: unknown */
    size_t n, longest;    /* longest: tokens of prompt and answer */
    const struct qk_niah_case *cases;
    char sha256[65]; /* over all prompts, answers and wanted texts */
};

/* In order of task, length, depth, sample. tokenizer: path of a checkpoint. Memory from arena. Haystacks that have to
 * repeat their prose are a notice. */
enum qk_code qk_niah_set_grid(const struct qk_niah_grid *grid, const char *tokenizer,
                              const struct qk_progress *progress, struct qk_arena *arena, struct qk_niah_set *ret,
                              struct qk_err *err) QK_CHECKED;
/* One JSON object a line: "input": text; "outputs": the texts that the answer is to contain, or one text; "length"
 * (without it the next power of two); "answer_prefix", which goes behind the input; other members are passed over. */
enum qk_code qk_niah_set_prompts(const char *path, const char *tokenizer, struct qk_arena *arena,
                                 struct qk_niah_set *ret, struct qk_err *err) QK_CHECKED;

struct qk_niah_options {
    size_t max_new;       /* tokens said at most; 0: the answer's and QK_NIAH_SLACK more, QK_NIAH_PROMPT_NEW without */
    struct qk_part shard; /* of the cases */
    /* Called after each case but the last of all, with the table so far; for --resume. May be NULL. */
    enum qk_code (*on_case)(void *ctx, const struct qk_table *table, struct qk_err *err);
    void *on_case_ctx;
};
enum { QK_NIAH_SLACK = 16, QK_NIAH_PROMPT_NEW = 128 };

/* Refuses cases that a checkpoint cannot take; a context longer than it was made for is a notice. */
enum qk_code qk_niah_check(const struct qk_run_input *input, const struct qk_niah_set *set,
                           const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Root attributes, /model with the axes of cases, /checkpoints/NAME and /niah/NAME/cases, into an empty table. The
 * first input counts as the base. */
enum qk_code qk_niah_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n,
                             const struct qk_niah_set *set, const struct qk_niah_options *options,
                             struct qk_err *err) QK_CHECKED;
/* As qk_probe_resume. */
enum qk_code qk_niah_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_niah_set *set, const struct qk_niah_options *options,
                            size_t *ret_done, struct qk_err *err) QK_CHECKED;
/* Runs the model of inputs[i] over the cases of the part that are not there yet. */
enum qk_code qk_niah_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_niah_set *set, const struct qk_niah_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Adds score, n and their like to every /niah/NAME whose cases are all there. What is there already stays. */
enum qk_code qk_niah_finish(struct qk_table *table, struct qk_err *err) QK_CHECKED;

/* Recall over the cases of a task and length; SIZE_MAX: all of them. */
struct qk_niah_rate {
    size_t n;
    double hit, lo, hi; /* share and its Wilson 95 % interval; NaN where n is 0 */
    double exact;
};
/* Of the cases that are there. QK_EFORMAT when the table has no such entry. */
enum qk_code qk_niah_rate_of(const struct qk_table *table, const char *name, const struct qk_niah_set *set, size_t task,
                             size_t length, struct qk_niah_rate *ret, struct qk_err *err) QK_CHECKED;

/* Probe sequences out of the cases: prompt and answer, spans "needle" (the value's tokens) and "answer". */
struct qk_probe_set;
enum qk_code qk_niah_probes(const struct qk_niah_set *set, size_t most, struct qk_arena *arena,
                            struct qk_probe_set *ret, struct qk_err *err) QK_CHECKED;

#endif
