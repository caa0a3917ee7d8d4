/* The short answer of a drift run: where the weights moved, how, and which heads most. */
#include "drift_answer.h"

#include <math.h>
#include <stdbool.h>

#include "analyses/drift.h"

/* A column of the table by kind of layer. */
struct column {
    enum qk_summary_column what;
    const char *key; /* in JSON */
    double factor;   /* what the text multiplies by */
};

static const double degrees = 180.0 / 3.14159265358979323846;

static const struct column columns[QK_N_SUMMARY_COLUMNS] = {
    {QK_SUMMARY_Q, "q", 1.0},
    {QK_SUMMARY_K, "k", 1.0},
    {QK_SUMMARY_QK, "qk", 1.0},
    {QK_SUMMARY_Q_ANGLE, "q_largest_angle", degrees},
    {QK_SUMMARY_K_ANGLE, "k_largest_angle", degrees},
    {QK_SUMMARY_Q_ALIGNABLE, "q_alignable", 1.0},
    {QK_SUMMARY_K_ALIGNABLE, "k_alignable", 1.0},
    {QK_SUMMARY_FLOOR, "q_noise_floor", 1.0},
};

static void add_cell(struct qk_str *out, double value)
{
    if (isfinite(value)) {
        qk_str_addf(out, " %8.3g", value);
    } else {
        qk_str_add(out, "        -");
    }
}

static void add_kinds(struct qk_str *out, const struct qk_drift_summary *s)
{
    qk_str_add(out, "                    relative drift              largest angle      share that a      rounding\n"
                    "                                                  (degrees)     rotation explains      floor\n"
                    "  kind     layers        q        k       qk        q        k        q        k        q\n");
    for (size_t kind = 0; kind < QK_N_LAYER_KINDS; kind++) {
        if (s->n_layers[kind] == 0 || kind == QK_LAYER_NONE) {
            continue;
        }
        qk_str_addf(out, "  %-8s %6zu", qk_layer_kind_name((enum qk_layer_kind)kind), s->n_layers[kind]);
        for (size_t i = 0; i < QK_N_SUMMARY_COLUMNS; i++) {
            add_cell(out, columns[i].factor * s->median[kind][columns[i].what]);
        }
        qk_str_addc(out, '\n');
    }
}

/* Modules that moved with their drift, or those that did not: "q 0.2, k 0.1". */
static size_t list_modules(struct qk_str *out, const struct qk_drift_summary *s, bool moved)
{
    size_t n = 0;
    for (size_t m = 0; m < s->n_modules; m++) {
        if (!isfinite(s->modules[m]) || (s->modules[m] > 0) != moved) {
            continue;
        }
        qk_str_addf(out, "%s%s", n++ == 0 ? " " : ", ", qk_module_name(m));
        if (moved) {
            qk_str_addf(out, " %.3g", s->modules[m]);
        }
    }
    return n;
}

static void add_modules(struct qk_str *out, const struct qk_drift_summary *s)
{
    struct qk_str moved = {0}, still = {0};
    size_t n_moved = list_modules(&moved, s, true), n_still = list_modules(&still, s, false);
    out->failed = out->failed || moved.failed || still.failed;
    if (n_moved > 0 && !out->failed) {
        qk_str_addf(out, "  modules that moved (median over layers):%s\n", moved.s);
    }
    if (n_still > 0 && !out->failed) {
        qk_str_addf(out, "  modules unchanged:%s\n", still.s);
    }
    qk_str_release(&moved);
    qk_str_release(&still);
}

void qk_drift_answer_text(struct qk_str *out, const char *base, const char *tuned, const struct qk_drift_summary *s)
{
    qk_str_addf(out, "%s against %s, medians over heads\n", tuned, base);
    add_kinds(out, s);
    if (s->n_top_layers > 0) {
        qk_str_addf(out, "  most drifted by %s:\n    layers", s->ranked_by);
    }
    for (size_t t = 0; t < s->n_top_layers; t++) {
        qk_str_addf(out, "%s %zu (%.3g)", t == 0 ? "" : ",", s->top_layers[t].layer, s->top_layers[t].value);
    }
    qk_str_add(out, s->n_top_heads > 0 ? "\n    heads " : "");
    for (size_t t = 0; t < s->n_top_heads; t++) {
        qk_str_addf(out, "%s %zu.%zu (%.3g)", t == 0 ? "" : ",", s->top_heads[t].layer, s->top_heads[t].head,
                    s->top_heads[t].value);
    }
    qk_str_add(out, s->n_top_heads > 0 ? "  (layer.head)\n" : "");
    add_modules(out, s);
    if (s->n_identical + s->n_at_floor + s->n_undefined > 0) {
        qk_str_addf(out, "  of %zu heads of W_Q and W_K: %zu identical, %zu at the rounding floor, %zu undefined\n",
                    s->n_heads + s->n_undefined, s->n_identical, s->n_at_floor, s->n_undefined);
    }
}

static void add_places(struct qk_str *out, const char *key, const struct qk_summary_place *places, size_t n, bool heads)
{
    qk_str_addf(out, ", \"%s\": [", key);
    for (size_t t = 0; t < n; t++) {
        qk_str_addf(out, "%s{\"layer\": %zu", t == 0 ? "" : ", ", places[t].layer);
        if (heads) {
            qk_str_addf(out, ", \"head\": %zu", places[t].head);
        }
        qk_str_add(out, ", \"rel_drift\": ");
        qk_str_add_json_double(out, places[t].value);
        qk_str_addc(out, '}');
    }
    qk_str_addc(out, ']');
}

void qk_drift_answer_json(struct qk_str *out, const char *tuned, const struct qk_drift_summary *s)
{
    qk_str_add(out, "{\"name\": ");
    qk_str_add_json(out, tuned);
    qk_str_add(out, ", \"median\": {");
    for (size_t kind = 0, shown = 0; kind < QK_N_LAYER_KINDS; kind++) {
        if (s->n_layers[kind] == 0) {
            continue;
        }
        qk_str_addf(out, "%s\"%s\": {\"layers\": %zu", shown++ == 0 ? "" : ", ",
                    qk_layer_kind_name((enum qk_layer_kind)kind), s->n_layers[kind]);
        for (size_t i = 0; i < QK_N_SUMMARY_COLUMNS; i++) {
            qk_str_addf(out, ", \"%s\": ", columns[i].key);
            qk_str_add_json_double(out, s->median[kind][columns[i].what]);
        }
        qk_str_addc(out, '}');
    }
    qk_str_add(out, "}, \"ranked_by\": ");
    qk_str_add_json(out, s->ranked_by == NULL ? "" : s->ranked_by);
    add_places(out, "top_layers", s->top_layers, s->n_top_layers, false);
    add_places(out, "top_heads", s->top_heads, s->n_top_heads, true);
    qk_str_add(out, ", \"modules\": {");
    for (size_t m = 0, shown = 0; m < s->n_modules; m++) {
        if (isfinite(s->modules[m])) {
            qk_str_addf(out, "%s\"%s\": ", shown++ == 0 ? "" : ", ", qk_module_name(m));
            qk_str_add_json_double(out, s->modules[m]);
        }
    }
    qk_str_addf(out,
                "}, \"heads\": {\"all\": %zu, \"identical\": %zu, \"at_rounding_floor\": %zu, \"undefined\": %zu}}",
                s->n_heads + s->n_undefined, s->n_identical, s->n_at_floor, s->n_undefined);
}
