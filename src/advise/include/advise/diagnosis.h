/* The verdict on a pair of checkpoints, in sentences a person can quote: what was lost, where, how sure that is,
 * whether drift of W_Q and W_K is the main cause, and what the restored checkpoint brings back at what price.
 *
 * Made of what a run file holds, by rules: /niah (recall), /eval (reasoning), /probe with /routing and /drift (which
 * heads, and what they do in the restored checkpoint), /recommend/measured (controls). What the file does not hold is
 * said to be unmeasured.
 *
 * A rate a differs from a rate b beyond chance when Newcombe's 95 % interval of a − b (1998, method 10: square-and-add
 * of Wilson's intervals) does not contain 0. The same cases are behind both rates, so this errs on the side of doubt.
 *
 * Pure; memory from the arena. */
#ifndef QK_ADVISE_DIAGNOSIS_H
#define QK_ADVISE_DIAGNOSIS_H

#include <stdbool.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"

enum qk_lost {
    QK_LOST_UNKNOWN, /* recall was not measured */
    QK_LOST_NONE,    /* no task's recall fell beyond chance */
    QK_LOST_RECALL,  /* some task's did */
    QK_LOST_SAME,    /* the weights that were compared are the same */
    QK_N_LOST
};
const char *qk_lost_name(enum qk_lost lost); /* "not measured" "nothing" "recall" "nothing, identical weights" */

/* As recommend --measure decided it, from its controls (attribute `cause` of /recommend/measured). Of the lost recall,
 * restoring all of Q and K alone brings back the share x:
 *   yes     x ≥ 1/2, and restoring all else alone does not bring back more, beyond chance and by a tenth of the loss
 *   partly  x ≥ 1/2, but all else brings back more
 *   no      x < 1/2
 * Not measured: no controls, or they lost nothing beyond chance. */
enum qk_culprit { QK_CULPRIT_UNKNOWN, QK_CULPRIT_QK, QK_CULPRIT_PARTLY, QK_CULPRIT_OTHER, QK_N_CULPRITS };
const char *qk_culprit_name(enum qk_culprit culprit); /* "not measured" "yes" "partly" "no" */

enum qk_repair {
    QK_REPAIR_UNKNOWN,  /* no restored checkpoint was measured */
    QK_REPAIR_HELPS,    /* recall rose beyond chance, reasoning stayed within the bound */
    QK_REPAIR_COSTLY,   /* recall rose, but reasoning fell by more than the bound */
    QK_REPAIR_UNPRICED, /* recall rose, reasoning was not measured */
    QK_REPAIR_USELESS,  /* recall did not rise beyond chance */
    QK_N_REPAIRS
};
const char *qk_repair_name(enum qk_repair repair);

struct qk_diagnosis_question {
    const char *base, *tuned;
    const char *restored;      /* NULL: there is none */
    double max_reasoning_loss; /* percentage points */
};

struct qk_diagnosis {
    enum qk_lost lost;
    enum qk_culprit culprit;
    enum qk_repair repair;
    const char *text; /* one paragraph a line; the first is the verdict in one sentence, others begin with "Word: " */
};

/* QK_EFORMAT when a dataset that is there has another shape than docs/results-format.md says. */
enum qk_code qk_diagnosis_of(const struct qk_table *table, const struct qk_diagnosis_question *question,
                             struct qk_arena *arena, struct qk_diagnosis *ret, struct qk_err *err) QK_CHECKED;
/* Adds /verdict to a table that has none: the text, and the three answers as attributes. */
enum qk_code qk_diagnosis_add(const struct qk_diagnosis *d, struct qk_table *table, struct qk_err *err) QK_CHECKED;

#endif
