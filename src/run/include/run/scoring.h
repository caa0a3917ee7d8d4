/* What a model answers to prompts: its greedy continuation, and how sure it is of an answer that is hoped for.
 *
 * A case is a prompt and such an answer, both as token ids. The answer is fed behind the prompt in one go (teacher
 * forcing), which gives at each of its tokens the model's own choice, the margin and the log-probability. Where every
 * choice is the answer's token, greedy decoding would have said exactly the answer, and nothing is decoded: the two
 * differ by rounding only, so an outcome can depend on the way only when its smallest margin is within rounding of
 * zero. Else the model goes back to the first other choice and decodes from there, token by token.
 *
 * A prompt is fed in pieces of QK_SCORING_PIECE tokens counted from its start, and cases are run in the order of their
 * ids, so that a beginning shared with the case before is computed once, to whole pieces. A piece gives the same bits
 * whether it is shared or not: results depend neither on the other cases nor on the number of threads.
 *
 * Cost per case: its tokens that are not shared, once; a wrong answer adds less than one piece and one pass per decoded
 * token (which reads all weights, as a piece does). Memory: keys and values of the longest case, the activations of a
 * piece, and at most QK_SCORING_MARKS copies of the recurrent states. */
#ifndef QK_RUN_SCORING_H
#define QK_RUN_SCORING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"

struct qk_runner; /* forward/runner.h */

enum { QK_SCORING_PIECE = 512, QK_SCORING_MARKS = 16 };

struct qk_scoring_case {
    size_t n_prompt; /* at least 1 */
    const uint32_t *prompt;
    size_t n_answer; /* 0: nothing is hoped for, only decoded */
    const uint32_t *answer;
};

/* At a token of the answer, with the true ones before it fed in. */
struct qk_scored_token {
    uint32_t choice; /* the most likely token, the lower id of two that are equal */
    double margin;   /* the answer's logit less the largest other one: > 0 where the answer is chosen */
    double logprob;  /* ln p of the answer's token */
};

struct qk_scored_case {
    const struct qk_scored_token *answer; /* (n_answer) */
    bool is_greedy;                       /* n_answer > 0 and every choice is the answer's */
    /* What greedy decoding says: the answer where it is that, else up to max_new tokens; without the stop token. */
    size_t n_said;
    const uint32_t *said;
    bool stopped; /* a stop token, or until's word, ended it */
};

struct qk_scoring_options {
    size_t max_new;        /* tokens said at most, those agreed with the answer included; 0 = nothing is decoded */
    const uint32_t *stops; /* (n_stops) ids that end what is said */
    size_t n_stops;
    bool beyond; /* goes on behind an answer that was said in full, up to max_new */
    void *ctx;
    /* Of case i after each decoded token: true ends it. May be NULL. */
    enum qk_code (*until)(void *ctx, size_t i, const uint32_t *said, size_t n, bool *ret, struct qk_err *err);
    /* Takes the result of case i, which is valid during the call. Cases come in the order they are run in. */
    enum qk_code (*done)(void *ctx, size_t i, const struct qk_scored_case *scored, struct qk_err *err);
    const struct qk_progress *progress; /* in tokens of prompts and answers */
};

/* Runs all cases. QK_EFORMAT for an id out of the vocabulary or logits that are no numbers. On failure, interruption
 * included, the cases that were done have been given to done. */
enum qk_code qk_score_cases(struct qk_runner *runner, size_t n, const struct qk_scoring_case *cases,
                            const struct qk_scoring_options *options, struct qk_err *err) QK_CHECKED;

#endif
