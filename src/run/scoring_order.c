/* Sorting cases by their prompts: see scoring_order.h. */
#include "scoring_order.h"

#include <stdlib.h>

#include "base/alloc.h"

struct sorted {
    const struct qk_scoring_case *c;
    size_t index;
};

static size_t common(const struct qk_scoring_case *a, const struct qk_scoring_case *b)
{
    size_t n = a->n_prompt < b->n_prompt ? a->n_prompt : b->n_prompt, i = 0;
    while (i < n && a->prompt[i] == b->prompt[i]) {
        i++;
    }
    return i;
}

static int by_prompt(const void *left, const void *right)
{
    const struct sorted *a = left, *b = right;
    size_t i = common(a->c, b->c);
    if (i < a->c->n_prompt && i < b->c->n_prompt) {
        return a->c->prompt[i] < b->c->prompt[i] ? -1 : 1;
    }
    if (a->c->n_prompt != b->c->n_prompt) {
        return a->c->n_prompt < b->c->n_prompt ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

size_t qk_scoring_last_piece(const struct qk_scoring_case *c)
{
    return (c->n_prompt - 1) / QK_SCORING_PIECE * QK_SCORING_PIECE;
}

static size_t shared_pieces(const struct qk_scoring_case *a, const struct qk_scoring_case *b)
{
    size_t n = common(a, b) / QK_SCORING_PIECE * QK_SCORING_PIECE, last_a = qk_scoring_last_piece(a),
           last_b = qk_scoring_last_piece(b);
    n = n < last_a ? n : last_a;
    return n < last_b ? n : last_b;
}

enum qk_code qk_scoring_order_make(size_t n, const struct qk_scoring_case *cases, struct qk_scoring_order *ret,
                                   struct qk_err *err)
{
    struct sorted *sorted = qk_calloc(n > 0 ? n : 1, sizeof *sorted);
    struct qk_scoring_order order = {.n = n};
    order.cases = qk_calloc(n > 0 ? n : 1, sizeof *order.cases);
    order.shared = qk_calloc(n > 0 ? n : 1, sizeof *order.shared);
    if (!sorted || !order.cases || !order.shared) {
        qk_free(sorted);
        qk_scoring_order_release(&order);
        return qk_fail_nomem(err, "cases");
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (struct sorted){&cases[i], i};
    }
    qsort(sorted, n, sizeof *sorted, by_prompt);
    for (size_t i = 0; i < n; i++) {
        order.cases[i] = sorted[i].index;
        order.shared[i] = i + 1 < n ? shared_pieces(sorted[i].c, sorted[i + 1].c) : 0;
    }
    qk_free(sorted);
    *ret = order;
    return QK_OK;
}

void qk_scoring_order_release(struct qk_scoring_order *order)
{
    qk_free(order->cases);
    qk_free(order->shared);
    *order = (struct qk_scoring_order){0};
}

bool qk_scoring_returns_to(const struct qk_scoring_order *order, size_t i, size_t from, size_t at)
{
    size_t least = SIZE_MAX;
    for (; i < order->n && least > from && least != at; i++) {
        least = order->shared[i] < least ? order->shared[i] : least;
    }
    return least == at && at > from;
}
