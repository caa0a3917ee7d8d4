/* Which heads a verdict names: those that lost the needle or range, with what a restored checkpoint gives back of it,
 * and those that moved most. Private to advise. */
#ifndef QK_ADVISE_DIAGNOSIS_HEADS_H
#define QK_ADVISE_DIAGNOSIS_HEADS_H

#include <stdbool.h>

#include "advise/diagnosis.h"
#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { QK_HEADS_NAMED = 4 };

struct qk_named_head {
    size_t layer, head;
    double before, after, again;      /* attention on the needle: base, tuned, restored; NaN unknown */
    double shift, shift_lo, shift_hi; /* distance_shift of the tuned checkpoint against the base */
    double shift_again;               /* of the restored one */
    double value;                     /* what it was chosen by */
};

struct qk_named_heads {
    size_t n, n_all; /* named, and all that the rule applies to */
    struct qk_named_head head[QK_HEADS_NAMED];
};

struct qk_diagnosed_heads {
    bool identical;      /* drift was measured, and nothing moved in any module or outside the layers */
    double median_drift; /* of the routing form; NaN without drift */
    bool seen_again;     /* the restored checkpoint was probed: */
    size_t n_regained;   /* of the heads that lost the needle, those that have half or more of the loss back */
    struct qk_named_heads needle, range, drift;
};

/* A run without drift and probe data of the tuned checkpoint gives no heads. */
enum qk_code qk_diagnosed_heads_of(const struct qk_table *table, const struct qk_diagnosis_question *q,
                                   struct qk_arena *arena, struct qk_diagnosed_heads *ret,
                                   struct qk_err *err) QK_CHECKED;
/* The paragraph "Where: …"; nothing without heads. */
void qk_diagnosed_heads_add(const struct qk_diagnosed_heads *heads, const struct qk_diagnosis_question *q,
                            struct qk_str *out);

#endif
