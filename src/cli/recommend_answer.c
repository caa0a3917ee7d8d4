/* What `recommend` prints: see recommend_answer.h. */
#include "recommend_answer.h"

#include <math.h>
#include <string.h>

#include "paragraph.h"

enum { PLACES_SHOWN = 5, ADVICE_INDENT = 11, REASON_COLUMN = 32 };

/* ---- findings --------------------------------------------------------------------------------------------------- */

static size_t layers_of(const struct qk_finding *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_places; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) {
            seen = f->places[k].layer == f->places[i].layer;
        }
        n += !seen;
    }
    return n;
}

/* A flag says enough by being there; other numbers are shown. */
static bool is_flag(const struct qk_finding_rule *rule)
{
    return qk_str_starts(rule->rule, "1 ");
}

/* " (8 heads in 2 layers; 5.4 0.29, 5.3 0.27, …)", " (0.97)" */
static void add_places(struct qk_str *out, const struct qk_finding *f)
{
    bool heads = f->rule->scope == QK_FINDING_HEAD, flag = is_flag(f->rule);
    if (f->n_places == 0) {
        if (!flag) {
            qk_str_addf(out, " (%.3g)", f->value);
        }
        return;
    }
    if (heads) {
        size_t layers = layers_of(f);
        qk_str_addf(out, " (%zu head%s in %zu layer%s; layer.head", f->n_places, f->n_places == 1 ? "" : "s", layers,
                    layers == 1 ? "" : "s");
    } else {
        qk_str_addf(out, " (layer%s", f->n_places == 1 ? "" : "s");
    }
    for (size_t i = 0; i < f->n_places && i < PLACES_SHOWN; i++) {
        qk_str_addf(out, "%s%zu", i == 0 ? " " : ", ", f->places[i].layer);
        if (heads) {
            qk_str_addf(out, ".%zu", f->places[i].head);
        }
        if (!flag) {
            qk_str_addf(out, ": %.2g", f->places[i].value);
        }
    }
    qk_str_add(out, f->n_places > PLACES_SHOWN ? ", …)" : ")");
}

static void add_finding(struct qk_str *out, const struct qk_finding *f, size_t width)
{
    struct qk_str line = {0};
    qk_str_addf(&line, "%s: %s", f->rule->id, f->rule->title);
    add_places(&line, f);
    qk_str_addf(&line, ". %s", f->rule->advice);
    out->failed = out->failed || line.failed;
    qk_str_addf(out, "  %-9s", qk_severity_name(f->rule->severity));
    if (!out->failed) {
        qk_paragraph(out, line.s, line.len, ADVICE_INDENT, ADVICE_INDENT, width);
    }
    qk_str_release(&line);
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

static void add_groups(struct qk_str *out, const struct qk_plan_unit *unit)
{
    struct qk_str groups = {0};
    qk_str_add(&groups, unit->n_kv_groups == 0 ? "all" : "");
    for (size_t g = 0; g < unit->n_kv_groups; g++) {
        qk_str_addf(&groups, "%s%zu", g == 0 ? "" : ",", unit->kv_groups[g]);
    }
    out->failed = out->failed || groups.failed;
    qk_str_addf(out, "  %-5s", groups.failed ? "" : groups.s);
    qk_str_release(&groups);
}

static void add_unit(struct qk_str *out, const struct qk_plan_unit *unit, size_t width)
{
    qk_str_addf(out, "  %5zu", unit->layer);
    add_groups(out, unit);
    if (isnan(unit->score)) {
        qk_str_add(out, "      -");
    } else {
        qk_str_addf(out, "  %5.3f", unit->score);
    }
    qk_str_addf(out, "  %-7s  ", qk_plan_action_name(unit->action));
    qk_paragraph(out, unit->reason, strlen(unit->reason), REASON_COLUMN, REASON_COLUMN, width);
}

static void count_actions(const struct qk_plan *plan, size_t counts[QK_N_PLAN_ACTIONS])
{
    memset(counts, 0, QK_N_PLAN_ACTIONS * sizeof *counts);
    for (size_t u = 0; u < plan->n_units; u++) {
        counts[plan->units[u].action]++;
    }
}

void qk_recommend_answer_text(struct qk_str *out, const struct qk_recommend_answer *a, size_t width)
{
    const struct qk_plan *plan = &a->recommendation->plan;
    size_t counts[QK_N_PLAN_ACTIONS];
    count_actions(plan, counts);
    qk_str_addf(out, "%s against %s\nfindings:%s\n", plan->tuned.name, plan->base.name,
                a->n_findings == 0 ? " none" : "");
    for (size_t i = 0; i < a->n_findings; i++) {
        add_finding(out, &a->findings[i], width);
    }
    if (plan->n_units == 0) {
        qk_str_add(out, "plan: empty, no layer of the kinds asked for (--units all takes every layer with Q and K)\n");
        return;
    }
    qk_str_addf(out, "plan: restore %zu, align %zu, keep %zu of %zu units; scored by %s\n", counts[QK_PLAN_RESTORE],
                counts[QK_PLAN_ALIGN], counts[QK_PLAN_KEEP], plan->n_units,
                qk_score_basis_name(a->recommendation->basis));
    qk_str_add(out, "  layer  group  score  action   why\n");
    for (size_t u = 0; u < plan->n_units; u++) {
        add_unit(out, &plan->units[u], width);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static void add_text_member(struct qk_str *out, const char *key, const char *value)
{
    qk_str_addf(out, ", \"%s\": ", key);
    qk_str_add_json(out, value);
}

static void add_number_member(struct qk_str *out, const char *key, double value)
{
    qk_str_addf(out, ", \"%s\": ", key);
    qk_str_add_json_double(out, value);
}

static void add_json_finding(struct qk_str *out, const struct qk_finding *f)
{
    qk_str_add(out, "{\"id\": ");
    qk_str_add_json(out, f->rule->id);
    add_text_member(out, "severity", qk_severity_name(f->rule->severity));
    add_text_member(out, "metrics", f->rule->metrics);
    add_text_member(out, "rule", f->rule->rule);
    add_number_member(out, "value", f->value);
    add_number_member(out, "threshold", f->rule->threshold);
    add_text_member(out, "basis", f->rule->basis);
    add_text_member(out, "title", f->rule->title);
    add_text_member(out, "advice", f->rule->advice);
    qk_str_add(out, ", \"places\": [");
    for (size_t i = 0; i < f->n_places; i++) {
        qk_str_addf(out, "%s{\"layer\": %zu", i == 0 ? "" : ", ", f->places[i].layer);
        if (f->rule->scope == QK_FINDING_HEAD) {
            qk_str_addf(out, ", \"head\": %zu", f->places[i].head);
        }
        add_number_member(out, "value", f->places[i].value);
        qk_str_addc(out, '}');
    }
    qk_str_add(out, "]}");
}

void qk_recommend_answer_json(struct qk_str *out, const struct qk_recommend_answer *a)
{
    qk_str_add(out, "{\"tuned\": ");
    qk_str_add_json(out, a->evidence->tuned);
    add_text_member(out, "base", a->evidence->base);
    add_text_member(out, "scored_by", qk_score_basis_name(a->recommendation->basis));
    if (a->output != NULL) {
        add_text_member(out, "output", a->output);
    } else {
        qk_str_add(out, ", \"output\": null");
    }
    qk_str_add(out, ", \"findings\": [");
    for (size_t i = 0; i < a->n_findings; i++) {
        qk_str_add(out, i == 0 ? "\n " : ",\n ");
        add_json_finding(out, &a->findings[i]);
    }
    qk_str_add(out, "],\n\"plan\": ");
    qk_plan_write(&a->recommendation->plan, out);
    qk_str_add(out, "}\n");
}
