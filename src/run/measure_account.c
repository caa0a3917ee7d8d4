/* The account of a measuring run: every decision of the search, what it left untried, and what each unit did alone. See
 * run/measure.h. */
#include <math.h>
#include <string.h>

#include "measure_run.h"

enum { MOST_NAMED = 16 };

/* ---- decisions -------------------------------------------------------------------------------------------------- */

const char *qk_search_why_text(enum qk_search_why why)
{
    static const char *const texts[QK_N_SEARCH_WHYS] = {
        [QK_SEARCH_BEGINS] = "begins at", [QK_SEARCH_TAKES] = "takes",    [QK_SEARCH_DROPS] = "goes back to",
        [QK_SEARCH_ENDS] = "chooses",     [QK_SEARCH_RULES] = "keeps to",
    };
    return texts[why];
}

static void add_points(struct qk_str *out, const struct qk_paired *p)
{
    qk_str_addf(out, "%+.1f ± %.1f points", 100 * p->mean, 100 * p->se);
}

/* "takes 5 restore: answers 51.2 % likely (+19.1 ± 3.2 points; 7 cases won, 0 lost), reasoning costs 1.3 points (2.1
 * with a standard error; 3 allowed)" */
static void add_step(struct qk_str *out, const struct qk_measured_step *step, bool with_reasoning, double max_loss)
{
    const struct qk_search_decision *d = &step->decision;
    bool from_here = d->why == QK_SEARCH_TAKES || d->why == QK_SEARCH_DROPS;
    qk_str_addf(out, "search %s %s: the answers are %.1f %% likely", qk_search_why_text(d->why), step->variant,
                100 * d->recall);
    if (d->gain.won > 0 || d->gain.lost > 0 || d->gain.probability.se > 0) {
        qk_str_add(out, ", ");
        add_points(out, &d->gain.probability);
        qk_str_addf(out, " %s (cases: %zu won, %zu lost)", from_here ? "over the step before" : "over tuned",
                    d->gain.won, d->gain.lost);
        if (with_reasoning) {
            qk_str_addf(out, "; reasoning costs %.1f points, %.1f with a standard error (%.3g allowed)",
                        100 * d->loss.expected, 100 * d->loss.cautious, 100 * max_loss);
        }
    }
    if (d->why == QK_SEARCH_RULES) {
        qk_str_add(out, "; nothing else is better beyond the noise");
    }
}

static const char *choice_text(struct qk_measure_run *r, const uint8_t *choice)
{
    struct qk_str text = {0};
    qk_measure_choice_text(&r->units, choice, &text);
    const char *ret = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    return ret;
}

enum qk_code qk_measure_note(struct qk_measure_run *r, const struct qk_search_decision *decision, struct qk_err *err)
{
    struct qk_measured_step step = {*decision, choice_text(r, decision->choice)};
    struct qk_str line = {0};
    if (step.variant != NULL && strcmp(step.variant, QK_MEASURE_NOTHING) == 0) {
        step.variant = "the tuned weights";
    }
    if (r->n_steps == r->cap_steps) {
        size_t cap = r->cap_steps > 0 ? 2 * r->cap_steps : 16;
        struct qk_measured_step *more = qk_arena_alloc(r->arena, cap, sizeof *more);
        if (more == NULL) {
            return qk_fail_nomem(err, "search");
        }
        if (r->n_steps > 0) {
            memcpy(more, r->steps, r->n_steps * sizeof *more);
        }
        r->steps = more;
        r->cap_steps = cap;
    }
    if (step.variant == NULL) {
        return qk_fail_nomem(err, "search");
    }
    r->steps[r->n_steps++] = step;
    add_step(&line, &step, r->list->n_reasoning > 0, r->options->max_loss);
    if (!line.failed) {
        qk_measure_tell(r, "%s", line.s);
    }
    qk_str_release(&line);
    return QK_OK;
}

/* ---- what was left untried -------------------------------------------------------------------------------------- */

enum qk_code qk_measure_untried(struct qk_measure_run *r, const struct qk_search_result *search, const char **ret,
                                struct qk_err *err)
{
    struct qk_str text = {0};
    qk_str_add(&text, "");
    size_t n = 0;
    for (size_t u = 0; search->tried != NULL && u < r->units.n; u++) {
        n += !search->tried[u];
    }
    if (n > MOST_NAMED) {
        qk_str_addf(&text, "%zu of %zu units", n, r->units.n);
    }
    for (size_t u = 0; search->tried != NULL && n <= MOST_NAMED && u < r->units.n; u++) {
        if (!search->tried[u]) {
            qk_str_add(&text, text.len > 0 ? ", " : "");
            qk_measure_unit_text(&r->units.units[u], &text);
        }
    }
    const char *kept = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    if (kept == NULL) {
        return qk_fail_nomem(err, "search");
    }
    *ret = kept;
    return QK_OK;
}

/* ---- units ------------------------------------------------------------------------------------------------------ */

/* The variant that changes n units from one on alone; NULL: it was not measured. */
static const struct qk_outcome *alone(struct qk_measure_run *r, size_t unit, size_t n, size_t mode)
{
    uint8_t *choice = qk_arena_alloc(r->arena, r->units.n + 1, 1);
    const char *text = NULL;
    if (choice != NULL) {
        memset(choice + unit, (int)mode, n);
        text = choice_text(r, choice);
    }
    for (size_t i = 0; text != NULL && i < r->n; i++) {
        if (strncmp(r->variants[i].key, "plan: ", 6) == 0 && strcmp(r->variants[i].key + 6, text) == 0) {
            return r->variants[i].outcome;
        }
    }
    return NULL;
}

static void add_alone(struct qk_str *out, size_t mode, const struct qk_gain *gain, const struct qk_reasoning_loss *loss,
                      bool with_reasoning)
{
    qk_str_addf(out, "measured: alone (%s) it makes the answers ", qk_measure_mode(mode)->label);
    add_points(out, &gain->probability);
    qk_str_add(out, " likelier");
    if (with_reasoning) {
        qk_str_addf(out, " and costs %.1f points of reasoning", 100 * loss->expected);
    }
}

static enum qk_code explain(struct qk_measure_run *r, const struct qk_outcome *tuned, size_t u, size_t n_alike,
                            size_t chosen, struct qk_plan_unit *unit, struct qk_err *err)
{
    size_t mode = chosen != 0 ? chosen : QK_MODE_RESTORE;
    const struct qk_outcome *o = alone(r, u, n_alike, mode);
    if (o == NULL && mode != QK_MODE_RESTORE) {
        mode = QK_MODE_RESTORE;
        o = alone(r, u, n_alike, mode);
    }
    struct qk_str text = {0};
    if (o != NULL) {
        struct qk_gain gain = qk_recall_gain(o, tuned);
        struct qk_reasoning_loss loss = qk_reasoning_loss(o, tuned);
        const struct qk_plan_evidence evidence[] = {{"alone_gain", gain.probability.mean},
                                                    {"alone_gain_se", gain.probability.se},
                                                    {"alone_reasoning_loss", loss.expected}};
        size_t n = o->n_reasoning > 0 ? 3 : 2;
        struct qk_plan_evidence *kept = qk_arena_alloc(r->arena, n, sizeof *kept);
        if (kept == NULL) {
            return qk_fail_nomem(err, "plan");
        }
        memcpy(kept, evidence, n * sizeof *kept);
        unit->evidence = kept;
        unit->n_evidence = n;
        add_alone(&text, mode, &gain, &loss, o->n_reasoning > 0);
    } else {
        qk_str_add(&text, "never measured alone");
    }
    qk_str_add(&text, chosen != 0 ? "; part of the best variant" : "; not part of the best variant");
    unit->reason = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    return unit->reason == NULL ? qk_fail_nomem(err, "plan") : QK_OK;
}

enum qk_code qk_measure_explain(struct qk_measure_run *r, const struct qk_measurement *m,
                                const struct qk_plan_unit **units, struct qk_err *err)
{
    struct qk_plan_unit *explained = qk_arena_alloc(r->arena, r->units.n + 1, sizeof *explained);
    size_t i = 0;
    if (explained == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    for (size_t u = 0, step; u < r->units.n; u += step, i++) {
        step = qk_measure_alike(&r->units, m->search.choice, u);
        explained[i] = (*units)[i];
        if (m->search.end == QK_SEARCH_SKIPPED) {
            explained[i].reason = "nothing was lost that it could bring back";
        } else {
            QK_TRY(explain(r, r->variants[m->at.tuned].outcome, u, step, m->search.choice[u], &explained[i], err));
        }
    }
    *units = explained;
    return QK_OK;
}
