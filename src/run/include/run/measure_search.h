/* Choosing what to restore by measuring: a search over units and what is done with each, for the most recall at a
 * bounded loss of reasoning.
 *
 * A choice gives every unit one mode; mode 0 leaves it as tuned. Measuring a choice costs forward passes, so that what
 * is measured next follows from what is known: e(u, m), the change of recall and reasoning that mode m of unit u made
 * when it was last measured, or a share of what restoring the unit made. Effects are taken to add up for choosing what
 * to measure, never for deciding.
 *
 *   1  starts      the tuned weights and the given choices
 *   2  singles     every unit restored alone, and other modes of those that gain
 *   3  steps       of all choices that differ in one unit, or in two (one gives, one takes), those with the highest
 *                  predicted recall (at first: less a price on reasoning) are measured; the best that is better than
 *                  where the search stands, beyond the noise, is taken. Adding a unit is forward selection
 *   4  backward    after every step: units whose mode turned out to be worth nothing are set back, measured
 *      3 and 4 from the tuned weights on, then from the best start on (whose end counts when it is better), until no
 * step is better or the budget is spent. The first start is the rule of thumb: it is chosen unless something is better
 * beyond the noise, or no worse in recall and in reasoning
 *
 * Better: the mean probability of the answer, paired over the cases, is higher by more than one standard error and by a
 * point or more, and the count of hits does not fall by more than chance (McNemar: more lost than won by over the
 * square root of both). Allowed: what reasoning loses against the tuned model, at the cautious end, is at most
 * max_loss. Two numbers tell the loss: of hits, and of the mean probability of the answers, which is about the same
 * with a third of the noise. Their mean is the expected loss; the cautious one is a standard error (of the
 * probabilities, paired) more, since a choice that is the best of many is likely to have been lucky. Choices that were
 * fixed beforehand (starts) are held by the expected loss. Where the tuned model's answers have a mean probability of
 * less than half its hits (long answers that could be worded in many ways), the hits alone count, with the error √(won
 * + lost + 1) / n.
 *
 * Exhaustive: every set of units, each restored or not; of the allowed ones that with the highest recall, if it is
 * better than the tuned weights. The first start is held as above.
 */
#ifndef QK_RUN_MEASURE_SEARCH_H
#define QK_RUN_MEASURE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "run/outcomes.h"

/* Paired difference a − b over n cases: mean and its standard error. */
struct qk_paired {
    double mean, se;
};
/* Of hits. */
struct qk_paired qk_paired_hits(size_t n, const uint8_t *a, const uint8_t *b);
/* Its 95 % interval, which is none too narrow where few cases or none differ: Wald's, with half a case added to each
 * cell of the table (Agresti & Min, Statistics in Medicine 24, 2005, 729). won: a alone hits; lost: b alone. */
void qk_paired_interval(size_t n, size_t won, size_t lost, double *ret_lo, double *ret_hi);
struct qk_paired qk_paired_probability(size_t n, const double *logprob_a, const double *logprob_b);

/* Recall of a over b. */
struct qk_gain {
    struct qk_paired probability;
    size_t won, lost; /* hits */
};
struct qk_gain qk_recall_gain(const struct qk_outcome *a, const struct qk_outcome *b);
bool qk_gain_is_real(const struct qk_gain *gain);

/* Reasoning lost from tuned to o, as shares; 0 without reasoning cases. */
struct qk_reasoning_loss {
    double loss;        /* of hits; negative: won */
    double probability; /* of the mean probability of the answers */
    double expected, cautious;
};
struct qk_reasoning_loss qk_reasoning_loss(const struct qk_outcome *o, const struct qk_outcome *tuned);

/* Where the search stands now, and by what. */
enum qk_search_why {
    QK_SEARCH_BEGINS, /* a walk starts here */
    QK_SEARCH_TAKES,  /* better than where it stood */
    QK_SEARCH_DROPS,  /* units set back: no worse than where it stood */
    QK_SEARCH_ENDS,   /* the choice: the best that was found */
    QK_SEARCH_RULES,  /* the choice: the first start, since nothing is better beyond the noise */
    QK_N_SEARCH_WHYS
};
struct qk_search_decision {
    enum qk_search_why why;
    const uint8_t *choice;         /* (n_units), valid as long as the arena */
    double recall;                 /* mean probability of the answers */
    struct qk_gain gain;           /* over where it stood; over the tuned weights at a walk's start and at the end */
    struct qk_reasoning_loss loss; /* against the tuned weights */
};

struct qk_search_problem {
    size_t n_units, n_modes;
    const bool *offered;      /* (n_units, n_modes) may be chosen; mode 0 always; mode 1 is restoring in full */
    const double *share;      /* (n_modes) of what a restored unit wins in recall, until it is measured */
    const double *loss_share; /* (n_modes) of what it loses in reasoning */
    const bool *single;       /* (n_modes) measured alone for units that gain */
    const bool *cheap;        /* (n_modes) of those: also for units that cost far too much when restored */
    const double *score;      /* (n_units) units with the higher are tried first; NULL = in order */
    double max_loss;          /* share; INFINITY: reasoning is not held */
    size_t budget;            /* choices measured at most, the tuned one included */
    bool exhaustive;          /* instead of steps: every set of units, each restored or not */
    size_t n_starts;
    const uint8_t *starts; /* (n_starts, n_units) */
    void *ctx;
    /* *ret valid as long as the search. QK_EUNSUPPORTED: the choice cannot be made; it is passed over. */
    enum qk_code (*measure)(void *ctx, const uint8_t *choice, const struct qk_outcome **ret, struct qk_err *err);
    /* Whether time is up: ends the search as its budget does. May be NULL. */
    bool (*is_late)(void *ctx);
    /* The search stands at a measured choice now; NULL = nobody cares. */
    enum qk_code (*settle)(void *ctx, const uint8_t *choice, struct qk_err *err);
    /* Every decision, as it falls. May be NULL. */
    enum qk_code (*decided)(void *ctx, const struct qk_search_decision *decision, struct qk_err *err);
};

enum qk_search_end {
    QK_SEARCH_CONVERGED,
    QK_SEARCH_BUDGET,
    QK_SEARCH_TIME,
    QK_SEARCH_ALL,
    QK_SEARCH_SKIPPED, /* no search: there was nothing to search for */
    QK_N_SEARCH_ENDS
};

struct qk_search_result {
    const uint8_t *choice; /* (n_units) */
    const struct qk_outcome *outcome;
    size_t n_measured;
    const bool *tried; /* (n_units) measured alone, or together with others */
    enum qk_search_end end;
};
const char *qk_search_end_text(enum qk_search_end end);

/* Memory from arena. The same outcomes give the same result. */
enum qk_code qk_measure_search(const struct qk_search_problem *problem, struct qk_arena *arena,
                               struct qk_search_result *ret, struct qk_err *err) QK_CHECKED;

#endif
