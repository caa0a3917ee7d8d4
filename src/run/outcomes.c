/* Forward passes over fixed cases that start where weights begin to differ: see run/outcomes.h. */
#include "run/outcomes.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "forward/runner.h"

enum { N_PLACES = 2 };
/* Residual streams that are on their way at once: 512 MiB. */
#define BATCH_FLOATS ((size_t)1 << 27)

/* ---- cases ------------------------------------------------------------------------------------------------------ */

static void add_number(struct qk_sha256 *sha, uint64_t n)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(n >> 8 * i);
    }
    qk_sha256_add(sha, bytes, sizeof bytes);
}

void qk_case_list_seal(struct qk_case_list *list)
{
    struct qk_sha256 sha;
    qk_sha256_init(&sha);
    add_number(&sha, list->n_recall);
    add_number(&sha, list->n_reasoning);
    for (size_t i = 0; i < list->n_recall + list->n_reasoning; i++) {
        const struct qk_scoring_case *c = &list->cases[i];
        add_number(&sha, i < list->n_recall ? list->lengths[list->length_of[i]] : 0);
        add_number(&sha, c->n_prompt);
        add_number(&sha, c->n_answer);
        for (size_t t = 0; t < c->n_prompt + c->n_answer; t++) {
            add_number(&sha, t < c->n_prompt ? c->prompt[t] : c->answer[t - c->n_prompt]);
        }
    }
    qk_sha256_hex(&sha, list->sha256);
}

uint64_t qk_case_list_tokens(const struct qk_case_list *list)
{
    uint64_t n = 0;
    for (size_t i = 0; i < list->n_recall + list->n_reasoning; i++) {
        n += list->cases[i].n_prompt + list->cases[i].n_answer;
    }
    return n;
}

enum qk_code qk_outcome_new(const struct qk_case_list *list, struct qk_outcome **ret, struct qk_err *err)
{
    size_t n = list->n_recall + list->n_reasoning, bytes;
    if (!qk_size_mul(n, sizeof(double) + 1, &bytes) || !qk_size_add(bytes, sizeof **ret, &bytes)) {
        return qk_fail_nomem(err, "outcomes");
    }
    char *block = qk_calloc(1, bytes);
    if (block == NULL) {
        return qk_fail_nomem(err, "outcomes");
    }
    struct qk_outcome *o = (struct qk_outcome *)(void *)block;
    o->n_recall = list->n_recall;
    o->n_reasoning = list->n_reasoning;
    o->logprob = (double *)(void *)(block + sizeof *o);
    o->hit = (uint8_t *)(block + sizeof *o + n * sizeof(double));
    *ret = o;
    return QK_OK;
}

/* ---- the engine ------------------------------------------------------------------------------------------------- */

/* Residual streams of one run in front of layers: x[layer · n + case], NULL where not kept. */
struct kept {
    bool valid;
    uint64_t *signature; /* (n_layers + 1) */
    float **x;           /* (n_layers · n) */
};

struct qk_outcome_engine {
    const struct qk_case_list *list;
    struct qk_pool *pool;
    size_t n, n_layers, hidden;
    struct qk_sequence *sequences; /* (n) prompt and answer */
    uint32_t *ids;
    size_t *scores_from;
    bool *keeps; /* (n_layers) */
    struct kept kept[N_PLACES];
    /* of the run at hand */
    size_t first_case, first_layer;
    const struct kept *source;
    struct kept *target;
    struct qk_outcome *outcome;
    const struct qk_progress *progress;
    uint64_t n_done, n_total;
};

static void forget(struct qk_outcome_engine *e, struct kept *k)
{
    k->valid = false;
    for (size_t i = 0; k->x != NULL && i < e->n_layers * e->n; i++) {
        qk_free(k->x[i]);
        k->x[i] = NULL;
    }
}

void qk_outcome_engine_free(struct qk_outcome_engine *e)
{
    if (e == NULL) {
        return;
    }
    for (size_t p = 0; p < N_PLACES; p++) {
        forget(e, &e->kept[p]);
        qk_free(e->kept[p].x);
        qk_free(e->kept[p].signature);
    }
    qk_free(e->sequences);
    qk_free(e->ids);
    qk_free(e->scores_from);
    qk_free(e->keeps);
    qk_free(e);
}

static enum qk_code lay_sequences(struct qk_outcome_engine *e, struct qk_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < e->n; i++) {
        const struct qk_scoring_case *c = &e->list->cases[i];
        if (c->n_prompt == 0 || c->n_answer == 0) {
            return qk_fail(err, QK_EUSAGE, "case %zu: prompt or answer has no tokens", i);
        }
        memcpy(e->ids + at, c->prompt, c->n_prompt * sizeof *e->ids);
        memcpy(e->ids + at + c->n_prompt, c->answer, c->n_answer * sizeof *e->ids);
        e->sequences[i] = (struct qk_sequence){c->n_prompt + c->n_answer, e->ids + at};
        e->scores_from[i] = c->n_prompt - 1;
        at += c->n_prompt + c->n_answer;
    }
    return QK_OK;
}

/* Of the layers where runs may start, as many as memory has room for, evenly spread; none in front of layer 0. */
static void choose_layers(struct qk_outcome_engine *e, const struct qk_outcome_options *options)
{
    size_t wanted = 0, bytes = (size_t)qk_case_list_tokens(e->list) * e->hidden * sizeof(float), number = 0;
    size_t room = bytes > 0 ? options->memory / N_PLACES / bytes : 0;
    for (size_t l = 1; l < e->n_layers; l++) {
        e->keeps[l] = options->start_layers == NULL || options->start_layers[l];
        wanted += e->keeps[l] ? 1 : 0;
    }
    for (size_t l = 1; wanted > room && l < e->n_layers; l++) {
        if (e->keeps[l]) {
            e->keeps[l] = room > 0 && number * room / wanted != (number + 1) * room / wanted;
            number++;
        }
    }
}

static enum qk_code fill_engine(struct qk_outcome_engine *e, const struct qk_outcome_options *options,
                                struct qk_err *err)
{
    size_t n_streams;
    e->sequences = qk_calloc(e->n + 1, sizeof *e->sequences);
    e->ids = qk_calloc((size_t)qk_case_list_tokens(e->list) + 1, sizeof *e->ids);
    e->scores_from = qk_calloc(e->n + 1, sizeof *e->scores_from);
    e->keeps = qk_calloc(e->n_layers + 1, sizeof *e->keeps);
    bool ok = e->sequences != NULL && e->ids != NULL && e->scores_from != NULL && e->keeps != NULL &&
              qk_size_mul(e->n_layers, e->n, &n_streams);
    for (size_t p = 0; ok && p < N_PLACES; p++) {
        e->kept[p].signature = qk_calloc(e->n_layers + 1, sizeof *e->kept[p].signature);
        e->kept[p].x = qk_calloc(n_streams + 1, sizeof *e->kept[p].x);
        ok = e->kept[p].signature != NULL && e->kept[p].x != NULL;
    }
    if (!ok) {
        return qk_fail_nomem(err, "outcomes");
    }
    choose_layers(e, options);
    return lay_sequences(e, err);
}

enum qk_code qk_outcome_engine_new(const struct qk_model *model, const struct qk_case_list *list,
                                   const struct qk_outcome_options *options, struct qk_pool *pool,
                                   struct qk_outcome_engine **ret, struct qk_err *err)
{
    struct qk_outcome_engine *e = qk_calloc(1, sizeof *e);
    if (e == NULL) {
        return qk_fail_nomem(err, "outcomes");
    }
    e->list = list;
    e->pool = pool;
    e->n = list->n_recall + list->n_reasoning;
    e->n_layers = model->n_layers;
    e->hidden = model->hidden_size;
    enum qk_code code = fill_engine(e, options, err);
    if (code != QK_OK) {
        qk_outcome_engine_free(e);
        return code;
    }
    *ret = e;
    return QK_OK;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------ */

static size_t stream_floats(const struct qk_outcome_engine *e, size_t i)
{
    return e->sequences[i].n * e->hidden;
}

static enum qk_code on_start(void *ctx, const struct qk_forward_place *place, float *x, struct qk_err *err)
{
    const struct qk_outcome_engine *e = ctx;
    size_t i = e->first_case + place->sequence;
    (void)err;
    memcpy(x, e->source->x[place->layer * e->n + i], stream_floats(e, i) * sizeof *x);
    return QK_OK;
}

static enum qk_code on_hidden(void *ctx, const struct qk_forward_place *place, const float *x, struct qk_err *err)
{
    struct qk_outcome_engine *e = ctx;
    size_t i = e->first_case + place->sequence;
    QK_TRY(qk_interrupt_check(err));
    if (place->layer < e->n_layers) {
        qk_progress_update(e->progress, e->n_done++, e->n_total, NULL);
    }
    if (e->target == NULL || place->layer >= e->n_layers || !e->keeps[place->layer]) {
        return QK_OK;
    }
    float **stream = &e->target->x[place->layer * e->n + i];
    if (*stream == NULL) {
        *stream = qk_alloc_aligned(stream_floats(e, i), sizeof **stream);
    }
    if (*stream == NULL) {
        return qk_fail_nomem(err, "activations");
    }
    memcpy(*stream, x, stream_floats(e, i) * sizeof *x);
    return QK_OK;
}

static enum qk_code on_token(void *ctx, size_t sequence, size_t t, uint32_t argmax, double nll, struct qk_err *err)
{
    struct qk_outcome_engine *e = ctx;
    size_t i = e->first_case + sequence;
    const struct qk_scoring_case *c = &e->list->cases[i];
    if (t + 1 >= c->n_prompt + c->n_answer) {
        return QK_OK;
    }
    if (isnan(nll)) {
        return qk_fail(err, QK_EFORMAT, "case %zu: the model's scores are no numbers", i);
    }
    e->outcome->hit[i] = e->outcome->hit[i] != 0 && argmax == c->answer[t + 1 - c->n_prompt] ? 1 : 0;
    e->outcome->logprob[i] -= nll;
    return QK_OK;
}

/* ---- a run ------------------------------------------------------------------------------------------------------ */

/* The highest layer that a kept run has the residual stream in front of, all weights below being the same. */
static void choose_start(struct qk_outcome_engine *e, const uint64_t *signature)
{
    e->first_layer = 0;
    e->source = NULL;
    for (size_t p = 0; p < N_PLACES; p++) {
        const struct kept *k = &e->kept[p];
        if (!k->valid || k->signature[0] != signature[0]) {
            continue;
        }
        for (size_t l = 1; l < e->n_layers && k->signature[l] == signature[l]; l++) {
            if (e->keeps[l] && l > e->first_layer) {
                e->first_layer = l;
                e->source = k;
            }
        }
    }
}

/* What is below the start comes from the run that it starts from. */
static enum qk_code inherit(struct qk_outcome_engine *e, struct qk_err *err)
{
    for (size_t i = 0; i < e->first_layer * e->n; i++) {
        size_t n = stream_floats(e, i % e->n);
        if (e->source->x[i] == NULL || e->source == e->target) {
            continue;
        }
        float **stream = &e->target->x[i];
        if (*stream == NULL) {
            *stream = qk_alloc_aligned(n, sizeof **stream);
        }
        if (*stream == NULL) {
            return qk_fail_nomem(err, "activations");
        }
        memcpy(*stream, e->source->x[i], n * sizeof **stream);
    }
    return QK_OK;
}

static enum qk_code run_batches(struct qk_outcome_engine *e, struct qk_runner *runner, struct qk_err *err)
{
    struct qk_forward_hooks hooks = {.ctx = e, .start = on_start, .hidden = on_hidden, .token = on_token};
    for (size_t i = 0, n; i < e->n; i += n) {
        size_t floats = stream_floats(e, i);
        for (n = 1; i + n < e->n && floats + stream_floats(e, i + n) <= BATCH_FLOATS; n++) {
            floats += stream_floats(e, i + n);
        }
        struct qk_forward_options options = {.scores_from = e->scores_from + i, .first_layer = e->first_layer};
        e->first_case = i;
        QK_TRY(qk_runner_forward(runner, n, e->sequences + i, &hooks, &options, err));
    }
    return QK_OK;
}

static enum qk_code run_model(struct qk_outcome_engine *e, const struct qk_model *model, struct qk_err *err)
{
    struct qk_runner *runner = NULL;
    QK_TRY(e->target == NULL ? QK_OK : inherit(e, err));
    QK_TRY(qk_runner_new(model, e->pool, NULL, &runner, err));
    enum qk_code code = run_batches(e, runner, err);
    qk_runner_free(runner);
    return code;
}

enum qk_code qk_outcome_run(struct qk_outcome_engine *e, const struct qk_outcome_call *call, struct qk_outcome *ret,
                            size_t *ret_layers, struct qk_err *err)
{
    choose_start(e, call->signature);
    e->target = call->remember >= 0 && call->remember < N_PLACES ? &e->kept[call->remember] : NULL;
    e->outcome = ret;
    e->progress = call->progress;
    e->n_done = 0;
    e->n_total = (e->n_layers - e->first_layer) * e->n;
    for (size_t i = 0; i < e->n; i++) {
        ret->hit[i] = 1;
        ret->logprob[i] = 0;
    }
    enum qk_code code = run_model(e, call->model, err);
    if (e->target != NULL && code == QK_OK) {
        memcpy(e->target->signature, call->signature, (e->n_layers + 1) * sizeof *call->signature);
        e->target->valid = true;
    } else if (e->target != NULL) {
        forget(e, e->target);
    }
    *ret_layers = e->n_layers - e->first_layer;
    return code;
}
