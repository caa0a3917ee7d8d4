/* Applying the finding rules to a run, and the page that lists them: see advise/finding.h. */
#include "advise/finding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finding_table.h"

static const char *const severity_names[QK_N_SEVERITIES] = {
    [QK_SEVERITY_INFO] = "info", [QK_SEVERITY_WARNING] = "warning", [QK_SEVERITY_ALARM] = "alarm"};

const char *qk_severity_name(enum qk_severity severity)
{
    return severity_names[severity];
}

size_t qk_finding_rule_count(void)
{
    return qk_n_drift_findings + qk_n_probe_findings;
}

const struct qk_finding_rule *qk_finding_rule_at(size_t i)
{
    return i < qk_n_drift_findings ? &qk_drift_findings[i] : &qk_probe_findings[i - qk_n_drift_findings];
}

const struct qk_finding_rule *qk_finding_rule_find(const char *id)
{
    for (size_t i = 0; i < qk_finding_rule_count(); i++) {
        if (strcmp(qk_finding_rule_at(i)->id, id) == 0) {
            return qk_finding_rule_at(i);
        }
    }
    return NULL;
}

static bool applies(const struct qk_finding_rule *rule, double value)
{
    return rule->above ? value > rule->threshold : value >= rule->threshold;
}

static size_t places_in_layer(const struct qk_evidence *e, const struct qk_finding_rule *rule, size_t layer)
{
    return rule->scope == QK_FINDING_HEAD ? e->layers[layer].n_heads : 1;
}

static int strongest_first(const void *a, const void *b)
{
    const struct qk_finding_place *x = a, *y = b;
    if (x->value < y->value || x->value > y->value) {
        return x->value > y->value ? -1 : 1;
    }
    if (x->layer != y->layer) {
        return x->layer < y->layer ? -1 : 1;
    }
    return (x->head > y->head) - (x->head < y->head);
}

/* Fills places (room for all) where the rule applies; gives their number. */
static size_t gather(const struct qk_evidence *e, const struct qk_finding_rule *rule, struct qk_finding_place *places)
{
    size_t n = 0;
    for (size_t l = 0; l < e->n_layers; l++) {
        for (size_t h = 0; h < places_in_layer(e, rule, l); h++) {
            double value = rule->value(e, l, h);
            if (applies(rule, value)) {
                places[n++] = (struct qk_finding_place){l, h, value};
            }
        }
    }
    qsort(places, n, sizeof *places, strongest_first);
    return n;
}

struct work {
    struct qk_finding_place *places; /* room for every head */
    struct qk_finding *findings;     /* room for every rule */
    size_t n;
};

static enum qk_code apply(const struct qk_evidence *e, const struct qk_finding_rule *rule, struct work *w,
                          struct qk_arena *arena, struct qk_err *err)
{
    struct qk_finding finding = {.rule = rule};
    if (rule->scope == QK_FINDING_RUN) {
        finding.value = rule->value(e, 0, 0);
        if (applies(rule, finding.value)) {
            w->findings[w->n++] = finding;
        }
        return QK_OK;
    }
    finding.n_places = gather(e, rule, w->places);
    if (finding.n_places == 0) {
        return QK_OK;
    }
    struct qk_finding_place *kept = qk_arena_alloc(arena, finding.n_places, sizeof *kept);
    if (kept == NULL) {
        return qk_fail_nomem(err, "findings");
    }
    memcpy(kept, w->places, finding.n_places * sizeof *kept);
    finding.places = kept;
    finding.value = kept[0].value;
    w->findings[w->n++] = finding;
    return QK_OK;
}

enum qk_code qk_findings_of(const struct qk_evidence *e, struct qk_arena *arena, const struct qk_finding **ret,
                            size_t *ret_n, struct qk_err *err)
{
    size_t most = 1;
    for (size_t l = 0; l < e->n_layers; l++) {
        most += e->layers[l].n_heads + 1;
    }
    struct work w = {.places = qk_arena_alloc(arena, most, sizeof *w.places),
                     .findings = qk_arena_alloc(arena, qk_finding_rule_count(), sizeof *w.findings)};
    if (w.places == NULL || w.findings == NULL) {
        return qk_fail_nomem(err, "findings");
    }
    for (size_t s = QK_N_SEVERITIES; s-- > 0;) {
        for (size_t i = 0; i < qk_finding_rule_count(); i++) {
            if (qk_finding_rule_at(i)->severity == s) {
                QK_TRY(apply(e, qk_finding_rule_at(i), &w, arena, err));
            }
        }
    }
    *ret = w.findings;
    *ret_n = w.n;
    return QK_OK;
}

/* ---- the page --------------------------------------------------------------------------------------------------- */

static const char *const scope_words[] = {
    [QK_FINDING_RUN] = "the run", [QK_FINDING_LAYER] = "each layer", [QK_FINDING_HEAD] = "each query head"};

static void add_item(struct qk_str *out, const char *label, const char *text,
                     void (*add_text)(struct qk_str *out, const char *s))
{
    qk_str_addf(out, "* %s: ", label);
    add_text(out, text);
    qk_str_addc(out, '\n');
}

void qk_findings_markdown(struct qk_str *out, void (*add_text)(struct qk_str *out, const char *s))
{
    qk_str_add(out,
               "# Findings\n\nWritten by `qkscope docs findings` from the table in src/advise. `qkscope recommend` "
               "prints those that apply to a run; `--fail-on` makes it exit with status 1 from a severity on. Each is "
               "one number against one threshold, with where the threshold comes from.\n\n"
               "| id | severity | asked of | says |\n|---|---|---|---|\n");
    for (size_t i = 0; i < qk_finding_rule_count(); i++) {
        const struct qk_finding_rule *rule = qk_finding_rule_at(i);
        qk_str_addf(out, "| [`%s`](#%s) | %s | %s | ", rule->id, rule->id, severity_names[rule->severity],
                    scope_words[rule->scope]);
        add_text(out, rule->title);
        qk_str_add(out, " |\n");
    }
    for (size_t i = 0; i < qk_finding_rule_count(); i++) {
        const struct qk_finding_rule *rule = qk_finding_rule_at(i);
        qk_str_addf(out, "\n## `%s`\n\n", rule->id);
        add_text(out, rule->title);
        qk_str_add(out, ".\n\n");
        add_item(out, "Reads", rule->metrics, add_text);
        add_item(out, "Number", rule->rule, add_text);
        qk_str_addf(out, "* Threshold: %s ", rule->above ? "above" : "at least");
        qk_str_add_double(out, rule->threshold);
        qk_str_add(out, " (");
        add_text(out, rule->basis);
        qk_str_add(out, ")\n");
        add_item(out, "Advice", rule->advice, add_text);
    }
}
