/* Tidy exports of a result table: TSV and JSON in long form, a list of datasets, one matrix. */
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "export_selection.h"

static const char *const type_names[] = {
    [QK_TYPE_F64] = "float64", [QK_TYPE_I64] = "int64", [QK_TYPE_U8] = "uint8", [QK_TYPE_STR] = "string"};

static const char *leaf_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

static enum qk_code finished(const struct qk_str *out, struct qk_err *err)
{
    return out->failed ? qk_fail_nomem(err, "export") : QK_OK;
}

/* ---- TSV ---- */

/* Text as a field: in double quotes, inner ones doubled, when a reader would otherwise split it. */
static void add_field(struct qk_str *out, const char *text)
{
    if (strpbrk(text, "\t\n\r\"") == NULL) {
        qk_str_add(out, text);
        return;
    }
    qk_str_addc(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') {
            qk_str_addc(out, '"');
        }
        qk_str_addc(out, *c);
    }
    qk_str_addc(out, '"');
}

/* Value i of a scale or array. */
static void add_tsv_value(struct qk_str *out, const struct qk_node *node, size_t i)
{
    if (node->type == QK_TYPE_F64) {
        qk_str_add_double(out, node->v.f64[i]);
    } else if (node->type == QK_TYPE_I64) {
        qk_str_addf(out, "%" PRId64, node->v.i64[i]);
    } else if (node->type == QK_TYPE_U8) {
        qk_str_addf(out, "%u", (unsigned)node->v.u8[i]);
    } else {
        add_field(out, node->v.str[i]);
    }
}

static void add_tsv_header(struct qk_str *out, const struct qk_export_selection *s)
{
    qk_str_add(out, "dataset\tcheckpoint\tmetric");
    for (size_t i = 0; i < s->n_columns; i++) {
        qk_str_addc(out, '\t');
        add_field(out, s->columns[i]);
    }
    qk_str_add(out, s->has_text ? "\tvalue\ttext\tstate\n" : "\tvalue\tstate\n");
}

static void add_tsv_line(struct qk_str *out, const struct qk_export_selection *s, const struct qk_export_array *array,
                         const size_t *index, size_t i)
{
    const struct qk_node *node = array->node;
    add_field(out, node->path);
    qk_str_addc(out, '\t');
    qk_str_addn(out, array->entry == NULL ? "" : array->entry, array->entry_len);
    qk_str_addc(out, '\t');
    add_field(out, leaf_name(node->path));
    for (size_t c = 0; c < s->n_columns; c++) {
        qk_str_addc(out, '\t');
        for (size_t axis = 0; axis < node->n_dims; axis++) {
            if (array->columns[axis] == c) {
                add_tsv_value(out, array->scales[axis], index[axis]);
            }
        }
    }
    qk_str_addc(out, '\t');
    if (node->type != QK_TYPE_STR) {
        add_tsv_value(out, node, i);
    }
    if (s->has_text) {
        size_t len = 0;
        const char *meaning = qk_export_meaning(node, i, &len);
        qk_str_addc(out, '\t');
        if (node->type == QK_TYPE_STR) {
            add_tsv_value(out, node, i);
        } else if (meaning != NULL) {
            qk_str_addn(out, meaning, len);
        }
    }
    const char *state = qk_export_state(array, index);
    qk_str_addf(out, "\t%s\n", state == NULL ? "" : state);
}

enum qk_code qk_export_tsv(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                           struct qk_err *err)
{
    struct qk_export_selection s;
    QK_TRY(qk_export_select(table, glob, &s, err));
    add_tsv_header(out, &s);
    for (size_t a = 0; a < s.n_arrays; a++) {
        for (size_t i = 0; i < s.arrays[a].node->n_values && !out->failed; i++) {
            size_t index[QK_TABLE_MAX_DIMS] = {0};
            if (qk_export_cell(&s.arrays[a], i, index) || missing) {
                add_tsv_line(out, &s, &s.arrays[a], index, i);
            }
        }
    }
    qk_export_selection_release(&s);
    return finished(out, err);
}

/* ---- JSON ---- */

static void add_json_value(struct qk_str *out, const struct qk_node *node, size_t i)
{
    if (node->type == QK_TYPE_F64) {
        qk_str_add_json_double(out, node->v.f64[i]);
    } else if (node->type == QK_TYPE_STR) {
        qk_str_add_json(out, node->v.str[i]);
    } else {
        add_tsv_value(out, node, i);
    }
}

static void add_json_object(struct qk_str *out, const struct qk_export_selection *s,
                            const struct qk_export_array *array, const char *entry, const size_t *index, size_t i)
{
    qk_str_add(out, "{\"dataset\": ");
    qk_str_add_json(out, array->node->path);
    if (entry != NULL) {
        qk_str_add(out, ", \"checkpoint\": ");
        qk_str_add_json(out, entry);
    }
    qk_str_add(out, ", \"metric\": ");
    qk_str_add_json(out, leaf_name(array->node->path));
    for (size_t axis = 0; axis < array->node->n_dims; axis++) {
        qk_str_add(out, ", ");
        qk_str_add_json(out, s->columns[array->columns[axis]]);
        qk_str_add(out, ": ");
        add_json_value(out, array->scales[axis], index[axis]);
    }
    qk_str_add(out, ", \"value\": ");
    add_json_value(out, array->node, i);
    size_t len = 0;
    const char *meaning = qk_export_meaning(array->node, i, &len);
    if (meaning != NULL) {
        struct qk_str word = {0};
        qk_str_addn(&word, meaning, len);
        qk_str_add(out, ", \"text\": ");
        qk_str_add_json(out, word.failed ? "" : word.s);
        out->failed = out->failed || word.failed;
        qk_str_release(&word);
    }
    const char *state = qk_export_state(array, index);
    if (state != NULL) {
        qk_str_add(out, ", \"state\": ");
        qk_str_add_json(out, state);
    }
    qk_str_addc(out, '}');
}

enum qk_code qk_export_json(const struct qk_table *table, const char *glob, bool missing, struct qk_str *out,
                            struct qk_err *err)
{
    struct qk_export_selection s;
    QK_TRY(qk_export_select(table, glob, &s, err));
    const char *separator = "[\n";
    for (size_t a = 0; a < s.n_arrays && !out->failed; a++) {
        const struct qk_export_array *array = &s.arrays[a];
        const char *entry = array->entry == NULL ? NULL : qk_arena_strndup(s.arena, array->entry, array->entry_len);
        out->failed = out->failed || (entry == NULL && array->entry != NULL);
        for (size_t i = 0; i < array->node->n_values && !out->failed; i++) {
            size_t index[QK_TABLE_MAX_DIMS] = {0};
            if (qk_export_cell(array, i, index) || missing) {
                qk_str_add(out, separator);
                add_json_object(out, &s, array, entry, index, i);
                separator = ",\n";
            }
        }
    }
    qk_str_add(out, separator[0] == '[' ? "[]\n" : "\n]\n");
    qk_export_selection_release(&s);
    return finished(out, err);
}

/* ---- lists and matrices ---- */

enum qk_code qk_export_list(const struct qk_table *table, const char *glob, struct qk_str *out, struct qk_err *err)
{
    struct qk_export_selection s;
    QK_TRY(qk_export_select(table, glob, &s, err));
    qk_str_add(out, "dataset\ttype\tshape\taxes\tunits\ttitle\n");
    for (size_t a = 0; a < s.n_arrays; a++) {
        const struct qk_node *node = s.arrays[a].node;
        qk_str_addf(out, "%s\t%s\t", node->path, type_names[node->type]);
        for (size_t i = 0; i < node->n_dims; i++) {
            qk_str_addf(out, "%s%zu", i == 0 ? "" : "x", node->shape[i]);
        }
        qk_str_addc(out, '\t');
        for (size_t i = 0; i < node->n_dims; i++) {
            qk_str_addf(out, "%s%s", i == 0 ? "" : ",", leaf_name(node->dims[i]));
        }
        const char *units = qk_node_attr_get_str(node, "units"), *title = qk_node_attr_get_str(node, "title");
        qk_str_addc(out, '\t');
        add_field(out, units == NULL ? "" : units);
        qk_str_addc(out, '\t');
        add_field(out, title == NULL ? "" : title);
        qk_str_addc(out, '\n');
    }
    qk_export_selection_release(&s);
    return finished(out, err);
}

enum qk_code qk_export_matrix(const struct qk_table *table, const char *glob, struct qk_str *out, struct qk_err *err)
{
    struct qk_export_selection s;
    QK_TRY(qk_export_select(table, glob, &s, err));
    const struct qk_node *node = s.arrays[0].node;
    size_t n = s.n_arrays;
    qk_export_selection_release(&s);
    if (n != 1 || node->n_dims != 2) {
        return qk_fail(err, QK_EUSAGE,
                       "'%s': a matrix is one dataset with two axes (found %zu datasets, the first with %zu)", glob, n,
                       node->n_dims);
    }
    for (size_t i = 0; i < node->n_values; i++) {
        add_tsv_value(out, node, i);
        qk_str_addc(out, (i + 1) % node->shape[1] == 0 ? '\n' : '\t');
    }
    return finished(out, err);
}
