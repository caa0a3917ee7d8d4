/* The answer of `compare`: see compare_answer.h. */
#include "compare_answer.h"

#include <math.h>
#include <stdint.h>

/* Ranges and heads that a line of text names; --json gives all. */
enum { MAX_NAMED = 8 };

static const char *const file_words[] = {
    [QK_FILE_DIFFERS] = "differs", [QK_FILE_ONLY_A] = "only in", [QK_FILE_ONLY_B] = "only in"};
static const char *const file_keys[] = {
    [QK_FILE_DIFFERS] = "differs", [QK_FILE_ONLY_A] = "only-a", [QK_FILE_ONLY_B] = "only-b"};

/* Names come from files: nothing in them may act on a terminal. */
static void add_clean(struct qk_str *out, const char *s)
{
    for (; *s != 0; s++) {
        qk_str_addc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
    }
}

static void add_u64(struct qk_str *out, uint64_t value)
{
    qk_str_addf(out, "%llu", (unsigned long long)value);
}

static void add_count(struct qk_str *out, uint64_t n, const char *noun)
{
    add_u64(out, n);
    qk_str_addf(out, " %s%s", noun, n == 1 ? "" : "s");
}

static void add_form(struct qk_str *out, const struct qk_tensor *t)
{
    qk_str_addf(out, "%s ", qk_dtype_info(t->dtype)->name);
    for (size_t i = 0; i < t->n_dims; i++) {
        qk_str_add(out, i > 0 ? "x" : "");
        add_u64(out, t->shape[i]);
    }
    qk_str_add(out, t->n_dims == 0 ? "scalar" : "");
}

static void add_ranges(struct qk_str *out, const struct qk_compare_tensor *t)
{
    for (size_t i = 0; i < t->n_ranges && i < MAX_NAMED; i++) {
        qk_str_add(out, i > 0 ? ", " : "");
        add_u64(out, t->ranges[i].first);
        if (t->ranges[i].count > 1) {
            qk_str_addc(out, '-');
            add_u64(out, t->ranges[i].first + t->ranges[i].count - 1);
        }
    }
    qk_str_add(out, t->n_ranges > MAX_NAMED ? ", …" : "");
}

static void add_heads(struct qk_str *out, const struct qk_compare_part *part)
{
    for (size_t i = 0, named = 0; i < part->n_heads; i++, named++) {
        if (named == MAX_NAMED) {
            qk_str_add(out, ", …");
            return;
        }
        size_t first = i;
        while (i + 1 < part->n_heads && part->heads[i + 1] == part->heads[i] + 1) {
            i++;
        }
        qk_str_addf(out, named > 0 ? ", %zu" : "%zu", part->heads[first]);
        if (i > first) {
            qk_str_addf(out, "-%zu", part->heads[i]);
        }
    }
}

static void add_part(struct qk_str *out, const struct qk_compare_part *part)
{
    qk_str_add(out, "    ");
    if (part->layer != SIZE_MAX) {
        qk_str_addf(out, "layer %zu ", part->layer);
    }
    add_clean(out, part->role);
    if (part->n_heads > 0) {
        qk_str_add(out, part->n_heads == 1 ? ", head " : ", heads ");
        add_heads(out, part);
    }
    qk_str_add(out, ": ");
    add_count(out, part->n_rows, "row");
    qk_str_addc(out, '\n');
}

static void add_tensor(struct qk_str *out, const struct qk_compare_answer *answer, const struct qk_compare_tensor *t)
{
    add_clean(out, t->name);
    qk_str_add(out, ": ");
    if (t->a == NULL || t->b == NULL) {
        qk_str_add(out, "only in ");
        add_clean(out, t->a != NULL ? answer->a : answer->b);
        qk_str_addc(out, '\n');
        return;
    }
    if (t->n_differing == 0) {
        add_form(out, t->a);
        qk_str_add(out, " against ");
        add_form(out, t->b);
        qk_str_addc(out, '\n');
        return;
    }
    add_u64(out, t->n_differing);
    qk_str_add(out, " of ");
    add_count(out, t->n_rows, "row");
    qk_str_add(out, answer->expected ? " not as planned (" : " (");
    add_ranges(out, t);
    qk_str_add(out, "), first byte ");
    add_u64(out, t->first_byte);
    if (!isnan(t->max_abs)) {
        qk_str_add(out, ", by at most ");
        qk_str_addf(out, "%.3g", t->max_abs);
    }
    qk_str_addc(out, '\n');
    for (size_t i = 0; i < t->n_parts; i++) {
        add_part(out, &t->parts[i]);
    }
}

static void add_other(struct qk_str *out, const struct qk_compare_answer *answer, const struct qk_compare_other *other)
{
    add_clean(out, other->name);
    qk_str_addf(out, ": %s", file_words[other->how]);
    if (other->how != QK_FILE_DIFFERS) {
        qk_str_addc(out, ' ');
        add_clean(out, other->how == QK_FILE_ONLY_A ? answer->a : answer->b);
    }
    qk_str_addc(out, '\n');
}

static void add_planned(struct qk_str *out, const struct qk_compare *r)
{
    add_count(out, r->n_planned_rows, "planned row");
    qk_str_add(out, " of ");
    add_count(out, r->n_planned_tensors, "tensor");
}

static void add_verdict(struct qk_str *out, const struct qk_compare_answer *answer)
{
    const struct qk_compare *r = answer->result;
    if (!r->equal) {
        qk_str_add(out, answer->expected ? "not as planned: " : "different: ");
        add_count(out, r->n_differing, "tensor");
        if (r->n_layout > 0) {
            qk_str_add(out, ", layout");
        }
        if (r->n_other > 0) {
            qk_str_add(out, ", ");
            add_count(out, r->n_other, "other file");
        }
        qk_str_addc(out, '\n');
        return;
    }
    if (answer->expected) {
        qk_str_add(out, "as planned: ");
        add_planned(out, r);
        qk_str_add(out, "; all else equal (");
    } else {
        qk_str_add(out, "equal: ");
    }
    add_count(out, r->n_tensors, "tensor");
    qk_str_add(out, ", ");
    qk_str_add_bytes(out, r->n_bytes);
    if (r->n_files > 0) {
        qk_str_add(out, ", ");
        add_count(out, r->n_files, "other file");
    }
    qk_str_add(out, answer->expected ? ")\n" : "\n");
}

void qk_compare_answer_text(struct qk_str *out, const struct qk_compare_answer *answer)
{
    const struct qk_compare *r = answer->result;
    for (size_t i = 0; i < r->n_differing; i++) {
        add_tensor(out, answer, &r->differing[i]);
    }
    for (size_t i = 0; i < r->n_layout; i++) {
        add_clean(out, r->layout[i]);
        qk_str_addc(out, '\n');
    }
    for (size_t i = 0; i < r->n_other; i++) {
        add_other(out, answer, &r->other[i]);
    }
    add_verdict(out, answer);
}

/* ---- JSON ---- */

static void add_json_form(struct qk_str *out, const char *key, const struct qk_tensor *t)
{
    qk_str_addf(out, ", \"%s\": ", key);
    if (t == NULL) {
        qk_str_add(out, "null");
        return;
    }
    qk_str_addf(out, "{\"dtype\": \"%s\", \"shape\": [", qk_dtype_info(t->dtype)->name);
    for (size_t i = 0; i < t->n_dims; i++) {
        qk_str_add(out, i > 0 ? ", " : "");
        add_u64(out, t->shape[i]);
    }
    qk_str_add(out, "]}");
}

static void add_json_part(struct qk_str *out, const struct qk_compare_part *part)
{
    qk_str_add(out, "{\"layer\": ");
    if (part->layer == SIZE_MAX) {
        qk_str_add(out, "null");
    } else {
        qk_str_addf(out, "%zu", part->layer);
    }
    qk_str_add(out, ", \"role\": ");
    qk_str_add_json(out, part->role);
    qk_str_add(out, ", \"n_rows\": ");
    add_u64(out, part->n_rows);
    qk_str_add(out, ", \"heads\": [");
    for (size_t i = 0; i < part->n_heads; i++) {
        qk_str_addf(out, "%s%zu", i > 0 ? ", " : "", part->heads[i]);
    }
    qk_str_add(out, "]}");
}

/* Rows as [first, end), as inspect gives them. */
static void add_json_rows(struct qk_str *out, const struct qk_compare_tensor *t)
{
    qk_str_add(out, ", \"n_rows\": ");
    add_u64(out, t->n_differing);
    qk_str_add(out, ", \"rows\": [");
    for (size_t i = 0; i < t->n_ranges; i++) {
        qk_str_add(out, i > 0 ? ", [" : "[");
        add_u64(out, t->ranges[i].first);
        qk_str_add(out, ", ");
        add_u64(out, t->ranges[i].first + t->ranges[i].count);
        qk_str_addc(out, ']');
    }
    qk_str_add(out, "], \"first_byte\": ");
    add_u64(out, t->first_byte);
    qk_str_add(out, ", \"max_abs_difference\": ");
    qk_str_add_json_double(out, t->max_abs);
    qk_str_add(out, ", \"n_planned_rows\": ");
    add_u64(out, t->n_planned_rows);
    qk_str_add(out, ", \"parts\": [");
    for (size_t i = 0; i < t->n_parts; i++) {
        qk_str_add(out, i > 0 ? ", " : "");
        add_json_part(out, &t->parts[i]);
    }
    qk_str_addc(out, ']');
}

static void add_json_tensor(struct qk_str *out, const struct qk_compare_tensor *t)
{
    qk_str_add(out, "\n  {\"name\": ");
    qk_str_add_json(out, t->name);
    add_json_form(out, "a", t->a);
    add_json_form(out, "b", t->b);
    if (t->n_differing > 0) {
        add_json_rows(out, t);
    }
    qk_str_addc(out, '}');
}

void qk_compare_answer_json(struct qk_str *out, const struct qk_compare_answer *answer)
{
    const struct qk_compare *r = answer->result;
    qk_str_add(out, "{\"a\": ");
    qk_str_add_json(out, answer->a);
    qk_str_add(out, ", \"b\": ");
    qk_str_add_json(out, answer->b);
    qk_str_addf(out, ", \"equal\": %s, \"expected\": %s, \"n_tensors\": %zu, \"n_bytes\": %llu",
                r->equal ? "true" : "false", answer->expected ? "true" : "false", r->n_tensors,
                (unsigned long long)r->n_bytes);
    qk_str_addf(out, ", \"planned\": {\"n_tensors\": %zu, \"n_rows\": %llu}, \"n_files\": %zu,\n \"tensors\": [",
                r->n_planned_tensors, (unsigned long long)r->n_planned_rows, r->n_files);
    for (size_t i = 0; i < r->n_differing; i++) {
        qk_str_add(out, i > 0 ? "," : "");
        add_json_tensor(out, &r->differing[i]);
    }
    qk_str_add(out, "],\n \"layout\": [");
    for (size_t i = 0; i < r->n_layout; i++) {
        qk_str_add(out, i > 0 ? ", " : "");
        qk_str_add_json(out, r->layout[i]);
    }
    qk_str_add(out, "],\n \"files\": [");
    for (size_t i = 0; i < r->n_other; i++) {
        qk_str_add(out, i > 0 ? ", {\"name\": " : "{\"name\": ");
        qk_str_add_json(out, r->other[i].name);
        qk_str_addf(out, ", \"how\": \"%s\"}", file_keys[r->other[i].how]);
    }
    qk_str_add(out, "]}\n");
}
