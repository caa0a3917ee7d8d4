/* Measuring one variant: looked up, or put together in memory and run. See measure_run.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "measure_run.h"

void qk_measure_tell(struct qk_measure_run *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->options->tell != NULL) {
        r->options->tell(r->options->ctx, text);
    }
}

uint8_t *qk_measure_uniform(struct qk_measure_run *r, const struct qk_measure_units *units, bool full_only, size_t mode)
{
    uint8_t *choice = qk_arena_alloc(r->arena, units->n + 1, 1);
    for (size_t u = 0; choice != NULL && u < units->n; u++) {
        choice[u] = (uint8_t)(!full_only || units->units[u].is_full ? mode : 0);
    }
    return choice;
}

/* ---- the list of what was measured ------------------------------------------------------------------------------ */

static enum qk_code push(struct qk_measure_run *r, const struct qk_measured_variant *v, struct qk_err *err)
{
    if (r->n == r->cap) {
        size_t cap = r->cap > 0 ? 2 * r->cap : 64;
        struct qk_measured_variant *more = qk_arena_alloc(r->arena, cap, sizeof *more);
        if (more == NULL) {
            return qk_fail_nomem(err, "variants");
        }
        if (r->n > 0) {
            memcpy(more, r->variants, r->n * sizeof *more);
        }
        r->variants = more;
        r->cap = cap;
    }
    r->variants[r->n++] = *v;
    return QK_OK;
}

static enum qk_code plan_of(struct qk_measure_run *r, const struct qk_measure_what *w, bool with_kept,
                            struct qk_plan *ret, struct qk_err *err)
{
    struct qk_plan plan = {.base = {r->base->name, r->base->ckpt->header_sha256},
                           .tuned = {r->tuned->name, r->tuned->ckpt->header_sha256}};
    QK_TRY(qk_measure_plan_units(w->units, w->choice, with_kept, r->arena, &plan.units, &plan.n_units, err));
    *ret = plan;
    return QK_OK;
}

static enum qk_code plan_text(struct qk_measure_run *r, const struct qk_measure_what *w, const char **ret,
                              struct qk_err *err)
{
    struct qk_plan plan;
    struct qk_str text = {0};
    if (w->choice == NULL) {
        *ret = "";
        return QK_OK;
    }
    QK_TRY(plan_of(r, w, false, &plan, err));
    qk_plan_write(&plan, &text);
    *ret = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    return *ret == NULL ? qk_fail_nomem(err, "plan") : QK_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    const struct qk_measure_run *r = ctx;
    uint64_t tokens = qk_case_list_tokens(r->list);
    (void)label;
    qk_progress_update(r->outer, r->done + (total > 0 ? tokens * done / total : 0), r->total, r->running);
}

static void sign(const struct qk_measure_run *r, const struct qk_measure_what *w, uint64_t *signature)
{
    if (w->choice != NULL) {
        qk_measure_choice_signature(w->units, w->choice, signature);
        return;
    }
    for (size_t l = 0; l <= r->tuned->model->n_layers && w->model != r->tuned->model; l++) {
        signature[l] = qk_measure_text_signature(w->key);
    }
}

static enum qk_code run_model(struct qk_measure_run *r, const struct qk_measure_what *w, const struct qk_model *model,
                              struct qk_outcome *outcome, struct qk_err *err)
{
    struct qk_progress inner = {.ctx = r, .update = on_progress};
    uint64_t *signature = qk_calloc(r->tuned->model->n_layers + 1, sizeof *signature);
    size_t n_layers;
    double start = qk_seconds();
    if (signature == NULL) {
        return qk_fail_nomem(err, "variant");
    }
    sign(r, w, signature);
    struct qk_outcome_call call = {
        .model = model, .signature = signature, .remember = w->remember, .progress = r->outer == NULL ? NULL : &inner};
    enum qk_code code = qk_outcome_run(r->engine, &call, outcome, &n_layers, err);
    qk_free(signature);
    QK_TRY(code);
    r->seconds += qk_seconds() - start;
    r->layer_tokens += n_layers * qk_case_list_tokens(r->list);
    return QK_OK;
}

static enum qk_code run(struct qk_measure_run *r, const struct qk_measure_what *w, struct qk_outcome *outcome,
                        struct qk_err *err)
{
    struct qk_variant *variant = NULL;
    if (w->choice == NULL && w->swap == NULL) {
        return run_model(r, w, w->model, outcome, err);
    }
    if (w->choice != NULL) {
        struct qk_plan plan;
        QK_TRY(plan_of(r, w, false, &plan, err));
        QK_TRY(qk_variant_of_plan(&r->pair, &plan, r->pool, &variant, err));
    } else {
        QK_TRY(qk_variant_of_swap(&r->pair, w->swap, &variant, err));
    }
    enum qk_code code = run_model(r, w, qk_variant_model(variant), outcome, err);
    qk_variant_free(variant);
    return code;
}

/* Keeps the residual streams of where the search stands: one run more, which shortens those that follow. */
static enum qk_code settle(struct qk_measure_run *r, struct qk_err *err)
{
    struct qk_measure_what w = {.units = &r->units, .choice = r->settled, .key = "", .remember = 1};
    struct qk_outcome *unused = NULL;
    r->settled = NULL;
    QK_TRY(qk_outcome_new(r->list, &unused, err));
    enum qk_code code = run(r, &w, unused, err);
    qk_free(unused);
    return code;
}

static enum qk_code obtain(struct qk_measure_run *r, const struct qk_measure_what *w, struct qk_outcome *outcome,
                           struct qk_err *err)
{
    if (r->options->known != NULL && r->options->known(r->options->ctx, w->key, outcome)) {
        return QK_OK;
    }
    if (r->settled != NULL && w->units == &r->units) {
        QK_TRY(settle(r, err));
    }
    QK_TRY(run(r, w, outcome, err));
    return r->options->done == NULL ? QK_OK : r->options->done(r->options->ctx, w->key, outcome, err);
}

enum qk_code qk_measure_variant(struct qk_measure_run *r, const struct qk_measure_what *w, size_t *ret,
                                struct qk_err *err)
{
    struct qk_outcome *made = NULL, *kept;
    struct qk_measured_variant v = {.stage = w->stage};
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->variants[i].key, w->key) == 0) {
            *ret = i;
            return QK_OK;
        }
    }
    v.key = qk_arena_strdup(r->arena, w->key);
    v.label = qk_arena_strdup(r->arena, w->label);
    size_t n = r->list->n_recall + r->list->n_reasoning;
    kept = qk_arena_alloc(r->arena, 1, sizeof *kept);
    if (v.key == NULL || v.label == NULL || kept == NULL) {
        return qk_fail_nomem(err, "variants");
    }
    r->running = v.label; /* outlives what the caller gave */
    QK_TRY(plan_text(r, w, &v.plan, err));
    QK_TRY(qk_outcome_new(r->list, &made, err));
    enum qk_code code = obtain(r, w, made, err);
    if (code == QK_OK) {
        *kept = *made;
        kept->hit = qk_arena_alloc(r->arena, n + 1, 1);
        kept->logprob = qk_arena_alloc(r->arena, n + 1, sizeof *kept->logprob);
        if (kept->hit == NULL || kept->logprob == NULL) {
            code = qk_fail_nomem(err, "variants");
        } else {
            memcpy(kept->hit, made->hit, n);
            memcpy(kept->logprob, made->logprob, n * sizeof *kept->logprob);
        }
    }
    qk_free(made);
    QK_TRY(code);
    r->done += qk_case_list_tokens(r->list);
    qk_progress_update(r->outer, r->done, r->total, v.label);
    v.outcome = kept;
    *ret = r->n;
    return push(r, &v, err);
}

enum qk_code qk_measure_choice(struct qk_measure_run *r, const struct qk_measure_units *units, const uint8_t *choice,
                               enum qk_measure_stage stage, const char *label, size_t *ret, struct qk_err *err)
{
    struct qk_str text = {0}, key = {0};
    qk_measure_choice_text(units, choice, &text);
    qk_str_addf(&key, "%splan: %s", stage == QK_STAGE_HELD_OUT ? "held-out " : "", text.failed ? "" : text.s);
    struct qk_measure_what what = {.label = label != NULL ? label : text.s,
                                   .key = key.s,
                                   .stage = stage,
                                   .units = units,
                                   .choice = choice,
                                   .remember = -1};
    enum qk_code code =
        text.failed || key.failed ? qk_fail_nomem(err, "variants") : qk_measure_variant(r, &what, ret, err);
    qk_str_release(&text);
    qk_str_release(&key);
    return code;
}
