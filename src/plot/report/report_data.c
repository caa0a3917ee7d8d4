/* The page's data: see report_data.h. */
#include "report_data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_VALUES = 1 << 19 };

/* The arrays that the page shows; of these not those of the second list. A '*' also stands for '/'. */
static const char *const shown[] = {"/model/*",  "/drift/*/*",  "/probe/*/*",  "/routing/*/*",
                                    "/niah/*/*", "/eval/*/*/*", "/recommend/*"};
static const char *const hidden[] = {
    "*_state",           "/model/sequence",          "/model/probe_sum*", "/model/case",     "/model/problem",
    "/model/vocab",      "/model/distance",          "*_angle_method",    "/probe/*/sums/*", "/probe/*/nll",
    "/probe/*/logits",   "*/distance_profile",       "/niah/*/cases/*",   "/eval/*/*/id",    "/eval/*/*/expected",
    "/eval/*/*/answers", "/recommend/measured/plan",
};

static bool fits_any(const char *path, const char *const *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (qk_glob_match(patterns[i], path)) {
            return true;
        }
    }
    return false;
}

static bool is_shown(const struct qk_node *node)
{
    /* an answer per problem is for export, the rates over them are for people */
    bool of_problems = qk_str_starts(node->path, "/eval/") && node->n_dims > 0;
    return !node->is_group && !of_problems && node->n_dims <= 3 &&
           fits_any(node->path, shown, sizeof shown / sizeof shown[0]) &&
           !fits_any(node->path, hidden, sizeof hidden / sizeof hidden[0]);
}

static bool has_value(const struct qk_node *node)
{
    for (size_t i = 0; i < node->n_values; i++) {
        if (node->type != QK_TYPE_F64 || isfinite(node->v.f64[i])) {
            return true;
        }
    }
    return false;
}

bool qk_report_has(const struct qk_table *table, const char *pattern)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        const struct qk_node *node = table->nodes[i];
        if (is_shown(node) && node->n_values <= MOST_VALUES && qk_glob_match(pattern, node->path) && has_value(node)) {
            return true;
        }
    }
    return false;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* '<' occurs in JSON only inside strings. */
static void add_text(struct qk_str *out, const char *s)
{
    struct qk_str json = {0};
    qk_str_add_json(&json, s);
    out->failed = out->failed || json.failed;
    for (size_t i = 0; !json.failed && i < json.len; i++) {
        if (json.s[i] == '<') {
            qk_str_add(out, "\\u003c");
        } else {
            qk_str_addc(out, json.s[i]);
        }
    }
    qk_str_release(&json);
}

static void add_number(struct qk_str *out, double value)
{
    if (isfinite(value)) {
        qk_str_addf(out, "%.6g", value);
    } else {
        qk_str_add(out, "null");
    }
}

static void add_value(struct qk_str *out, const struct qk_node *node, size_t i)
{
    switch (node->type) {
    case QK_TYPE_F64:
        add_number(out, node->v.f64[i]);
        break;
    case QK_TYPE_I64:
        qk_str_addf(out, "%lld", (long long)node->v.i64[i]);
        break;
    case QK_TYPE_U8:
        qk_str_addf(out, "%u", node->v.u8[i]);
        break;
    case QK_TYPE_STR:
        add_text(out, node->v.str[i]);
        break;
    }
}

static void add_attr_value(struct qk_str *out, const struct qk_attr *attr, size_t i)
{
    switch (attr->type) {
    case QK_TYPE_F64:
        add_number(out, attr->v.f64[i]);
        break;
    case QK_TYPE_I64:
        qk_str_addf(out, "%lld", (long long)attr->v.i64[i]);
        break;
    default:
        add_text(out, attr->v.str[i]);
        break;
    }
}

static void add_member(struct qk_str *out, const char *name, bool *first)
{
    qk_str_add(out, *first ? "" : ",\n");
    *first = false;
    add_text(out, name);
    qk_str_addc(out, ':');
}

static void add_attr(struct qk_str *out, const struct qk_attr *attr, bool *first)
{
    add_member(out, attr->name, first);
    qk_str_add(out, attr->scalar ? "" : "[");
    for (size_t i = 0; i < attr->n; i++) {
        qk_str_add(out, i > 0 ? "," : "");
        add_attr_value(out, attr, i);
    }
    qk_str_add(out, attr->scalar ? "" : "]");
}

/* ---- nodes ------------------------------------------------------------------------------------------------------ */

static void add_group(struct qk_str *out, const struct qk_node *node)
{
    bool first = true;
    qk_str_addc(out, '{');
    for (size_t i = 0; i < node->n_attrs; i++) {
        if (node->attrs[i].n <= 256) { /* lists of the sequences and cases of a run can be long */
            add_attr(out, &node->attrs[i], &first);
        }
    }
    qk_str_addc(out, '}');
}

static void add_array(struct qk_str *out, const struct qk_node *node)
{
    static const char *const kept[] = {"title", "units", "definition", "flag_meanings"};
    bool first = true;
    qk_str_addc(out, '{');
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const struct qk_attr *attr = qk_node_attr(node, kept[i]);
        if (attr != NULL) {
            add_attr(out, attr, &first);
        }
    }
    add_member(out, "dims", &first);
    qk_str_addc(out, '[');
    for (size_t i = 0; i < node->n_dims; i++) {
        qk_str_add(out, i > 0 ? "," : "");
        add_text(out, node->dims[i]);
    }
    qk_str_add(out, "]");
    add_member(out, "shape", &first);
    qk_str_addc(out, '[');
    for (size_t i = 0; i < node->n_dims; i++) {
        qk_str_addf(out, "%s%zu", i > 0 ? "," : "", node->shape[i]);
    }
    qk_str_add(out, "]");
    add_member(out, "values", &first);
    qk_str_addc(out, '[');
    for (size_t i = 0; i < node->n_values; i++) {
        qk_str_add(out, i > 0 ? "," : "");
        add_value(out, node, i);
    }
    qk_str_add(out, "]}");
}

void qk_report_add_data(const struct qk_table *table, struct qk_str *out)
{
    bool first = true;
    qk_str_add(out, "{\"groups\":{");
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (table->nodes[i]->is_group) {
            add_member(out, table->nodes[i]->path, &first);
            add_group(out, table->nodes[i]);
        }
    }
    first = true;
    qk_str_add(out, "},\n\"arrays\":{");
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (is_shown(table->nodes[i]) && table->nodes[i]->n_values <= MOST_VALUES) {
            add_member(out, table->nodes[i]->path, &first);
            add_array(out, table->nodes[i]);
        }
    }
    first = true;
    qk_str_add(out, "},\n\"left_out\":[");
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (is_shown(table->nodes[i]) && table->nodes[i]->n_values > MOST_VALUES) {
            qk_str_add(out, first ? "" : ",");
            add_text(out, table->nodes[i]->path);
            first = false;
        }
    }
    qk_str_add(out, "]}");
}
