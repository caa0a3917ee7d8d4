/* Controls, search and proof: see run/measure.h. */
#include "run/measure.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "measure_run.h"
#include "num/stats.h"

enum { HELD_OUT_VARIANTS = 4, N_BLEND_STARTS = 2, MOST_EXHAUSTIVE = 10 };

const char *qk_measure_stage_name(enum qk_measure_stage stage)
{
    static const char *const names[QK_N_MEASURE_STAGES] = {"control", "search", "held_out"};
    return names[stage];
}

/* ---- rates ------------------------------------------------------------------------------------------------------ */

static struct qk_measured_rate rate_of(size_t n, double hits, double logprob)
{
    struct qk_measured_rate r = {.n = n, .rate = NAN, .lo = NAN, .hi = NAN, .logprob = NAN};
    if (n > 0) {
        r.rate = hits / (double)n;
        r.logprob = logprob / (double)n;
        qk_wilson(hits, (double)n, &r.lo, &r.hi);
    }
    return r;
}

static struct qk_measured_rate rate_between(const struct qk_outcome *o, size_t first, size_t n)
{
    double hits = 0, logprob = 0;
    for (size_t i = first; i < first + n; i++) {
        hits += o->hit[i];
        logprob += o->logprob[i];
    }
    return rate_of(n, hits, logprob);
}

struct qk_measured_rate qk_measured_recall(const struct qk_outcome *o)
{
    return rate_between(o, 0, o->n_recall);
}

struct qk_measured_rate qk_measured_reasoning(const struct qk_outcome *o)
{
    return rate_between(o, o->n_recall, o->n_reasoning);
}

struct qk_measured_rate qk_measured_at(const struct qk_outcome *o, const struct qk_case_list *list, size_t length)
{
    double hits = 0, logprob = 0;
    size_t n = 0;
    for (size_t i = 0; i < o->n_recall; i++) {
        if (list->length_of[i] == length) {
            hits += o->hit[i];
            logprob += o->logprob[i];
            n++;
        }
    }
    return rate_of(n, hits, logprob);
}

/* ---- search ----------------------------------------------------------------------------------------------------- */

static enum qk_code measure(void *ctx, const uint8_t *choice, const struct qk_outcome **ret, struct qk_err *err)
{
    struct qk_measure_run *r = ctx;
    size_t variant;
    QK_TRY(qk_measure_choice(r, &r->units, choice, QK_STAGE_SEARCH, NULL, &variant, err));
    *ret = r->variants[variant].outcome;
    return QK_OK;
}

static enum qk_code settle(void *ctx, const uint8_t *choice, struct qk_err *err)
{
    struct qk_measure_run *r = ctx;
    (void)err;
    r->settled = r->options->memory > 0 ? choice : NULL;
    return QK_OK;
}

static enum qk_code note(void *ctx, const struct qk_search_decision *decision, struct qk_err *err)
{
    return qk_measure_note(ctx, decision, err);
}

/* Leaves time for the proof. */
static bool is_late(void *ctx)
{
    const struct qk_measure_run *r = ctx;
    double per_token = r->layer_tokens > 0 ? r->seconds / (double)r->layer_tokens : 0;
    double proof = per_token * (double)r->tuned->model->n_layers * (double)r->proof_tokens;
    return r->options->seconds > 0 && qk_seconds() - r->started + proof > r->options->seconds;
}

/* The paper's set, and small blends of all units. */
static enum qk_code lay_starts(struct qk_measure_run *r, struct qk_search_problem *p, struct qk_err *err)
{
    static const size_t blends[N_BLEND_STARTS] = {QK_MODE_QUARTER, QK_MODE_HALF};
    uint8_t *starts = qk_arena_alloc(r->arena, (1 + N_BLEND_STARTS) * (r->units.n + 1), 1);
    if (starts == NULL) {
        return qk_fail_nomem(err, "search");
    }
    for (size_t u = 0; u < r->units.n; u++) {
        starts[u] = r->units.units[u].is_full ? 1 : 0;
        for (size_t b = 0; b < N_BLEND_STARTS; b++) {
            starts[(b + 1) * r->units.n + u] = (uint8_t)blends[b];
        }
    }
    p->starts = starts;
    p->n_starts = 1 + N_BLEND_STARTS;
    return QK_OK;
}

static enum qk_code lay_modes(struct qk_measure_run *r, struct qk_search_problem *p, struct qk_err *err)
{
    size_t n_modes = qk_measure_n_modes();
    bool *offered = qk_arena_alloc(r->arena, r->units.n * n_modes + 1, sizeof *offered);
    bool *single = qk_arena_alloc(r->arena, n_modes, sizeof *single);
    bool *cheap = qk_arena_alloc(r->arena, n_modes, sizeof *cheap);
    double *share = qk_arena_alloc(r->arena, n_modes, sizeof *share);
    double *loss_share = qk_arena_alloc(r->arena, n_modes, sizeof *loss_share);
    double *score = qk_arena_alloc(r->arena, r->units.n + 1, sizeof *score);
    if (offered == NULL || single == NULL || cheap == NULL || share == NULL || loss_share == NULL || score == NULL) {
        return qk_fail_nomem(err, "search");
    }
    for (size_t m = 0; m < n_modes; m++) {
        single[m] = qk_measure_mode(m)->single;
        cheap[m] = qk_measure_mode(m)->cheap;
        share[m] = qk_measure_mode(m)->share;
        loss_share[m] = qk_measure_mode(m)->loss_share;
        for (size_t u = 0; u < r->units.n; u++) {
            offered[u * n_modes + m] = true;
        }
    }
    for (size_t u = 0; u < r->units.n; u++) {
        score[u] = r->options->score == NULL ? NAN : r->options->score[r->units.units[u].layer];
    }
    p->n_units = r->units.n;
    p->n_modes = n_modes;
    p->offered = offered;
    p->single = single;
    p->share = share;
    p->loss_share = loss_share;
    p->cheap = cheap;
    p->score = r->options->score == NULL ? NULL : score;
    return QK_OK;
}

static enum qk_code search(struct qk_measure_run *r, struct qk_search_result *ret, struct qk_err *err)
{
    struct qk_search_problem p = {.max_loss = r->options->max_loss,
                                  .budget = r->options->budget,
                                  .exhaustive = r->options->exhaustive,
                                  .ctx = r,
                                  .measure = measure,
                                  .settle = settle,
                                  .decided = note,
                                  .is_late = is_late};
    QK_TRY(lay_modes(r, &p, err));
    QK_TRY(lay_starts(r, &p, err));
    return qk_measure_search(&p, r->arena, ret, err);
}

/* Where nothing was lost there is nothing to look for. */
static enum qk_code skip(struct qk_measure_run *r, size_t tuned, struct qk_search_result *ret, struct qk_err *err)
{
    uint8_t *none = qk_arena_alloc(r->arena, r->units.n + 1, 1);
    if (none == NULL) {
        return qk_fail_nomem(err, "search");
    }
    *ret = (struct qk_search_result){.choice = none, .outcome = r->variants[tuned].outcome, .end = QK_SEARCH_SKIPPED};
    qk_measure_tell(r, "nothing was lost: there is nothing to search for");
    return QK_OK;
}

/* ---- held out --------------------------------------------------------------------------------------------------- */

static enum qk_code prove(struct qk_measure_run *r, const uint8_t *chosen, struct qk_measured_places *ret,
                          struct qk_err *err)
{
    struct qk_measure_what base = {
        .label = "base", .key = "held-out base", .stage = QK_STAGE_HELD_OUT, .model = r->base->model, .remember = -1};
    struct qk_measure_what tuned = {.label = "tuned",
                                    .key = "held-out plan: nothing",
                                    .stage = QK_STAGE_HELD_OUT,
                                    .model = r->tuned->model,
                                    .remember = 0};
    const uint8_t *rule = qk_measure_uniform(r, &r->layers, true, 1);
    if (rule == NULL) {
        return qk_fail_nomem(err, "held-out cases");
    }
    QK_TRY(qk_measure_variant(r, &base, &ret->base, err));
    QK_TRY(qk_measure_variant(r, &tuned, &ret->tuned, err));
    QK_TRY(qk_measure_choice(r, &r->layers, rule, QK_STAGE_HELD_OUT, "softmax Q/K", &ret->rule, err));
    return qk_measure_choice(r, &r->units, chosen, QK_STAGE_HELD_OUT, "plan", &ret->plan, err);
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static enum qk_code open_engine(struct qk_measure_run *r, const struct qk_case_list *list, struct qk_err *err)
{
    bool *starts = qk_arena_alloc(r->arena, r->tuned->model->n_layers + 1, sizeof *starts);
    if (starts == NULL) {
        return qk_fail_nomem(err, "cases");
    }
    for (size_t u = 0; u < r->layers.n; u++) {
        starts[r->layers.units[u].layer] = true;
    }
    struct qk_outcome_options options = {.memory = r->options->memory, .start_layers = starts};
    qk_outcome_engine_free(r->engine);
    r->engine = NULL;
    r->list = list;
    r->settled = NULL;
    return qk_outcome_engine_new(r->tuned->model, list, &options, r->pool, &r->engine, err);
}

static void tell_budget(struct qk_measure_run *r, const struct qk_case_list *held_out)
{
    uint64_t tokens = qk_case_list_tokens(r->list), proof = qk_case_list_tokens(held_out);
    r->total = (qk_measure_n_controls() + r->options->budget) * tokens + HELD_OUT_VARIANTS * proof;
    qk_measure_tell(
        r,
        "at most %zu forward passes of %llu tokens (%zu controls, %zu variants of %zu units; one more for a "
        "step that is taken, which shortens those after it), then %d of %llu tokens held out",
        qk_measure_n_controls() + r->options->budget, (unsigned long long)tokens, qk_measure_n_controls(),
        r->options->budget, r->units.n, HELD_OUT_VARIANTS, (unsigned long long)proof);
}

static void tell_time(struct qk_measure_run *r)
{
    uint64_t left = r->total > r->done ? r->total - r->done : 0;
    if (r->layer_tokens == 0) {
        return; /* all that was measured so far was kept by an earlier run */
    }
    double per_token = r->seconds / (double)r->layer_tokens;
    double whole = per_token * (double)r->tuned->model->n_layers * (double)left / 60;
    qk_measure_tell(
        r, "about %.1f minutes left at most; runs begin at the first layer that differs, half of it is usual", whole);
}

static enum qk_code choose(struct qk_measure_run *r, const struct qk_case_list *held_out, struct qk_measurement *m,
                           struct qk_err *err)
{
    QK_TRY(open_engine(r, m->calibration, err));
    tell_budget(r, held_out);
    QK_TRY(qk_measure_controls(r, &m->at, &m->verdict, err));
    if (m->verdict.cause == QK_CAUSE_NOTHING_LOST && !m->verdict.is_hinted) {
        QK_TRY(skip(r, m->at.tuned, &m->search, err));
    } else {
        tell_time(r);
        QK_TRY(search(r, &m->search, err));
    }
    QK_TRY(qk_measure_untried(r, &m->search, &m->untried, err));
    QK_TRY(qk_measure_choice(r, &r->units, m->search.choice, QK_STAGE_SEARCH, NULL, &m->at.plan, err));
    r->variants[m->at.plan].chosen = true;
    r->done = r->total - HELD_OUT_VARIANTS * qk_case_list_tokens(held_out);
    return QK_OK;
}

/* NULL for an adapter, whose values may be read rounded or not. */
static enum qk_code sample_of(struct qk_measure_run *r, const struct qk_ckpt *ckpt, const char **ret,
                              struct qk_err *err)
{
    char *sample = qk_arena_alloc(r->arena, 65, 1);
    if (sample == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    QK_TRY(ckpt->adapter == NULL ? qk_ckpt_sample(ckpt, sample, err) : QK_OK);
    *ret = ckpt->adapter == NULL ? sample : NULL;
    return QK_OK;
}

static enum qk_code fill_plan(struct qk_measure_run *r, struct qk_measurement *m, struct qk_err *err)
{
    struct qk_str text = {0};
    m->plan.base = (struct qk_plan_checkpoint){r->base->name, r->base->ckpt->header_sha256};
    m->plan.tuned = (struct qk_plan_checkpoint){r->tuned->name, r->tuned->ckpt->header_sha256};
    QK_TRY(sample_of(r, r->base->ckpt, &m->plan.base_sample, err));
    QK_TRY(sample_of(r, r->tuned->ckpt, &m->plan.tuned_sample, err));
    QK_TRY(qk_measure_plan_units(&r->units, m->search.choice, true, r->arena, &m->plan.units, &m->plan.n_units, err));
    QK_TRY(qk_measure_explain(r, m, &m->plan.units, err));
    m->n_steps = r->n_steps;
    m->steps = r->steps;
    m->n = r->n;
    m->variants = r->variants;
    qk_measurement_json(m, &text);
    m->plan.measured = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    return m->plan.measured == NULL ? qk_fail_nomem(err, "plan") : QK_OK;
}

static enum qk_code run(struct qk_measure_run *r, const struct qk_case_list *held_out, struct qk_measurement *m,
                        struct qk_err *err)
{
    const struct qk_model *model = r->tuned->model;
    QK_TRY(qk_measure_units_of(model, true, false, r->arena, &r->layers, err));
    QK_TRY(qk_measure_units_of(model, r->options->all_units, r->options->by_group, r->arena, &r->units, err));
    if (r->units.n == 0) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: no layer of the kinds asked for has Q and K", r->tuned->ckpt->path);
    }
    if (r->options->exhaustive && r->units.n > MOST_EXHAUSTIVE) {
        return qk_fail(err, QK_EUSAGE, "--exhaustive: %zu units (expected at most %d)", r->units.n, MOST_EXHAUSTIVE);
    }
    if (r->options->exhaustive && (size_t)1 << r->units.n > r->options->budget) {
        return qk_fail(err, QK_EUSAGE, "--exhaustive: %zu sets of %zu units (expected at most --budget-passes, %zu)",
                       (size_t)1 << r->units.n, r->units.n, r->options->budget);
    }
    QK_TRY(choose(r, held_out, m, err));
    QK_TRY(open_engine(r, held_out, err));
    QK_TRY(prove(r, m->search.choice, &m->held, err));
    r->variants[m->held.plan].chosen = true;
    m->rule_is_best = m->held.rule == m->held.plan;
    return fill_plan(r, m, err);
}

enum qk_code qk_measure(const struct qk_run_input *base, const struct qk_run_input *tuned,
                        const struct qk_case_list *calibration, const struct qk_case_list *held_out,
                        const struct qk_measure_options *options, struct qk_pool *pool,
                        const struct qk_progress *progress, struct qk_arena *arena, struct qk_measurement *ret,
                        struct qk_err *err)
{
    struct qk_measure_run r = {.base = base,
                               .tuned = tuned,
                               .pair = {base->model, tuned->model},
                               .options = options,
                               .pool = pool,
                               .arena = arena,
                               .outer = progress};
    r.started = qk_seconds();
    r.proof_tokens = HELD_OUT_VARIANTS * qk_case_list_tokens(held_out);
    struct qk_measurement m = {.calibration = calibration, .held_out = held_out};
    enum qk_code code = run(&r, held_out, &m, err);
    qk_outcome_engine_free(r.engine);
    QK_TRY(code);
    *ret = m;
    return QK_OK;
}
