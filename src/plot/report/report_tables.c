/* Tables of layers, recall, reasoning, checkpoints and provenance: see report_parts.h. */
#include "report_parts.h"

#include <math.h>

#include "html_table.h"
#include "run_view.h"

static void add_sentence(struct qk_str *out, const char *text)
{
    qk_str_add(out, "<p class=\"absent\">");
    qk_str_add_html(out, text);
    qk_str_add(out, "</p>\n");
}

static const char *string_at(const struct qk_node *node, size_t i)
{
    return node != NULL && node->type == QK_TYPE_STR && i < node->n_values ? node->v.str[i] : "";
}

/* ---- layers ----------------------------------------------------------------------------------------------------- */

/* What is said of a layer for each checkpoint: the extreme over its heads. */
struct layer_column {
    const char *group, *metric, *heading;
};
static const struct layer_column layer_columns[] = {
    {"drift", "qk_rel_drift", "largest drift of the routing form"},
    {"drift", "q_rel_drift", "largest drift of W_Q"},
    {"drift", "k_rel_drift", "largest drift of W_K"},
    {"routing", "tail_loss", "largest share of far attention lost"},
    {"probe", "retrieval_mass", "most attention on the needle"},
};
enum { N_LAYER_COLUMNS = sizeof layer_columns / sizeof layer_columns[0] };

static double largest_of_layer(const struct qk_node *node, size_t layer)
{
    double most = NAN;
    if (node == NULL || node->n_dims != 2 || node->type != QK_TYPE_F64 || layer >= node->shape[0]) {
        return NAN;
    }
    for (size_t h = 0; h < node->shape[1]; h++) {
        most = fmax(most, node->v.f64[layer * node->shape[1] + h]);
    }
    return most;
}

static void add_layer_rows(const struct qk_table *table, const char *name, struct qk_str *out)
{
    const struct qk_node *layers = qk_table_find(table, "/model/layer");
    const struct qk_node *kind = qk_table_find(table, "/model/layer_kind");
    const struct qk_node *position = qk_table_find(table, "/model/position");
    const struct qk_node *heads = qk_table_find(table, "/model/n_heads");
    for (size_t l = 0; layers != NULL && l < layers->n_values; l++) {
        qk_html_row_begin(out);
        qk_html_cell_text(out, name);
        qk_html_cell_number(out, qk_report_value(layers, l));
        qk_html_cell_text(out, string_at(kind, l));
        qk_html_cell_text(out, string_at(position, l));
        qk_html_cell_number(out, qk_report_value(heads, l));
        for (size_t c = 0; c < N_LAYER_COLUMNS; c++) {
            const struct layer_column *column = &layer_columns[c];
            qk_html_cell_number(out, largest_of_layer(qk_report_find(table, column->group, name, column->metric), l));
        }
        qk_html_row_end(out);
    }
}

void qk_report_layers(const struct qk_report_page *page, struct qk_str *out)
{
    const char *headings[6 + N_LAYER_COLUMNS] = {"checkpoint", "layer", "kind", "position", "heads"};
    const char *name;
    for (size_t c = 0; c < N_LAYER_COLUMNS; c++) {
        headings[5 + c] = layer_columns[c].heading;
    }
    qk_html_table_begin(out, "layers", "Layers, with the extreme over their heads", headings);
    for (size_t at = 0; (name = qk_run_view_next(page->table, "checkpoints", &at)) != NULL;) {
        bool measured = false;
        for (size_t c = 0; c < N_LAYER_COLUMNS; c++) {
            measured = measured || qk_report_find(page->table, layer_columns[c].group, name, layer_columns[c].metric);
        }
        if (measured) {
            add_layer_rows(page->table, name, out);
        }
    }
    qk_html_table_end(out);
}

/* ---- recall ----------------------------------------------------------------------------------------------------- */

static bool is_grid(const struct qk_node *score, const struct qk_node *n)
{
    return score != NULL && n != NULL && score->type == QK_TYPE_F64 && score->n_dims == 3 && n->n_dims == 3 &&
           n->type == QK_TYPE_I64 && n->n_values == score->n_values;
}

static void add_recall_row(const struct qk_report_page *page, const char *name, const struct qk_node *score,
                           const struct qk_node *n, size_t task, size_t length, struct qk_str *out)
{
    size_t depths = score->shape[2], first = (task * score->shape[1] + length) * depths;
    double hits = 0, cases = 0;
    for (size_t d = 0; d < depths; d++) {
        double count = qk_report_value(n, first + d);
        cases += count;
        hits += count > 0 ? count * score->v.f64[first + d] : 0;
    }
    if (!(cases > 0)) {
        return;
    }
    qk_html_row_begin(out);
    qk_html_cell_text(out, name);
    qk_html_cell_text(out, string_at(qk_table_find(page->table, score->dims[0]), task));
    qk_html_cell_number(out, qk_report_value(qk_table_find(page->table, score->dims[1]), length));
    qk_html_cell_number(out, cases);
    qk_html_cell_share(out, hits / cases);
    qk_html_row_end(out);
}

void qk_report_recall(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const headings[] = {"checkpoint", "task", "length", "cases", "recall", NULL};
    const char *name;
    bool any = false;
    for (size_t at = 0; (name = qk_run_view_next(page->table, "niah", &at)) != NULL;) {
        const struct qk_node *score = qk_report_find(page->table, "niah", name, "score");
        const struct qk_node *n = qk_report_find(page->table, "niah", name, "n");
        if (!is_grid(score, n)) {
            continue;
        }
        if (!any) {
            qk_str_add(out, "<div id=\"recall-figure\"></div>\n");
            qk_html_table_begin(out, "recall-table", "Recall over all depths", headings);
            any = true;
        }
        for (size_t i = 0; i < score->shape[0] * score->shape[1]; i++) {
            add_recall_row(page, name, score, n, i / score->shape[1], i % score->shape[1], out);
        }
    }
    if (any) {
        qk_html_table_end(out);
    } else {
        add_sentence(out, "Recall was not measured in this run (qkscope niah BASE TUNED -o RUN.h5 does it).");
    }
}

/* ---- reasoning -------------------------------------------------------------------------------------------------- */

static bool is_accuracy(const struct qk_node *node)
{
    return !node->is_group && node->n_dims == 0 && node->type == QK_TYPE_F64 &&
           qk_glob_match("/eval/*/*/accuracy", node->path);
}

/* path: /eval/NAME/SET/accuracy */
static void add_reasoning_row(const struct qk_table *table, const struct qk_node *node, struct qk_str *out)
{
    static const char *const leaves[] = {"accuracy_lo", "accuracy_hi", "n"};
    struct qk_str name = {0}, set = {0}, path = {0};
    const char *part = node->path + sizeof "/eval/" - 1;
    for (; *part != '/'; part++) {
        qk_str_addc(&name, *part);
    }
    for (part++; *part != '/'; part++) {
        qk_str_addc(&set, *part);
    }
    out->failed = out->failed || name.failed || set.failed;
    if (!out->failed) {
        qk_html_row_begin(out);
        qk_html_cell_text(out, name.len > 0 ? name.s : "");
        qk_html_cell_text(out, set.len > 0 ? set.s : "");
        qk_html_cell_share(out, qk_report_value(node, 0));
    }
    for (size_t i = 0; !out->failed && i < 3; i++) {
        qk_str_clear(&path);
        qk_str_addf(&path, "/eval/%s/%s/%s", name.s, set.s, leaves[i]);
        double value = path.failed ? NAN : qk_report_value(qk_table_find(table, path.s), 0);
        (i < 2 ? qk_html_cell_share : qk_html_cell_number)(out, value);
    }
    qk_html_row_end(out);
    qk_str_release(&name);
    qk_str_release(&set);
    qk_str_release(&path);
}

void qk_report_reasoning(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const headings[] = {"checkpoint", "set", "right answers", "lower end", "upper end",
                                           "problems",   NULL};
    bool any = false;
    for (size_t i = 0; i < page->table->n_nodes; i++) {
        if (is_accuracy(page->table->nodes[i])) {
            if (!any) {
                qk_html_table_begin(out, "reasoning-table", "Reasoning, with Wilson's 95 % interval", headings);
                any = true;
            }
            add_reasoning_row(page->table, page->table->nodes[i], out);
        }
    }
    if (any) {
        qk_html_table_end(out);
    } else {
        add_sentence(out, "Answers to problems were not measured in this run (qkscope eval does it).");
    }
}

/* ---- where it comes from ---------------------------------------------------------------------------------------- */

void qk_report_checkpoints(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const headings[] = {
        "checkpoint", "role", "dtype", "size", "path", "SHA-256 of the header", "SHA-256 of config.json", NULL};
    const char *name;
    qk_html_table_begin(out, "checkpoints-table", "Checkpoints", headings);
    for (size_t at = 0; (name = qk_run_view_next(page->table, "checkpoints", &at)) != NULL;) {
        const struct qk_node *node = qk_report_find(page->table, "checkpoints", name, NULL);
        const struct qk_attr *bytes = node != NULL ? qk_node_attr(node, "total_bytes") : NULL;
        qk_html_row_begin(out);
        qk_html_cell_text(out, name);
        qk_html_cell_text(out, qk_report_text(node, "role"));
        qk_html_cell_text(out, qk_report_text(node, "dtype"));
        qk_html_cell_bytes(out,
                           bytes != NULL && bytes->type == QK_TYPE_I64 && bytes->n > 0 ? (double)bytes->v.i64[0] : NAN);
        qk_html_cell_code(out, qk_report_text(node, "path"));
        qk_html_cell_code(out, qk_report_text(node, "header_sha256"));
        qk_html_cell_code(out, qk_report_text(node, "config_sha256"));
        qk_html_row_end(out);
    }
    qk_html_table_end(out);
}

static void add_attr_row(struct qk_str *out, const struct qk_node *node, const struct qk_attr *attr)
{
    struct qk_str value = {0};
    if (attr->type == QK_TYPE_F64) {
        qk_str_add_double(&value, attr->v.f64[0]);
    } else if (attr->type == QK_TYPE_I64) {
        qk_str_addf(&value, "%lld", (long long)attr->v.i64[0]);
    } else {
        qk_str_add(&value, attr->v.str[0]);
    }
    out->failed = out->failed || value.failed;
    qk_html_row_begin(out);
    qk_html_cell_code(out, node->path);
    qk_html_cell_text(out, attr->name);
    qk_html_cell_code(out, value.s != NULL ? value.s : "");
    qk_html_row_end(out);
    qk_str_release(&value);
}

/* The run itself, and how each measurement was made: all attributes that are one value. */
void qk_report_provenance(const struct qk_report_page *page, struct qk_str *out)
{
    static const char *const headings[] = {"part of the run", "what", "value", NULL};
    qk_html_table_begin(out, "provenance-table", "How it was measured", headings);
    for (size_t i = 0; i < page->table->n_nodes; i++) {
        const struct qk_node *node = page->table->nodes[i];
        if (!node->is_group || qk_str_starts(node->path, "/checkpoints")) {
            continue;
        }
        for (size_t a = 0; a < node->n_attrs; a++) {
            const struct qk_attr *attr = &node->attrs[a];
            if (attr->scalar && attr->n == 1 && !qk_streq(attr->name, "history") && !qk_streq(attr->name, "verdict")) {
                add_attr_row(out, node, attr);
            }
        }
    }
    qk_html_table_end(out);
}
