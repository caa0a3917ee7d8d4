/* One sequence that grows: the layers' states stay, so that each new token costs one token's work. */
#include "base/alloc.h"
#include "base/interrupt.h"
#include "model_run.h"

struct qk_session {
    struct qk_runner *runner;
    size_t capacity, length;
    struct qk_mixer_state *states; /* (n_layers, QK_MIXERS_PER_LAYER) */
};

enum qk_code qk_session_new(struct qk_runner *runner, size_t capacity, struct qk_session **ret, struct qk_err *err)
{
    struct qk_session *s = qk_calloc(1, sizeof *s);
    size_t n = runner->spec->n_layers * QK_MIXERS_PER_LAYER;
    if (s) {
        s->states = qk_calloc(n, sizeof *s->states);
    }
    if (!s || !s->states) {
        qk_free(s);
        return qk_fail_nomem(err, "session");
    }
    s->runner = runner;
    s->capacity = capacity;
    for (size_t i = 0; i < n; i++) {
        s->states[i].capacity = capacity;
    }
    *ret = s;
    return QK_OK;
}

void qk_session_free(struct qk_session *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->runner->spec->n_layers * QK_MIXERS_PER_LAYER; i++) {
        qk_mixer_state_release(&s->states[i]);
    }
    qk_free(s->states);
    qk_free(s);
}

size_t qk_session_length(const struct qk_session *s)
{
    return s->length;
}

/* logits (n_logits, vocab) of the last n_logits tokens. */
static enum qk_code feed(struct qk_session *s, size_t n, const uint32_t *ids, float *x, size_t n_logits, float *logits,
                         struct qk_err *err)
{
    static const struct qk_forward_hooks no_hooks = {0};
    struct qk_runner *r = s->runner;
    struct qk_forward_place place = {.first_position = s->length, .n_tokens = n};
    float *final = NULL;
    r->scratch.n = 0;
    QK_TRY(qk_embed(r, n, ids, s->length, x, err));
    for (place.layer = 0; place.layer < r->spec->n_layers; place.layer++) {
        QK_TRY(qk_interrupt_check(err));
        QK_TRY(qk_layer_run(r, &no_hooks, &place, s->states + place.layer * QK_MIXERS_PER_LAYER, x, err));
    }
    s->length += n;
    if (n_logits == 0) {
        return QK_OK;
    }
    r->scratch.n = 0;
    QK_TRY(qk_scratch_take(&r->scratch, n_logits, r->spec->hidden, &final, err));
    return qk_logits(r, n_logits, x + (n - n_logits) * r->spec->hidden, final, logits, err);
}

enum qk_code qk_session_feed_scored(struct qk_session *s, size_t n, const uint32_t *ids, size_t n_logits, float *logits,
                                    struct qk_err *err)
{
    size_t size = 0;
    if (n == 0 || n > s->capacity - s->length) {
        return qk_fail(err, QK_EUSAGE, "%zu more tokens do not fit (%zu of %zu are taken)", n, s->length, s->capacity);
    }
    if (n_logits > n) {
        return qk_fail(err, QK_EUSAGE, "%zu logits wanted of %zu tokens", n_logits, n);
    }
    if (!qk_size_mul(n, s->runner->spec->hidden, &size)) {
        return qk_fail_nomem(err, "activations");
    }
    float *x = qk_alloc_aligned(size, sizeof *x);
    if (!x) {
        return qk_fail_nomem(err, "activations");
    }
    enum qk_code code = feed(s, n, ids, x, n_logits, logits, err);
    qk_free(x);
    return code;
}

enum qk_code qk_session_feed(struct qk_session *s, size_t n, const uint32_t *ids, float *logits, struct qk_err *err)
{
    return qk_session_feed_scored(s, n, ids, logits ? 1 : 0, logits, err);
}

/* ---- marks ---- */

struct qk_session_mark {
    size_t length, n;
    struct qk_mixer_state *states; /* (n) without keys and values */
};

enum qk_code qk_session_mark_new(const struct qk_session *s, struct qk_session_mark **ret, struct qk_err *err)
{
    struct qk_session_mark *mark = qk_calloc(1, sizeof *mark);
    size_t n = s->runner->spec->n_layers * QK_MIXERS_PER_LAYER;
    if (mark) {
        mark->states = qk_calloc(n, sizeof *mark->states);
    }
    if (!mark || !mark->states) {
        qk_free(mark);
        return qk_fail_nomem(err, "session");
    }
    mark->length = s->length;
    mark->n = n;
    for (size_t i = 0; i < n; i++) {
        enum qk_code code = qk_mixer_state_keep(&s->states[i], &mark->states[i], err);
        if (code != QK_OK) {
            qk_session_mark_free(mark);
            return code;
        }
    }
    *ret = mark;
    return QK_OK;
}

void qk_session_mark_free(struct qk_session_mark *mark)
{
    if (!mark) {
        return;
    }
    for (size_t i = 0; i < mark->n; i++) {
        qk_mixer_state_release(&mark->states[i]);
    }
    qk_free(mark->states);
    qk_free(mark);
}

void qk_session_rewind(struct qk_session *s, const struct qk_session_mark *mark)
{
    s->length = mark ? mark->length : 0;
    for (size_t i = 0; i < s->runner->spec->n_layers * QK_MIXERS_PER_LAYER; i++) {
        static const struct qk_mixer_state empty;
        qk_mixer_state_return(&s->states[i], mark ? &mark->states[i] : &empty);
    }
}

size_t qk_session_mark_length(const struct qk_session_mark *mark)
{
    return mark->length;
}
