/* Which heads a verdict names: those that lost the needle or range, else those that moved most. Private to advise. */
#ifndef QK_ADVISE_DIAGNOSIS_HEADS_H
#define QK_ADVISE_DIAGNOSIS_HEADS_H

#include <stdbool.h>

#include "analyses/table.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { QK_HEADS_NAMED = 4 };

struct qk_named_head {
    size_t layer, head;
    double before, after; /* attention on the needle, resp. NaN */
    double value;         /* what it was chosen by */
};

struct qk_named_heads {
    size_t n, n_all; /* named, and all that the rule applies to */
    struct qk_named_head head[QK_HEADS_NAMED];
};

struct qk_diagnosed_heads {
    bool identical;      /* drift was measured, and nothing moved in any module or outside the layers */
    double median_drift; /* of the routing form; NaN without drift */
    struct qk_named_heads needle, range, drift;
};

/* tuned: the checkpoint's name. A run without drift and probe data of it gives no heads. */
enum qk_code qk_diagnosed_heads_of(const struct qk_table *table, const char *tuned, struct qk_arena *arena,
                                   struct qk_diagnosed_heads *ret, struct qk_err *err) QK_CHECKED;
/* The paragraph "Where: …"; nothing without heads. */
void qk_diagnosed_heads_add(const struct qk_diagnosed_heads *heads, struct qk_str *out);

#endif
