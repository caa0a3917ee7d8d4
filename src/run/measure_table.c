/* What was measured as a table and as JSON: see run/measure.h. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "drift_table.h"
#include "provenance.h"
#include "run/measure.h"

static const char group_path[] = "/recommend/measured";
static const char variant_axis[] = "/recommend/measured/variant";
static const char length_axis[] = "/recommend/measured/length";

/* As the verdict on a pair reads them: advise/diagnosis.h. */
static const char *const cause_names[QK_N_CAUSES] = {[QK_CAUSE_NOTHING_LOST] = "nothing_lost",
                                                     [QK_CAUSE_QK] = "qk",
                                                     [QK_CAUSE_PARTLY] = "partly_qk",
                                                     [QK_CAUSE_NOT_QK] = "not_qk"};

/* ---- table ------------------------------------------------------------------------------------------------------ */

/* One number of a rate, over the variants. */
struct column {
    const char *name, *title, *units, *definition;
    bool reasoning;
    size_t offset; /* of the double in struct qk_measured_rate */
};

#define RATE(field) offsetof(struct qk_measured_rate, field)

static const struct column columns[] = {
    {"recall", "Recall", "1", "share of the cases whose answer is said exactly, greedily", false, RATE(rate)},
    {"recall_lo", "Recall, lower end", "1", "Wilson 95 % interval of recall", false, RATE(lo)},
    {"recall_hi", "Recall, upper end", "1", "Wilson 95 % interval of recall", false, RATE(hi)},
    {"recall_logprob", "Log-probability of the answer", "nats", "mean over the cases of ln p(answer | prompt)", false,
     RATE(logprob)},
    {"reasoning", "Reasoning", "1", "share of the problems whose answer is said exactly, greedily", true, RATE(rate)},
    {"reasoning_lo", "Reasoning, lower end", "1", "Wilson 95 % interval of reasoning", true, RATE(lo)},
    {"reasoning_hi", "Reasoning, upper end", "1", "Wilson 95 % interval of reasoning", true, RATE(hi)},
    {"reasoning_logprob", "Log-probability of the solution", "nats", "mean over the problems of ln p(answer | prompt)",
     true, RATE(logprob)},
};

static const struct column length_columns[] = {
    {"recall_by_length", "Recall by length", "1", "recall over the cases of a length", false, RATE(rate)},
    {"recall_by_length_lo", "Recall by length, lower end", "1", "Wilson 95 % interval", false, RATE(lo)},
    {"recall_by_length_hi", "Recall by length, upper end", "1", "Wilson 95 % interval", false, RATE(hi)},
};

static double member(const struct qk_measured_rate *rate, size_t offset)
{
    return *(const double *)(const void *)((const char *)rate + offset);
}

static enum qk_code new_array(struct qk_table *table, const char *name, enum qk_type type, bool by_length,
                              struct qk_node **ret, struct qk_err *err)
{
    const char *const dims[] = {variant_axis, length_axis};
    char *path = qk_arena_printf(table->arena, "%s/%s", group_path, name);
    return path == NULL ? qk_fail_nomem(err, "result table")
                        : qk_table_array(table, path, type, by_length ? 2 : 1, dims, ret, err);
}

static enum qk_code put_text(struct qk_table *table, const char **at, const char *text, struct qk_err *err)
{
    *at = qk_arena_strdup(table->arena, text);
    return *at == NULL ? qk_fail_nomem(err, "result table") : QK_OK;
}

static const struct qk_case_list *list_of(const struct qk_measurement *m, size_t variant)
{
    return m->variants[variant].stage == QK_STAGE_HELD_OUT ? m->held_out : m->calibration;
}

/* Lengths of both lists, each once. */
static size_t all_lengths(const struct qk_measurement *m, size_t *lengths)
{
    const struct qk_case_list *lists[] = {m->calibration, m->held_out};
    size_t n = 0;
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->n_lengths; i++) {
            size_t at = 0;
            while (at < n && lengths[at] < lists[l]->lengths[i]) {
                at++;
            }
            if (at == n || lengths[at] != lists[l]->lengths[i]) {
                memmove(lengths + at + 1, lengths + at, (n - at) * sizeof *lengths);
                lengths[at] = lists[l]->lengths[i];
                n++;
            }
        }
    }
    return n;
}

static enum qk_code add_axes(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node;
    size_t *lengths = qk_arena_alloc(table->arena, m->calibration->n_lengths + m->held_out->n_lengths, sizeof *lengths);
    if (lengths == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_scale(table, variant_axis, QK_TYPE_STR, m->n, &node, err));
    for (size_t i = 0; i < m->n; i++) {
        QK_TRY(put_text(table, &node->v.str[i], m->variants[i].label, err));
    }
    QK_TRY(qk_result_describe(table, node, "Variant", "1", "what of the tuned checkpoint is put back", err));
    size_t n = all_lengths(m, lengths);
    QK_TRY(qk_table_scale(table, length_axis, QK_TYPE_I64, n, &node, err));
    for (size_t i = 0; i < n; i++) {
        node->v.i64[i] = (int64_t)lengths[i];
    }
    return qk_result_describe(table, node, "Context length", "tokens", "nominal length of the document", err);
}

static enum qk_code add_rates(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node;
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        QK_TRY(new_array(table, columns[c].name, QK_TYPE_F64, false, &node, err));
        for (size_t i = 0; i < m->n; i++) {
            const struct qk_outcome *o = m->variants[i].outcome;
            struct qk_measured_rate rate = columns[c].reasoning ? qk_measured_reasoning(o) : qk_measured_recall(o);
            node->v.f64[i] = member(&rate, columns[c].offset);
        }
        QK_TRY(qk_result_describe(table, node, columns[c].title, columns[c].units, columns[c].definition, err));
    }
    return QK_OK;
}

static void put_lengths(const struct qk_measurement *m, const struct qk_node *axis, const struct column *c,
                        struct qk_node *node)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct qk_case_list *list = list_of(m, i);
        for (size_t k = 0; k < list->n_lengths; k++) {
            struct qk_measured_rate rate = qk_measured_at(m->variants[i].outcome, list, k);
            for (size_t at = 0; at < axis->n_values; at++) {
                if ((uint64_t)axis->v.i64[at] == list->lengths[k]) {
                    node->v.f64[i * axis->n_values + at] = member(&rate, c->offset);
                }
            }
        }
    }
}

static enum qk_code add_lengths(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    const struct qk_node *axis = qk_table_find(table, length_axis);
    struct qk_node *node;
    for (size_t c = 0; c < sizeof length_columns / sizeof length_columns[0]; c++) {
        const struct column *column = &length_columns[c];
        QK_TRY(new_array(table, column->name, QK_TYPE_F64, true, &node, err));
        put_lengths(m, axis, column, node);
        QK_TRY(qk_result_describe(table, node, column->title, column->units, column->definition, err));
    }
    return QK_OK;
}

static enum qk_code add_counts(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *recall, *reasoning;
    QK_TRY(new_array(table, "recall_n", QK_TYPE_I64, false, &recall, err));
    QK_TRY(qk_result_describe(table, recall, "Recall cases", "1", "number of cases", err));
    QK_TRY(new_array(table, "reasoning_n", QK_TYPE_I64, false, &reasoning, err));
    QK_TRY(qk_result_describe(table, reasoning, "Reasoning problems", "1", "number of problems", err));
    for (size_t i = 0; i < m->n; i++) {
        recall->v.i64[i] = (int64_t)m->variants[i].outcome->n_recall;
        reasoning->v.i64[i] = (int64_t)m->variants[i].outcome->n_reasoning;
    }
    return QK_OK;
}

static enum qk_code add_flags(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    static const int64_t values[] = {0, 1, 2};
    struct qk_node *chosen, *stage, *plan;
    QK_TRY(new_array(table, "chosen", QK_TYPE_U8, false, &chosen, err));
    QK_TRY(qk_result_describe(table, chosen, "Chosen", "1", "1: the plan", err));
    QK_TRY(new_array(table, "stage", QK_TYPE_U8, false, &stage, err));
    QK_TRY(qk_result_describe(table, stage, "Stage", "1",
                              "control and search: on the calibration cases; held_out: on cases not used to choose",
                              err));
    QK_TRY(qk_node_attr_i64s(table, stage, "flag_values", values, QK_N_MEASURE_STAGES, err));
    QK_TRY(qk_node_attr_str(table, stage, "flag_meanings", "control search held_out", err));
    QK_TRY(new_array(table, "plan", QK_TYPE_STR, false, &plan, err));
    QK_TRY(
        qk_result_describe(table, plan, "Plan of the variant", "1", "as restore --plan reads it; empty: no plan", err));
    for (size_t i = 0; i < m->n; i++) {
        chosen->v.u8[i] = m->variants[i].chosen ? 1 : 0;
        stage->v.u8[i] = (uint8_t)m->variants[i].stage;
        QK_TRY(put_text(table, &plan->v.str[i], m->variants[i].plan, err));
    }
    return QK_OK;
}

enum qk_code qk_measurement_prepare(struct qk_table *table, const struct qk_run_input *base,
                                    const struct qk_run_input *tuned, const char *command, struct qk_err *err)
{
    char sample[65];
    QK_TRY(qk_provenance_program(table, "Measured recommendation", &command, 1, err));
    QK_TRY(qk_result_model(table, base->model, err));
    QK_TRY(qk_provenance_checkpoint(table, base, "base", sample, err));
    return qk_provenance_checkpoint(table, tuned, "tuned", sample, err);
}

enum qk_code qk_measurement_add(const struct qk_measurement *m, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *group;
    QK_TRY(qk_table_group(table, group_path, &group, err));
    QK_TRY(qk_node_attr_str(table, group, "calibration_sha256", m->calibration->sha256, err));
    QK_TRY(qk_node_attr_str(table, group, "held_out_sha256", m->held_out->sha256, err));
    QK_TRY(qk_node_attr_str(table, group, "cause", cause_names[m->verdict.cause], err));
    QK_TRY(qk_node_attr_str(table, group, "verdict", m->verdict.text, err));
    QK_TRY(qk_node_attr_str(table, group, "search", qk_search_end_text(m->search.end), err));
    QK_TRY(add_axes(m, table, err));
    QK_TRY(add_rates(m, table, err));
    QK_TRY(add_counts(m, table, err));
    QK_TRY(add_flags(m, table, err));
    return add_lengths(m, table, err);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

struct entry {
    const char *key;
    const struct qk_outcome *outcome;
};

static void add_number(struct qk_str *out, const char *key, double value)
{
    qk_str_addf(out, ", \"%s\": ", key);
    qk_str_add_json_double(out, value);
}

static void add_rate_json(struct qk_str *out, const struct entry *entries, size_t n,
                          struct qk_measured_rate (*rate)(const struct qk_outcome *))
{
    qk_str_addf(out, "{\"n\": %zu", rate(entries[0].outcome).n);
    for (size_t i = 0; i < n; i++) {
        add_number(out, entries[i].key, rate(entries[i].outcome).rate);
    }
    qk_str_add(out, ", \"intervals\": {");
    for (size_t i = 0; i < n; i++) {
        struct qk_measured_rate r = rate(entries[i].outcome);
        qk_str_addf(out, "%s\"%s\": [", i > 0 ? ", " : "", entries[i].key);
        qk_str_add_json_double(out, r.lo);
        qk_str_add(out, ", ");
        qk_str_add_json_double(out, r.hi);
        qk_str_addc(out, ']');
    }
    qk_str_addc(out, '}');
}

static void add_lengths_json(struct qk_str *out, const struct qk_measurement *m, const struct entry *entries, size_t n)
{
    qk_str_add(out, ", \"lengths\": [");
    for (size_t l = 0; l < m->held_out->n_lengths; l++) {
        qk_str_addf(out, "%s%zu", l > 0 ? ", " : "", m->held_out->lengths[l]);
    }
    qk_str_add(out, "], \"by_length\": {");
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(out, "%s\"%s\": [", i > 0 ? ", " : "", entries[i].key);
        for (size_t l = 0; l < m->held_out->n_lengths; l++) {
            qk_str_add(out, l > 0 ? ", " : "");
            qk_str_add_json_double(out, qk_measured_at(entries[i].outcome, m->held_out, l).rate);
        }
        qk_str_addc(out, ']');
    }
    qk_str_addc(out, '}');
}

static void add_cause_json(struct qk_str *out, const struct qk_verdict *v)
{
    const struct {
        const char *key;
        const struct qk_cause_share *share;
    } shares[] = {{"softmax_qk", &v->softmax_qk}, {"all_qk", &v->all_qk}, {"all_but_qk", &v->all_but_qk}};
    qk_str_addf(out, "{\"cause\": \"%s\"", cause_names[v->cause]);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        add_number(out, shares[i].key, v->cause == QK_CAUSE_NOTHING_LOST ? NAN : shares[i].share->share);
    }
    qk_str_add(out, ", \"text\": ");
    qk_str_add_json(out, v->text);
    qk_str_addc(out, '}');
}

void qk_measurement_json(const struct qk_measurement *m, struct qk_str *out)
{
    const struct entry entries[] = {{"tuned", m->variants[m->held.tuned].outcome},
                                    {"plan", m->variants[m->held.plan].outcome},
                                    {"base", m->variants[m->held.base].outcome},
                                    {"softmax_restored", m->variants[m->held.rule].outcome}};
    const size_t n = sizeof entries / sizeof entries[0];
    qk_str_add(out, "{\"recall\": ");
    add_rate_json(out, entries, n, qk_measured_recall);
    add_lengths_json(out, m, entries, n);
    qk_str_add(out, "}, \"reasoning\": ");
    if (m->held_out->n_reasoning > 0) {
        add_rate_json(out, entries, n, qk_measured_reasoning);
        qk_str_addc(out, '}');
    } else {
        qk_str_add(out, "null");
    }
    qk_str_add(out, ", \"verdict\": ");
    add_cause_json(out, &m->verdict);
    qk_str_addf(out, ", \"variants\": %zu, \"calibration_sha256\": \"%s\", \"held_out_sha256\": \"%s\"}",
                m->search.n_measured, m->calibration->sha256, m->held_out->sha256);
}
