/* The answer of recommend --measure: see recommend_measure_answer.h. */
#include "recommend_measure_answer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "paragraph.h"

enum { VARIANT_COLUMN = 55 };

/* An indented paragraph. */
static void QK_PRINTF(3, 4) add_line(struct qk_str *out, size_t width, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    qk_str_add(out, "  ");
    qk_paragraph(out, text, n < 0 ? 0 : strlen(text), 2, 2, width);
}

static void add_rate(struct qk_str *out, const struct qk_measured_rate *r)
{
    if (r->n == 0) {
        qk_str_addf(out, "%22s", "-");
    } else {
        qk_str_addf(out, "%7.1f (%5.1f to %5.1f)", 100 * r->rate, 100 * r->lo, 100 * r->hi);
    }
}

static void add_row(struct qk_str *out, const char *label, const struct qk_outcome *o)
{
    struct qk_measured_rate recall = qk_measured_recall(o), reasoning = qk_measured_reasoning(o);
    qk_str_addf(out, "  %-24.24s", label);
    add_rate(out, &recall);
    add_rate(out, &reasoning);
    qk_str_addc(out, '\n');
}

static void add_head(struct qk_str *out, const char *what, const struct qk_case_list *list)
{
    qk_str_addf(out, "%s: %zu recall cases, %zu problems\n", what, list->n_recall, list->n_reasoning);
    qk_str_addf(out, "  %-24s%23s%23s\n", "percent (95 % interval)", "recall", "reasoning");
}

static void add_cause(struct qk_str *out, const char *text, size_t width)
{
    qk_str_add(out, "cause:\n");
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        qk_str_add(out, "  ");
        qk_paragraph(out, at, n, 2, 2, width);
        at += n + (at[n] == '\n');
    }
}

static const struct qk_measured_variant *variant(const struct qk_measurement *m, size_t i)
{
    return &m->variants[i];
}

static size_t n_changed(const struct qk_plan *plan)
{
    size_t n = 0;
    for (size_t u = 0; u < plan->n_units; u++) {
        n += plan->units[u].action != QK_PLAN_KEEP;
    }
    return n;
}

/* Points of hits of a over b, with their paired 95 % interval; *ret_lo: its lower end. */
static void add_points(struct qk_str *out, size_t n, const uint8_t *a, const uint8_t *b, double *ret_lo)
{
    size_t won = 0, lost = 0;
    double hi;
    for (size_t i = 0; i < n; i++) {
        won += a[i] > b[i];
        lost += a[i] < b[i];
    }
    qk_paired_interval(n, won, lost, ret_lo, &hi);
    qk_str_addf(out, "%+.1f points (95 %% interval %+.1f to %+.1f)", 100 * ((double)won - (double)lost) / (double)n,
                100 * *ret_lo, 100 * hi);
}

/* ---- the search ------------------------------------------------------------------------------------------------- */

static const char *step_word(enum qk_search_why why)
{
    static const char *const words[QK_N_SEARCH_WHYS] = {
        [QK_SEARCH_BEGINS] = "begin", [QK_SEARCH_TAKES] = "take",   [QK_SEARCH_DROPS] = "back",
        [QK_SEARCH_ENDS] = "choose",  [QK_SEARCH_RULES] = "choose",
    };
    return words[why];
}

static void add_step(struct qk_str *out, const struct qk_measured_step *step, size_t width)
{
    const struct qk_search_decision *d = &step->decision;
    bool of_tuned = d->gain.probability.se == 0 && d->gain.won == 0 && d->gain.lost == 0;
    qk_str_addf(out, "  %-7s%6.1f", step_word(d->why), 100 * d->recall);
    if (of_tuned) {
        qk_str_addf(out, "%38s  ", "");
    } else {
        qk_str_addf(out, "  %+6.1f ± %4.1f  +%-3zu −%-3zu  %5.1f  %5.1f  ", 100 * d->gain.probability.mean,
                    100 * d->gain.probability.se, d->gain.won, d->gain.lost, 100 * d->loss.expected,
                    100 * d->loss.cautious);
    }
    qk_paragraph(out, step->variant, strlen(step->variant), VARIANT_COLUMN, VARIANT_COLUMN, width);
}

static void add_untried(struct qk_str *out, const char *units, size_t width)
{
    if (*units != '\0') {
        add_line(out, width, "left untried: %s, and further modes and combinations of the others", units);
    } else {
        add_line(out, width, "every unit was tried; further modes and combinations were not");
    }
}

static bool has_groups(const struct qk_plan *plan)
{
    bool any = false;
    for (size_t u = 0; u < plan->n_units; u++) {
        any = any || plan->units[u].n_kv_groups > 0;
    }
    return any;
}

/* What the search decided, and by what. */
static void add_search(struct qk_str *out, const struct qk_measure_answer *a, size_t width)
{
    const struct qk_measurement *m = a->measurement;
    qk_str_addf(out, "search: %zu variant%s measured; %s\n", m->search.n_measured, m->search.n_measured == 1 ? "" : "s",
                qk_search_end_text(m->search.end));
    if (m->search.end == QK_SEARCH_BUDGET || m->search.end == QK_SEARCH_TIME) {
        add_untried(out, m->untried, width);
    }
    if (m->n_steps == 0) {
        return;
    }
    add_line(
        out, width,
        "likely: mean probability of the answers, percent; gain: over the line before (of 'begin' and 'choose': over "
        "tuned) with its standard error, and cases won and lost; cost: points of reasoning lost to tuned, expected and "
        "a standard error more (%g allowed)",
        100 * a->max_loss);
    if (has_groups(a->plan)) {
        add_line(out, width, "5.1 is KV group 1 of layer 5: a key head with the query heads that read it");
    }
    qk_str_addf(out, "  %-7s%6s  %13s  %-9s  %5s  %5s  %s\n", "step", "likely", "gain", "won lost", "cost", "most",
                "variant");
    for (size_t i = 0; i < m->n_steps; i++) {
        add_step(out, &m->steps[i], width);
    }
    if (m->steps[m->n_steps - 1].decision.why == QK_SEARCH_RULES) {
        add_line(out, width, "the simple rule (all softmax layers) is kept: nothing is better beyond the noise");
    }
}

/* ---- what it is worth ------------------------------------------------------------------------------------------- */

/* The variant of the search that made the answers likeliest, allowed or not. */
static void add_most(struct qk_str *out, const struct qk_measurement *m, size_t width)
{
    const struct qk_outcome *tuned = variant(m, m->at.tuned)->outcome;
    struct qk_gain most = {{0, 0}, 0, 0};
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < m->n; i++) {
        struct qk_gain gain = qk_recall_gain(m->variants[i].outcome, tuned);
        if (m->variants[i].stage == QK_STAGE_SEARCH && gain.probability.mean > most.probability.mean) {
            most = gain;
            at = i;
        }
    }
    if (at == SIZE_MAX) {
        return;
    }
    struct qk_reasoning_loss loss = qk_reasoning_loss(variant(m, at)->outcome, tuned);
    add_line(out, width, "most recall was with %s: the answers %+.1f ± %.1f points likelier", variant(m, at)->label,
             100 * most.probability.mean, 100 * most.probability.se);
    if (tuned->n_reasoning > 0) {
        add_line(out, width, "at %.1f points of reasoning, %.1f with a standard error", 100 * loss.expected,
                 100 * loss.cautious);
    }
}

static void add_no_plan(struct qk_str *out, const struct qk_measure_answer *a, size_t width)
{
    if (a->measurement->search.end == QK_SEARCH_SKIPPED) {
        qk_str_add(out, "plan: nothing; nothing was lost that it could bring back\n");
        return;
    }
    qk_str_add(out, "plan: nothing\n");
    add_line(
        out, width,
        "no variant that was tried is better than the tuned checkpoint beyond the noise at a loss of at most %g points",
        100 * a->max_loss);
    add_most(out, a->measurement, width);
}

/* On cases that the plan was not chosen by. */
static void add_worth(struct qk_str *out, const struct qk_measure_answer *a, size_t width)
{
    const struct qk_measurement *m = a->measurement;
    const struct qk_outcome *plan = variant(m, m->held.plan)->outcome, *tuned = variant(m, m->held.tuned)->outcome;
    const struct qk_outcome *rule = variant(m, m->held.rule)->outcome;
    struct qk_measured_rate p = qk_measured_recall(plan), t = qk_measured_recall(tuned);
    size_t n = plan->n_recall;
    if (n_changed(a->plan) == 0) {
        add_no_plan(out, a, width);
        return;
    }
    double lo;
    qk_str_add(out, "plan: ");
    qk_paragraph(out, variant(m, m->at.plan)->key + strlen("plan: "),
                 strlen(variant(m, m->at.plan)->key + strlen("plan: ")), strlen("plan: "), strlen("plan: "), width);
    qk_str_addf(out, "  recall, held out: %.0f %% to %.0f %%, ", 100 * t.rate, 100 * p.rate);
    add_points(out, n, plan->hit, tuned->hit, &lo);
    qk_str_add(out, lo > 0 ? "\n" : "; not beyond chance\n");
    if (!m->rule_is_best) {
        qk_str_add(out, "  against restoring all softmax layers: ");
        add_points(out, n, plan->hit, rule->hit, &lo);
        qk_str_addc(out, '\n');
    }
    if (plan->n_reasoning > 0) {
        struct qk_reasoning_loss loss = qk_reasoning_loss(plan, tuned);
        qk_str_add(out, "  reasoning, held out: ");
        add_points(out, plan->n_reasoning, plan->hit + n, tuned->hit + n, &lo);
        qk_str_addf(out, loss.loss > a->max_loss ? "; more than the %g that were allowed\n" : "\n", 100 * a->max_loss);
    } else {
        add_line(out, width, "what it costs in reasoning was not measured (--reasoning FILE)");
    }
    if (m->verdict.cause == QK_CAUSE_NOT_QK) {
        add_line(out, width, "it is no rescue: most of what was lost is elsewhere");
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

void qk_measure_answer_text(struct qk_str *out, const struct qk_measure_answer *a, size_t width)
{
    const struct qk_measurement *m = a->measurement;
    qk_str_addf(out, "%s against %s, recall task %s\n", a->plan->tuned.name, a->plan->base.name, a->tasks);
    add_cause(out, m->verdict.text, width);
    add_head(out, "controls", m->calibration);
    for (size_t i = 0; i < m->n; i++) {
        if (m->variants[i].stage == QK_STAGE_CONTROL) {
            add_row(out, m->variants[i].label, m->variants[i].outcome);
        }
    }
    add_search(out, a, width);
    add_head(out, "held out", m->held_out);
    for (size_t i = 0; i < m->n; i++) {
        if (m->variants[i].stage == QK_STAGE_HELD_OUT) {
            add_row(out, m->variants[i].label, m->variants[i].outcome);
        }
    }
    add_worth(out, a, width);
}

static void add_variant_json(struct qk_str *out, const struct qk_measured_variant *v)
{
    const struct {
        const char *key;
        struct qk_measured_rate rate;
    } rates[] = {{"recall", qk_measured_recall(v->outcome)}, {"reasoning", qk_measured_reasoning(v->outcome)}};
    qk_str_add(out, "{\"variant\": ");
    qk_str_add_json(out, v->label);
    qk_str_addf(out, ", \"stage\": \"%s\", \"chosen\": %s", qk_measure_stage_name(v->stage),
                v->chosen ? "true" : "false");
    for (size_t i = 0; i < 2; i++) {
        qk_str_addf(out, ", \"%s\": ", rates[i].key);
        qk_str_add_json_double(out, rates[i].rate.rate);
        qk_str_addf(out, ", \"%s_n\": %zu", rates[i].key, rates[i].rate.n);
    }
    qk_str_addc(out, '}');
}

static void add_step_json(struct qk_str *out, const struct qk_measured_step *step, bool with_reasoning)
{
    const struct qk_search_decision *d = &step->decision;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"probability", d->recall},
                   {"gain", d->gain.probability.mean},
                   {"gain_se", d->gain.probability.se},
                   {"reasoning_loss", with_reasoning ? d->loss.expected : NAN},
                   {"reasoning_loss_cautious", with_reasoning ? d->loss.cautious : NAN}};
    qk_str_addf(out, "{\"step\": \"%s\", \"variant\": ", step_word(d->why));
    qk_str_add_json(out, step->variant);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        qk_str_addf(out, ", \"%s\": ", numbers[i].key);
        qk_str_add_json_double(out, numbers[i].value);
    }
    qk_str_addf(out, ", \"won\": %zu, \"lost\": %zu}", d->gain.won, d->gain.lost);
}

void qk_measure_answer_json(struct qk_str *out, const struct qk_measure_answer *a)
{
    qk_str_add(out, "{\"output\": ");
    if (a->output != NULL) {
        qk_str_add_json(out, a->output);
    } else {
        qk_str_add(out, "null");
    }
    qk_str_add(out, ", \"task\": ");
    qk_str_add_json(out, a->tasks);
    qk_str_add(out, ", \"search\": ");
    qk_str_add_json(out, qk_search_end_text(a->measurement->search.end));
    qk_str_add(out, ", \"steps\": [");
    for (size_t i = 0; i < a->measurement->n_steps; i++) {
        qk_str_add(out, i == 0 ? "\n " : ",\n ");
        add_step_json(out, &a->measurement->steps[i], variant(a->measurement, 0)->outcome->n_reasoning > 0);
    }
    qk_str_add(out, "],\n\"untried\": ");
    qk_str_add_json(out, a->measurement->untried);
    qk_str_add(out, ", \"variants\": [");
    for (size_t i = 0; i < a->measurement->n; i++) {
        qk_str_add(out, i == 0 ? "\n " : ",\n ");
        add_variant_json(out, &a->measurement->variants[i]);
    }
    qk_str_add(out, "],\n\"plan\": ");
    qk_plan_write(a->plan, out);
    qk_str_add(out, "}\n");
}
