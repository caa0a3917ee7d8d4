/* Problems with an answer that is known, and what checkpoints answer to them: the reasoning side of a run.
 *
 * A data file has one JSON object a line: "prompt" and "answer", texts; "id" if wanted, a text; other members are
 * passed over. The answer continues the prompt: both are tokenised as one text, with the tokens that the tokenizer puts
 * in front of a text, as a model sees such pairs in training. Where the prompt alone has other tokens at its end than
 * the joint text there, the prompt is tokenised alone and the answer alone.
 *
 * A checkpoint is run over the problems by run/scoring.h: the answer is fed in behind the prompt first, which gives its
 * log-probability, and greedy decoding begins at the first other choice. What is said ends at an end token, in front of
 * a stop string, behind the expected answer when that is said word for word, at the most new tokens, and besides
 *   exact     behind the first line more than the expected text has, and QK_EVAL_SLACK tokens behind its length
 *   contains  when the answer holds the expected text
 * An expected answer said word for word is a hit by every rule; a word that goes on ("42" for "4") is another word.
 *
 * How parts become a whole: as in run/niah.h, over the axis /model/problem and the attribute `problems` of /eval/NAME;
 * qk_eval_finish makes the rates. What is stored of a problem depends on nothing but the problem, the options and the
 * checkpoint. */
#ifndef QK_RUN_EVAL_H
#define QK_RUN_EVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "run/answer_match.h"
#include "run/drift.h"
#include "run/scoring.h"
#include "run/part.h"
#include "text/tokenizer.h"

enum {
    QK_EVAL_MOST_PROBLEMS = 100000,
    QK_EVAL_MAX_FILE = 1 << 30,
    QK_EVAL_SLACK = 16,
    QK_EVAL_NEW = 256, /* most new tokens of contains and number, unless the expected answer is longer */
    QK_EVAL_MOST_STOP_STRINGS = 16,
};

struct qk_eval_problem {
    const char *id; /* the line's number without one */
    const char *expected;
    struct qk_scoring_case scoring;
    bool apart; /* prompt and answer were tokenised apart */
};

struct qk_eval_set {
    const char *path;
    const char *name; /* the file's name without ending: SET in /eval/NAME/SET */
    size_t n, longest, n_apart;
    const struct qk_eval_problem *problems;
    char sha256[65]; /* over all prompts and answers */
};

/* Reads the first most problems (0: all). tokenizer: path of a checkpoint. Memory from arena. QK_EFORMAT with the line
 * and member for what is no problem. */
enum qk_code qk_eval_set_read(const char *path, const char *tokenizer, size_t most, struct qk_arena *arena,
                              struct qk_eval_set *ret, struct qk_err *err) QK_CHECKED;

struct qk_eval_rules {
    enum qk_match match;
    size_t max_new; /* 0: by the rule */
    size_t n_stops;
    const char *stops[QK_EVAL_MOST_STOP_STRINGS]; /* none empty */
};

/* Whether decoding ends after said (n), and the answer that it makes with its hit: for run/scoring.h's until and done.
 * Appends the answer's text to ret. */
enum qk_code qk_eval_ends(const struct qk_eval_rules *rules, const struct qk_tokenizer *tokenizer,
                          const struct qk_eval_problem *problem, const uint32_t *said, size_t n, bool *ret,
                          struct qk_err *err) QK_CHECKED;
enum qk_code qk_eval_judge(const struct qk_eval_rules *rules, const struct qk_tokenizer *tokenizer,
                           const struct qk_eval_problem *problem, const uint32_t *said, size_t n, struct qk_str *ret,
                           bool *ret_hit, struct qk_err *err) QK_CHECKED;
/* The most new tokens that any of n problems may take, and whether decoding has to look behind answers that were said
 * word for word: max_new and beyond of run/scoring.h. */
size_t qk_eval_max_new(const struct qk_eval_rules *rules, const struct qk_eval_problem *problem);
bool qk_eval_looks_beyond(const struct qk_eval_rules *rules, const struct qk_eval_problem *problem);

struct qk_eval_options {
    struct qk_eval_rules rules;
    size_t most;          /* as given to qk_eval_set_read, for the record */
    struct qk_part shard; /* of the problems */
    /* As in struct qk_niah_options. */
    enum qk_code (*on_problem)(void *ctx, const struct qk_table *table, struct qk_err *err);
    void *on_problem_ctx;
};

/* Refuses problems that a checkpoint cannot take; a context longer than it was made for is a notice. */
enum qk_code qk_eval_check(const struct qk_run_input *input, const struct qk_eval_set *set,
                           const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Root attributes, /model with the axis of problems, /checkpoints/NAME and /eval/NAME/SET, into an empty table. The
 * first input counts as the base. */
enum qk_code qk_eval_prepare(struct qk_table *table, const struct qk_run_input *inputs, size_t n,
                             const struct qk_eval_set *set, const struct qk_eval_options *options,
                             struct qk_err *err) QK_CHECKED;
/* As qk_probe_resume. */
enum qk_code qk_eval_resume(struct qk_table *table, const struct qk_table *partial, const struct qk_run_input *inputs,
                            size_t n, const struct qk_eval_set *set, const struct qk_eval_options *options,
                            size_t *ret_done, struct qk_err *err) QK_CHECKED;
/* Runs the model of inputs[i] over the problems of the part that are not there yet. */
enum qk_code qk_eval_run(struct qk_table *table, const struct qk_run_input *inputs, size_t n, size_t i,
                         const struct qk_eval_set *set, const struct qk_eval_options *options, struct qk_pool *pool,
                         const struct qk_progress *progress, struct qk_err *err) QK_CHECKED;
/* Adds accuracy and its like to every /eval/NAME/SET whose problems are all there. What is there already stays. */
enum qk_code qk_eval_finish(struct qk_table *table, struct qk_err *err) QK_CHECKED;

/* Of the problems that are there; NaN where n is 0. */
struct qk_eval_rate {
    size_t n, n_tokens;      /* n_tokens: of the expected answers */
    double accuracy, lo, hi; /* share of hits and its Wilson 95 % interval */
    double logprob;          /* mean over the problems of the expected answer's log-probability, nats */
    double token_logprob;    /* the same summed, over n_tokens */
};
/* QK_EFORMAT when the table has no such entry. */
enum qk_code qk_eval_rate_of(const struct qk_table *table, const char *name, const char *set, struct qk_eval_rate *ret,
                             struct qk_err *err) QK_CHECKED;

#endif
