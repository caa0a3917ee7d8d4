/* What of a needle a head copies: the strongest keys of all heads at the positions that predict an answer, kept until
 * the end of the pass shows what the model says there (analyses/attention_distance.c, retrieval_score). */
#ifndef QK_RUN_PROBE_COPIES_H
#define QK_RUN_PROBE_COPIES_H

#include "base/arena.h"
#include "probe_run.h"

/* Of one sequence; n 0 where it has no needle. */
struct qk_probe_copies {
    const struct qk_probe_sequence *sequence;
    const bool *needle; /* (sequence->n) */
    size_t n;           /* answer-predicting positions */
    size_t n_heads;
    size_t *positions;   /* (n) */
    uint32_t *number;    /* (sequence->n) of such positions before */
    uint32_t *said;      /* (n) what the model says there */
    uint32_t *strongest; /* (n_layers, n_heads, n) key, UINT32_MAX where there was no row */
};

/* For the plan, whose answer_number is set. Memory (four bytes per layer, head and such position) from arena. */
enum qk_code qk_probe_copies_make(const struct qk_probe_sequence *sequence, const struct qk_probe_nodes *nodes,
                                  struct qk_distance_plan *plan, struct qk_arena *arena, struct qk_probe_copies *ret,
                                  struct qk_err *err) QK_CHECKED;
/* (n), or NULL without a needle. */
uint32_t *qk_probe_copies_of(const struct qk_probe_copies *copies, size_t layer, size_t head);
/* The most likely token behind position t. */
void qk_probe_copies_say(struct qk_probe_copies *copies, size_t t, uint32_t id);
/* Adds the sums of the copies to those of the sequence, in every head that has rows. */
void qk_probe_copies_add(const struct qk_probe_copies *copies, const struct qk_probe_nodes *nodes, size_t sequence);

#endif
