/* Scores of next tokens in blocks of tokens, so that nothing of size T × V exists. */
#include <math.h>

#include "base/alloc.h"
#include "model_run.h"

/* 64 MiB of logits at once */
#define BLOCK_FLOATS ((size_t)1 << 24)
enum { BLOCK_TOKENS = 512 };

size_t qk_logits_block(const struct qk_forward_spec *spec)
{
    size_t n = BLOCK_FLOATS / (spec->vocab > 0 ? spec->vocab : 1);
    return n < 1 ? 1 : n > BLOCK_TOKENS ? BLOCK_TOKENS : n;
}

enum qk_code qk_logits(struct qk_runner *r, size_t n, const float *x, float *final, float *logits, struct qk_err *err)
{
    double cap = r->spec->logit_softcap;
    QK_TRY(qk_weights_norm(&r->weights, &r->spec->final_norm, n, x, final, err));
    QK_TRY(qk_weights_project(&r->weights, &r->spec->head, n, final, logits, err));
    for (size_t i = 0; cap > 0 && i < n * r->spec->vocab; i++) {
        logits[i] = (float)(cap * tanh((double)logits[i] / cap));
    }
    return QK_OK;
}

struct scores {
    const float *logits;
    size_t vocab, first; /* position of row 0 */
    const struct qk_sequence *ids;
    uint32_t *argmax;
    double *nll;
};

static enum qk_code score_row(void *ctx, size_t i, size_t worker, struct qk_err *err)
{
    const struct scores *s = ctx;
    const float *row = s->logits + i * s->vocab;
    size_t best = 0, next = s->first + i + 1;
    double sum = 0;
    (void)worker;
    (void)err;
    for (size_t v = 1; v < s->vocab; v++) {
        best = row[v] > row[best] ? v : best;
    }
    for (size_t v = 0; v < s->vocab; v++) {
        sum += exp((double)row[v] - (double)row[best]);
    }
    s->argmax[i] = (uint32_t)best;
    s->nll[i] = next < s->ids->n ? log(sum) + (double)row[best] - (double)row[s->ids->ids[next]] : (double)NAN;
    return QK_OK;
}

static enum qk_code score_block(struct qk_runner *r, const struct qk_forward_hooks *hooks,
                                const struct qk_forward_place *place, struct scores *s, const float *x, float *final,
                                float *logits, struct qk_err *err)
{
    QK_TRY(qk_logits(r, place->n_tokens, x, final, logits, err));
    if (hooks->logits) {
        QK_TRY(hooks->logits(hooks->ctx, place, final, logits, err));
    }
    if (!hooks->token) {
        return QK_OK;
    }
    s->first = place->first_position;
    QK_TRY(qk_pool_for(r->pool, place->n_tokens, score_row, s, err));
    for (size_t i = 0; i < place->n_tokens; i++) {
        QK_TRY(hooks->token(hooks->ctx, place->sequence, s->first + i, s->argmax[i], s->nll[i], err));
    }
    return QK_OK;
}

enum qk_code qk_score(struct qk_runner *r, const struct qk_forward_hooks *hooks, size_t sequence,
                      const struct qk_sequence *ids, size_t from, const float *x, struct qk_err *err)
{
    size_t block = qk_logits_block(r->spec), d = r->spec->hidden;
    float *final = NULL, *logits = NULL;
    uint32_t argmax[BLOCK_TOKENS];
    double nll[BLOCK_TOKENS];
    struct scores scores = {.vocab = r->spec->vocab, .ids = ids, .argmax = argmax, .nll = nll};
    r->scratch.n = 0;
    QK_TRY(qk_scratch_take(&r->scratch, block, d, &final, err));
    QK_TRY(qk_scratch_take(&r->scratch, block, r->spec->vocab, &logits, err));
    scores.logits = logits;
    for (size_t t = from; t < ids->n; t += block) {
        struct qk_forward_place place = {.sequence = sequence,
                                         .layer = r->spec->n_layers,
                                         .first_position = t,
                                         .n_tokens = ids->n - t < block ? ids->n - t : block};
        QK_TRY(score_block(r, hooks, &place, &scores, x + t * d, final, logits, err));
    }
    r->scratch.n = 0;
    return QK_OK;
}
