/* How variants of a model do on fixed cases: one forward pass over all prompts and hoped-for answers, layer by layer.
 *
 * A case counts as a hit when the model's own choice is the answer's token at every place, the true ones before it fed
 * in: greedy decoding would have said exactly the answer (run/scoring.h). Besides, the log-probability of the answer.
 *
 * Layers whose weights and all weights below are those of a run that was remembered are not run again: the residual
 * stream in front of a layer is kept. Which weights a run has is told by a signature per layer; equal signatures stand
 * for equal weights. Results are the same bits with and without. */
#ifndef QK_RUN_OUTCOMES_H
#define QK_RUN_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "model/model.h"
#include "run/scoring.h"

/* Recall cases come first, reasoning cases after them. Plain data, borrowed memory. */
struct qk_case_list {
    size_t n_recall, n_reasoning;
    const struct qk_scoring_case *cases; /* (n_recall + n_reasoning), each with an answer */
    size_t n_lengths;
    const size_t *lengths;   /* nominal, ascending or in order of asking */
    const size_t *length_of; /* (n_recall) place among lengths */
    char sha256[65];         /* over all of it */
};
void qk_case_list_seal(struct qk_case_list *list);
uint64_t qk_case_list_tokens(const struct qk_case_list *list);

/* Of one variant, in the order of the cases. */
struct qk_outcome {
    size_t n_recall, n_reasoning;
    uint8_t *hit;    /* (n) */
    double *logprob; /* (n) of the whole answer, ≤ 0 */
};
/* *ret owned: one block, qk_free. Zeroed. */
enum qk_code qk_outcome_new(const struct qk_case_list *list, struct qk_outcome **ret, struct qk_err *err) QK_CHECKED;

struct qk_outcome_engine;

struct qk_outcome_options {
    size_t memory;            /* bytes that may be kept between runs; 0: none is kept */
    const bool *start_layers; /* (n_layers) where later runs may want to start; NULL = anywhere */
};

/* model: any of the variants, for its shape. list, pool borrowed. *ret owned. */
enum qk_code qk_outcome_engine_new(const struct qk_model *model, const struct qk_case_list *list,
                                   const struct qk_outcome_options *options, struct qk_pool *pool,
                                   struct qk_outcome_engine **ret, struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_outcome_engine_free(struct qk_outcome_engine *engine);

struct qk_outcome_call {
    const struct qk_model *model;
    const uint64_t *signature; /* (n_layers + 1): of the embedding, then of each layer */
    /* Keeps this run's residual streams for later ones: in place 0 or 1, whatever was there. Negative: not. */
    int remember;
    const struct qk_progress *progress; /* in layers × cases of this run; may be NULL */
};
/* ret_layers: how many layers were run. */
enum qk_code qk_outcome_run(struct qk_outcome_engine *engine, const struct qk_outcome_call *call,
                            struct qk_outcome *ret, size_t *ret_layers, struct qk_err *err) QK_CHECKED;

#endif
