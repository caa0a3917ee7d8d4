/* The order in which cases are run so that neighbours share the beginnings of their prompts. */
#ifndef QK_RUN_SCORING_ORDER_H
#define QK_RUN_SCORING_ORDER_H

#include "run/scoring.h"

struct qk_scoring_order {
    size_t n;
    size_t *cases;  /* (n) indices, ascending by the prompts' ids, then by index */
    size_t *shared; /* (n) tokens, whole pieces, that cases[i] and cases[i + 1] begin with alike; 0 for the last */
};

enum qk_code qk_scoring_order_make(size_t n, const struct qk_scoring_case *cases, struct qk_scoring_order *ret,
                                   struct qk_err *err) QK_CHECKED;
void qk_scoring_order_release(struct qk_scoring_order *order);
/* Where the last piece of a prompt begins, from where its answer is scored: its last token is always fed anew. */
size_t qk_scoring_last_piece(const struct qk_scoring_case *c);
/* Whether a later case begins with the same at tokens as case number i of the order and not with more, behind what
 * is there already (from). */
bool qk_scoring_returns_to(const struct qk_scoring_order *order, size_t i, size_t from, size_t at);

#endif
