/* The answer of recommend --measure: see recommend_measure_answer.h. */
#include "recommend_measure_answer.h"

#include <math.h>
#include <string.h>

#include "paragraph.h"

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

/* What the plan is worth, on cases that it was not chosen by. */
static void add_worth(struct qk_str *out, const struct qk_measure_answer *a)
{
    const struct qk_measurement *m = a->measurement;
    const struct qk_outcome *plan = variant(m, m->held.plan)->outcome, *tuned = variant(m, m->held.tuned)->outcome;
    struct qk_measured_rate p = qk_measured_recall(plan), t = qk_measured_recall(tuned);
    struct qk_reasoning_loss loss = qk_reasoning_loss(plan, tuned);
    if (n_changed(a->plan) == 0) {
        qk_str_add(out,
                   "plan: nothing; no variant that was tried is better than the tuned checkpoint beyond the noise");
        qk_str_addf(out, " at a loss of at most %g points\n", 100 * a->max_loss);
        return;
    }
    qk_str_addf(out, "plan: %s\n", variant(m, m->at.plan)->key + strlen("plan: "));
    qk_str_addf(out, "  brings recall from %.0f %% to %.0f %% on held-out cases", 100 * t.rate, 100 * p.rate);
    if (plan->n_reasoning > 0) {
        qk_str_addf(out, " and %s %.1f points of reasoning\n", loss.loss >= 0 ? "costs" : "wins",
                    100 * fabs(loss.loss));
    } else {
        qk_str_add(out, "; what it costs in reasoning was not measured (--reasoning FILE)\n");
    }
    if (m->verdict.cause == QK_CAUSE_NOT_QK) {
        qk_str_add(out, "  it is no rescue: most of what was lost is elsewhere\n");
    }
}

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
    qk_str_addf(out, "search: %zu variants measured; %s\n", m->search.n_measured, qk_search_end_text(m->search.end));
    add_head(out, "held out", m->held_out);
    for (size_t i = 0; i < m->n; i++) {
        if (m->variants[i].stage == QK_STAGE_HELD_OUT) {
            add_row(out, m->variants[i].label, m->variants[i].outcome);
        }
    }
    add_worth(out, a);
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
    qk_str_add(out, ", \"variants\": [");
    for (size_t i = 0; i < a->measurement->n; i++) {
        qk_str_add(out, i == 0 ? "\n " : ",\n ");
        add_variant_json(out, &a->measurement->variants[i]);
    }
    qk_str_add(out, "],\n\"plan\": ");
    qk_plan_write(a->plan, out);
    qk_str_add(out, "}\n");
}
