/* What figures read of recall: see recall_view.h. */
#include "recall_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/stats.h"
#include "palette.h"
#include "run_view.h"

static const struct qk_rate no_rate = {NAN, NAN, NAN, 0};

/* An array of this type over n_dims axes; NULL when there is none. */
static const struct qk_node *array_of(const struct qk_node *node, enum qk_type type, size_t n_dims)
{
    bool fits = node != NULL && !node->is_group && node->type == type && node->n_dims == n_dims && node->n_values > 0;
    return fits ? node : NULL;
}

/* The coordinates of an axis; NULL when they are of another type. */
static const struct qk_node *scale_of(const struct qk_table *table, const struct qk_node *node, size_t dim,
                                      enum qk_type type)
{
    const struct qk_node *scale = node->dims[dim] != NULL ? qk_table_find(table, node->dims[dim]) : NULL;
    scale = array_of(scale, type, 1);
    return scale != NULL && scale->n_values == node->shape[dim] ? scale : NULL;
}

/* ---- /niah/NAME ------------------------------------------------------------------------------------------------- */

static bool all_strings(const struct qk_node *node)
{
    for (size_t i = 0; i < node->n_values; i++) {
        if (node->v.str[i] == NULL || !qk_name_is_clean(node->v.str[i])) {
            return false;
        }
    }
    return true;
}

bool qk_recall_of(const struct qk_table *table, const char *checkpoint, struct qk_recall *ret)
{
    const struct qk_node *score = array_of(qk_table_entry(table, "niah", checkpoint, "score"), QK_TYPE_F64, 3);
    const struct qk_node *n = array_of(qk_table_entry(table, "niah", checkpoint, "n"), QK_TYPE_I64, 3);
    if (score == NULL || n == NULL || memcmp(score->shape, n->shape, 3 * sizeof score->shape[0]) != 0) {
        return false;
    }
    const struct qk_node *task = scale_of(table, score, 0, QK_TYPE_STR),
                         *length = scale_of(table, score, 1, QK_TYPE_I64),
                         *depth = scale_of(table, score, 2, QK_TYPE_F64);
    if (task == NULL || length == NULL || depth == NULL || !all_strings(task)) {
        return false;
    }
    *ret = (struct qk_recall){score->v.f64,    n->v.i64,    score->shape[0], score->shape[1],
                              score->shape[2], task->v.str, length->v.i64,   depth->v.f64};
    for (size_t i = 0; i < score->n_values; i++) {
        if (isfinite(score->v.f64[i])) {
            return true;
        }
    }
    return false;
}

static struct qk_rate rate_of(double hits, double n)
{
    struct qk_rate rate = no_rate;
    if (n > 0) {
        rate.rate = hits / n;
        rate.n = n;
        qk_wilson(hits, n, &rate.lo, &rate.hi);
    }
    return rate;
}

static bool cell_at(const struct qk_recall *recall, size_t task, size_t length, size_t depth, double *ret_hits,
                    double *ret_n)
{
    if (task >= recall->n_tasks || length >= recall->n_lengths || depth >= recall->n_depths) {
        return false;
    }
    size_t i = (task * recall->n_lengths + length) * recall->n_depths + depth;
    *ret_n = (double)recall->n[i];
    *ret_hits = recall->score[i] * *ret_n;
    return *ret_n > 0 && recall->score[i] >= 0 && recall->score[i] <= 1;
}

struct qk_rate qk_recall_at(const struct qk_recall *recall, size_t task, size_t length, size_t depth)
{
    double hits, n;
    return cell_at(recall, task, length, depth, &hits, &n) ? rate_of(hits, n) : no_rate;
}

struct qk_rate qk_recall_over_depths(const struct qk_recall *recall, size_t task, size_t length)
{
    double all_hits = 0, all_n = 0, hits, n;
    for (size_t d = 0; d < recall->n_depths; d++) {
        if (cell_at(recall, task, length, d, &hits, &n)) {
            all_hits += hits;
            all_n += n;
        }
    }
    return rate_of(fmin(all_hits, all_n), all_n);
}

static void add_count(struct qk_case_count *count, double n)
{
    if (n > 0) {
        count->least = count->most > 0 ? fmin(count->least, n) : n;
        count->most = fmax(count->most, n);
    }
}

void qk_recall_count(const struct qk_recall *recall, bool pooled, struct qk_case_count *count)
{
    for (size_t t = 0; t < recall->n_tasks; t++) {
        for (size_t l = 0; l < recall->n_lengths; l++) {
            if (pooled) {
                add_count(count, qk_recall_over_depths(recall, t, l).n);
            }
            for (size_t d = 0; d < recall->n_depths && !pooled; d++) {
                add_count(count, qk_recall_at(recall, t, l, d).n);
            }
        }
    }
}

void qk_case_count_text(const struct qk_case_count *count, char *out, size_t cap)
{
    if (count->least < count->most) {
        (void)snprintf(out, cap, "%.0f to %.0f cases", count->least, count->most);
    } else {
        (void)snprintf(out, cap, "%.0f case%s", count->most, count->most > 1 ? "s" : "");
    }
}

/* ---- /recommend/measured ---------------------------------------------------------------------------------------- */

static const char measured_path[] = "/recommend/measured";

static const struct qk_node *measured_array(const struct qk_table *table, const char *name, enum qk_type type,
                                            size_t n_dims)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%s", measured_path, name);
    return array_of(qk_table_find(table, path), type, n_dims);
}

/* rate, lo and hi over n variants (and lengths); false when one is missing. */
static bool rates_of(const struct qk_table *table, const char *name, size_t n_dims, const size_t *shape,
                     const double *ret[3])
{
    static const char *const ends[] = {"", "_lo", "_hi"};
    for (size_t i = 0; i < 3; i++) {
        char leaf[48];
        (void)snprintf(leaf, sizeof leaf, "%s%s", name, ends[i]);
        const struct qk_node *node = measured_array(table, leaf, QK_TYPE_F64, n_dims);
        if (node == NULL || memcmp(node->shape, shape, n_dims * sizeof *shape) != 0) {
            memset(ret, 0, 3 * sizeof *ret);
            return false;
        }
        ret[i] = node->v.f64;
    }
    return true;
}

static const struct qk_node *fitting(const struct qk_table *table, const char *name, enum qk_type type, size_t n)
{
    const struct qk_node *node = measured_array(table, name, type, 1);
    return node != NULL && node->n_values == n ? node : NULL;
}

static void add_lengths(const struct qk_table *table, struct qk_measured *measured)
{
    const struct qk_node *node = measured_array(table, "recall_by_length", QK_TYPE_F64, 2);
    const struct qk_node *lengths = node != NULL ? scale_of(table, node, 1, QK_TYPE_I64) : NULL;
    if (lengths == NULL || node->shape[0] != measured->n ||
        !rates_of(table, "recall_by_length", 2, node->shape, measured->by_length)) {
        return;
    }
    measured->n_lengths = lengths->n_values;
    measured->lengths = lengths->v.i64;
}

bool qk_measured_of(const struct qk_table *table, struct qk_measured *ret)
{
    const struct qk_node *recall = measured_array(table, "recall", QK_TYPE_F64, 1);
    const struct qk_node *labels = recall != NULL ? scale_of(table, recall, 0, QK_TYPE_STR) : NULL;
    if (labels == NULL || !all_strings(labels)) {
        return false;
    }
    struct qk_measured m = {.n = labels->n_values, .label = labels->v.str};
    const struct qk_node *stage = fitting(table, "stage", QK_TYPE_U8, m.n);
    const struct qk_node *chosen = fitting(table, "chosen", QK_TYPE_U8, m.n);
    const struct qk_node *recall_n = fitting(table, "recall_n", QK_TYPE_I64, m.n);
    const struct qk_node *reasoning_n = fitting(table, "reasoning_n", QK_TYPE_I64, m.n);
    if (stage == NULL || chosen == NULL || !rates_of(table, "recall", 1, &m.n, m.recall)) {
        return false;
    }
    (void)rates_of(table, "reasoning", 1, &m.n, m.reasoning);
    m.stage = stage->v.u8;
    m.chosen = chosen->v.u8;
    m.recall_n = recall_n != NULL ? recall_n->v.i64 : NULL;
    m.reasoning_n = reasoning_n != NULL ? reasoning_n->v.i64 : NULL;
    add_lengths(table, &m);
    *ret = m;
    return true;
}

enum qk_measured_role qk_measured_role_of(const struct qk_measured *measured, size_t variant)
{
    const char *label = measured->label[variant];
    return strcmp(label, "base") == 0          ? QK_MEASURED_BASE
           : strcmp(label, "tuned") == 0       ? QK_MEASURED_TUNED
           : measured->chosen[variant] == 1    ? QK_MEASURED_PLAN
           : strcmp(label, "softmax Q/K") == 0 ? QK_MEASURED_RULE
                                               : QK_MEASURED_OTHER;
}

static struct qk_rate variant_rate(const double *const columns[3], const int64_t *n, size_t i)
{
    struct qk_rate rate = no_rate;
    if (columns[0] != NULL && columns[0][i] >= 0 && columns[0][i] <= 1) {
        rate = (struct qk_rate){columns[0][i], columns[1][i], columns[2][i], n != NULL ? (double)n[i] : NAN};
    }
    return rate;
}

struct qk_rate qk_measured_recall_at(const struct qk_measured *measured, size_t variant)
{
    return variant_rate(measured->recall, measured->recall_n, variant);
}

struct qk_rate qk_measured_reasoning_at(const struct qk_measured *measured, size_t variant)
{
    return variant_rate(measured->reasoning, measured->reasoning_n, variant);
}

struct qk_rate qk_measured_length_at(const struct qk_measured *measured, size_t variant, size_t length)
{
    return variant_rate(measured->by_length, NULL, variant * measured->n_lengths + length);
}

const struct qk_look *qk_measured_look(enum qk_measured_role role)
{
    static const struct qk_look looks[QK_N_MEASURED_ROLES] = {
        [QK_MEASURED_BASE] = {QK_INK_BASE, "(6,4)", 6, true},  [QK_MEASURED_TUNED] = {QK_INK_TUNED, "1", 7, false},
        [QK_MEASURED_PLAN] = {QK_INK_RESTORED, "1", 5, false}, [QK_MEASURED_RULE] = {QK_INK_OTHER, "(9,3)", 9, false},
        [QK_MEASURED_OTHER] = {QK_INK_PLAIN, "1", 6, false},
    };
    return &looks[role];
}
