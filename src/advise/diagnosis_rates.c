/* Rates out of a run file: see diagnosis_rates.h. */
#include "diagnosis_rates.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "num/stats.h"

static struct qk_rate rate_of(double hits, double n)
{
    struct qk_rate r = {.n = n, .p = NAN, .lo = NAN, .hi = NAN};
    if (n > 0.0) {
        r.p = hits / n;
        qk_wilson(hits, n, &r.lo, &r.hi);
    }
    return r;
}

struct qk_rate_change qk_rate_less(const struct qk_rate *a, const struct qk_rate *b)
{
    double d = a->p - b->p;
    return (struct qk_rate_change){
        .value = d, .lo = d - hypot(a->p - a->lo, b->hi - b->p), .hi = d + hypot(a->hi - a->p, b->p - b->lo)};
}

/* An array of the given type and size (SIZE_MAX: any); *ret NULL where there is none. */
static enum qk_code find_array(const struct qk_table *table, const char *path, enum qk_type type, size_t n,
                               const struct qk_node **ret, struct qk_err *err)
{
    const struct qk_node *node = qk_table_find(table, path);
    if (node != NULL && (node->is_group || node->type != type || (n != SIZE_MAX && node->n_values != n))) {
        return qk_fail(err, QK_EFORMAT, "%s: is of another type or shape than a run file has", path);
    }
    *ret = node;
    return QK_OK;
}

/* "/niah/sft/score"; an empty name gives a path that no file has. */
static void member_path(char *out, size_t cap, const char *group, const char *name, const char *leaf)
{
    (void)snprintf(out, cap, "%s/%s/%s", group, name, leaf);
}

/* ---- recall ----------------------------------------------------------------------------------------------------- */

size_t qk_rates_n_tasks(const struct qk_table *table)
{
    const struct qk_node *tasks = qk_table_find(table, "/model/task");
    return tasks != NULL && !tasks->is_group && tasks->type == QK_TYPE_STR ? tasks->n_values : 0;
}

const char *qk_rates_task(const struct qk_table *table, size_t task)
{
    return qk_table_find(table, "/model/task")->v.str[task];
}

enum qk_code qk_rates_recall(const struct qk_table *table, const char *name, size_t task, struct qk_rate *ret,
                             struct qk_err *err)
{
    char path[512];
    const struct qk_node *score = NULL, *n = NULL;
    double hits = 0.0, total = 0.0;
    member_path(path, sizeof path, "/niah", name, "score");
    QK_TRY(find_array(table, path, QK_TYPE_F64, SIZE_MAX, &score, err));
    member_path(path, sizeof path, "/niah", name, "n");
    QK_TRY(find_array(table, path, QK_TYPE_I64, score == NULL ? 0 : score->n_values, &n, err));
    size_t n_tasks = qk_rates_n_tasks(table);
    if (score != NULL && n != NULL && n_tasks > 0) {
        size_t width = score->n_values / n_tasks;
        for (size_t i = 0; i < score->n_values; i++) {
            bool counts = n->v.i64[i] > 0 && (task == SIZE_MAX || i / width == task);
            total += counts ? (double)n->v.i64[i] : 0.0;
            hits += counts ? score->v.f64[i] * (double)n->v.i64[i] : 0.0;
        }
    }
    /* a sum of parts may pass its bound by a rounding */
    *ret = rate_of(fmin(hits, total), total);
    return QK_OK;
}

/* ---- reasoning -------------------------------------------------------------------------------------------------- */

enum qk_code qk_rates_accuracy(const struct qk_table *table, const char *name, struct qk_rate *ret, struct qk_err *err)
{
    char entry_path[256], path[512], leaf[256];
    const struct qk_node *accuracy = NULL, *n = NULL;
    (void)snprintf(entry_path, sizeof entry_path, "/eval/%s", name);
    const struct qk_node *entry = qk_table_find(table, entry_path);
    const char *set = entry != NULL ? qk_node_attr_get_str(entry, "set") : NULL;
    if (set != NULL) {
        (void)snprintf(leaf, sizeof leaf, "%s/accuracy", set);
        member_path(path, sizeof path, "/eval", name, leaf);
        QK_TRY(find_array(table, path, QK_TYPE_F64, 1, &accuracy, err));
        (void)snprintf(leaf, sizeof leaf, "%s/n", set);
        member_path(path, sizeof path, "/eval", name, leaf);
        QK_TRY(find_array(table, path, QK_TYPE_I64, 1, &n, err));
    }
    double total = accuracy != NULL && n != NULL ? (double)n->v.i64[0] : 0.0;
    *ret = rate_of(total > 0.0 ? accuracy->v.f64[0] * total : 0.0, total);
    return QK_OK;
}

/* ---- controls --------------------------------------------------------------------------------------------------- */

static const char *const control_labels[QK_N_CONTROLS] = {
    [QK_CONTROL_BASE] = "base",
    [QK_CONTROL_TUNED] = "tuned",
    [QK_CONTROL_SOFTMAX_QK] = "softmax Q/K",
    [QK_CONTROL_QK] = "all Q/K",
    [QK_CONTROL_ALL_BUT_QK] = "all but Q/K",
};

/* A column of /recommend/measured; NULL without one. */
static enum qk_code find_column(const struct qk_table *table, const char *leaf, enum qk_type type, size_t n,
                                const struct qk_node **ret, struct qk_err *err)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/recommend/measured/%s", leaf);
    return find_array(table, path, type, n, ret, err);
}

static enum qk_code column_rate(const struct qk_table *table, const char *rate, const char *count, size_t row, size_t n,
                                struct qk_rate *ret, struct qk_err *err)
{
    const struct qk_node *p = NULL, *cases = NULL;
    QK_TRY(find_column(table, rate, QK_TYPE_F64, n, &p, err));
    QK_TRY(find_column(table, count, QK_TYPE_I64, n, &cases, err));
    bool there = p != NULL && cases != NULL && row < n && cases->v.i64[row] > 0 && isfinite(p->v.f64[row]);
    double total = there ? (double)cases->v.i64[row] : 0.0;
    *ret = rate_of(there ? p->v.f64[row] * total : 0.0, total);
    return QK_OK;
}

enum qk_code qk_rates_control(const struct qk_table *table, enum qk_control control, struct qk_rate *ret_recall,
                              struct qk_rate *ret_reasoning, struct qk_err *err)
{
    const struct qk_node *labels = NULL, *stages = NULL;
    struct qk_rate recall, reasoning;
    QK_TRY(find_array(table, "/recommend/measured/variant", QK_TYPE_STR, SIZE_MAX, &labels, err));
    size_t n = labels == NULL ? 0 : labels->n_values, row = 0;
    QK_TRY(find_column(table, "stage", QK_TYPE_U8, n, &stages, err));
    while (row < n &&
           !(stages != NULL && stages->v.u8[row] == 0 && qk_streq(labels->v.str[row], control_labels[control]))) {
        row++;
    }
    QK_TRY(column_rate(table, "recall", "recall_n", row, n, &recall, err));
    QK_TRY(column_rate(table, "reasoning", "reasoning_n", row, n, &reasoning, err));
    *ret_recall = recall;
    *ret_reasoning = reasoning;
    return QK_OK;
}

enum qk_code qk_rates_plan(const struct qk_table *table, const char **ret, struct qk_err *err)
{
    enum { CONTROL, SEARCH };
    const struct qk_node *labels = NULL, *stages = NULL, *chosen = NULL;
    const char *plan = NULL;
    QK_TRY(find_array(table, "/recommend/measured/variant", QK_TYPE_STR, SIZE_MAX, &labels, err));
    size_t n = labels == NULL ? 0 : labels->n_values;
    QK_TRY(find_column(table, "stage", QK_TYPE_U8, n, &stages, err));
    QK_TRY(find_column(table, "chosen", QK_TYPE_U8, n, &chosen, err));
    for (size_t i = 0; stages != NULL && chosen != NULL && i < n; i++) {
        plan = chosen->v.u8[i] == 1 && stages->v.u8[i] <= SEARCH ? labels->v.str[i] : plan;
    }
    *ret = plan;
    return QK_OK;
}
