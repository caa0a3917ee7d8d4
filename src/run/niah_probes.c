/* Probe sequences out of recall cases. See run/niah.h. */
#include <string.h>

#include "niah_set.h"
#include "probe_run.h"

static enum qk_code probe_of(const struct qk_niah_case *c, size_t number, struct qk_arena *arena,
                             struct qk_probe_sequence *ret, struct qk_err *err)
{
    size_t n_prompt = c->scoring.n_prompt, n = n_prompt + c->scoring.n_answer;
    uint32_t *ids = qk_arena_alloc(arena, n, sizeof *ids);
    struct qk_probe_span *spans = qk_arena_alloc(arena, 2, sizeof *spans);
    if (ids == NULL || spans == NULL) {
        return qk_fail_nomem(err, "probes");
    }
    memcpy(ids, c->scoring.prompt, n_prompt * sizeof *ids);
    memcpy(ids + n_prompt, c->scoring.answer, c->scoring.n_answer * sizeof *ids);
    spans[0] = (struct qk_probe_span){"needle", c->value_start, c->value_end};
    spans[1] = (struct qk_probe_span){"answer", n_prompt, n};
    *ret = (struct qk_probe_sequence){.n = n, .ids = ids, .n_spans = 2, .spans = spans, .line = number + 1};
    return QK_OK;
}

enum qk_code qk_niah_probes(const struct qk_niah_set *set, size_t most, struct qk_arena *arena,
                            struct qk_probe_set *ret, struct qk_err *err)
{
    size_t n = most > 0 && most < set->n ? most : set->n;
    struct qk_probe_sequence *sequences = qk_arena_alloc(arena, n, sizeof *sequences);
    if (sequences == NULL) {
        return qk_fail_nomem(err, "probes");
    }
    for (size_t i = 0; i < n; i++) {
        QK_TRY(probe_of(&set->cases[i], i, arena, &sequences[i], err));
    }
    struct qk_probe_set probes = {
        .name = "niah", .path = set->source, .words = set->words, .most = most, .n = n, .sequences = sequences};
    qk_probe_set_seal(&probes);
    *ret = probes;
    return QK_OK;
}
