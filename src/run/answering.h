/* A checkpoint that answers what it lacks of a set of cases: recall and eval runs alike. */
#ifndef QK_RUN_ANSWERING_H
#define QK_RUN_ANSWERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "part_list.h"
#include "run/scoring.h"
#include "text/tokenizer.h"

/* What is answered, and what is made of the answers. i is a case's number in the set everywhere. */
struct qk_answering {
    struct qk_table *table;
    struct qk_node *entry; /* whose list of finished cases grows */
    const struct qk_part_sort *sort;
    size_t n; /* cases of the set */
    const struct qk_part *shard;
    void *ctx;
    const struct qk_scoring_case *(*case_of)(const void *ctx, size_t i);
    size_t max_new; /* most tokens that any case of the set may take */
    bool beyond;    /* as in struct qk_scoring_options */
    /* As in struct qk_scoring_options; the tokenizer is the checkpoint's. put stores the answer. */
    enum qk_code (*until)(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const uint32_t *said, size_t n,
                          bool *ret, struct qk_err *err);
    enum qk_code (*put)(void *ctx, const struct qk_tokenizer *tokenizer, size_t i, const struct qk_scored_case *scored,
                        struct qk_err *err);
    /* Called after each case but the last of all, with the table so far. May be NULL. */
    enum qk_code (*keep)(void *ctx, const struct qk_table *table, struct qk_err *err);
    void *keep_ctx;
};

/* The least margin over the tokens of the expected answer (infinity without one) and the sum of their
 * log-probabilities. */
void qk_answering_sums(const struct qk_scoring_case *c, const struct qk_scored_case *scored, double *ret_margin,
                       double *ret_logprob);
/* Place of the first id of prompt and answer that a vocabulary does not have; false when there is none. */
bool qk_answering_find_foreign(const struct qk_scoring_case *c, size_t vocab, size_t *ret_at, uint32_t *ret_id);
/* Runs the model of checkpoint number `number` of n_inputs over the cases of its part that the entry does not list yet.
 * Progress counts the tokens of all checkpoints. */
enum qk_code qk_answering_run(const struct qk_answering *answering, const struct qk_run_input *input, size_t number,
                              size_t n_inputs, struct qk_pool *pool, const struct qk_progress *progress,
                              struct qk_err *err) QK_CHECKED;

#endif
