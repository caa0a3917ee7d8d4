/* Copies of needles: see probe_copies.h. */
#include "probe_copies.h"

#include <math.h>

#include "base/alloc.h"

enum qk_code qk_probe_copies_make(const struct qk_probe_sequence *sequence, const struct qk_probe_nodes *nodes,
                                  struct qk_distance_plan *plan, struct qk_arena *arena, struct qk_probe_copies *ret,
                                  struct qk_err *err)
{
    struct qk_probe_copies c = {.sequence = sequence, .needle = plan->needle, .n_heads = nodes->n_heads};
    size_t n_cells = 0;
    *ret = c;
    if (plan->needle == NULL) {
        return QK_OK;
    }
    c.number = qk_arena_alloc(arena, sequence->n, sizeof(*c.number));
    c.positions = qk_arena_alloc(arena, sequence->n, sizeof(*c.positions));
    for (size_t t = 0; c.number != NULL && c.positions != NULL && t < sequence->n; t++) {
        c.number[t] = (uint32_t)c.n;
        if (plan->answer[t]) {
            c.positions[c.n++] = t;
        }
    }
    if (!qk_size_mul(nodes->n_layers * nodes->n_heads, c.n, &n_cells)) {
        return qk_fail_nomem(err, "probe plan");
    }
    c.said = qk_arena_alloc(arena, c.n, sizeof(*c.said));
    c.strongest = qk_arena_alloc(arena, n_cells, sizeof(*c.strongest));
    if (c.number == NULL || c.positions == NULL || c.said == NULL || c.strongest == NULL) {
        return qk_fail_nomem(err, "probe plan");
    }
    for (size_t i = 0; i < n_cells; i++) {
        c.strongest[i] = UINT32_MAX;
    }
    plan->answer_number = c.number;
    *ret = c;
    return QK_OK;
}

uint32_t *qk_probe_copies_of(const struct qk_probe_copies *c, size_t layer, size_t head)
{
    return c->n == 0 ? NULL : c->strongest + (layer * c->n_heads + head) * c->n;
}

void qk_probe_copies_say(struct qk_probe_copies *c, size_t t, uint32_t id)
{
    size_t i = c->n > 0 ? c->number[t] : 0;
    if (i < c->n && c->positions[i] == t) {
        c->said[i] = id;
    }
}

/* Whether what is said at answer position i is the token at key s of the needle, and the true one. */
static bool is_copy(const struct qk_probe_copies *c, size_t i, size_t s)
{
    const struct qk_probe_sequence *sequence = c->sequence;
    size_t next = c->positions[i] + 1;
    return s < sequence->n && c->needle[s] && sequence->ids[s] == c->said[i] &&
           (next == sequence->n || sequence->ids[next] == c->said[i]);
}

/* Tokens of the needle that the head copied; each counts once, as a position of the prompt. */
static size_t count_copied(const struct qk_probe_copies *c, const uint32_t *strongest)
{
    size_t n_copied = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t before = 0;
        while (before < i && (strongest[before] != strongest[i] || !is_copy(c, before, strongest[before]))) {
            before++;
        }
        n_copied += before == i && is_copy(c, i, strongest[i]) ? 1 : 0;
    }
    return n_copied;
}

void qk_probe_copies_add(const struct qk_probe_copies *c, const struct qk_probe_nodes *nodes, size_t sequence)
{
    size_t n_needle = 0;
    for (size_t t = 0; c->n > 0 && t < c->sequence->n; t++) {
        n_needle += c->needle[t] ? 1 : 0;
    }
    for (size_t l = 0; c->n > 0 && l < nodes->n_layers; l++) {
        for (size_t h = 0; h < nodes->n_heads; h++) {
            double *scalar = qk_probe_sums_at(nodes, sequence, l, h).scalar;
            if (!isnan(scalar[QK_SUM_QUERIES])) {
                scalar[QK_SUM_NEEDLE_TOKENS] = (double)n_needle;
                scalar[QK_SUM_NEEDLE_COPIED] = (double)count_copied(c, qk_probe_copies_of(c, l, h));
            }
        }
    }
}
