/* Scores of heads in the forms that other programs read: DuoAttention's matrix of KV heads, Retrieval_Head's lists. */
#include "store/store.h"

#include <math.h>
#include <string.h>

#include "export_selection.h"

/* One metric over layers and heads, or key heads. */
struct head_scores {
    const struct qk_table *table;
    const struct qk_node *node;
    bool of_kv_heads;
    size_t n_layers, n_columns;
};

/* What a head scored in one probe: a quotient of sums that a probe run keeps per sequence. */
struct probe_score {
    const char *metric;
    const char *part, *whole; /* names on the scale of sums */
};

static const struct probe_score probe_scores[] = {
    {"retrieval_mass", "answer_needle", "answer_queries"},
    {"retrieval_score", "needle_copied", "needle_tokens"},
};
enum { N_PROBE_SCORES = sizeof probe_scores / sizeof probe_scores[0] };

static enum qk_code find_scores(const struct qk_table *table, const char *glob, struct head_scores *ret,
                                struct qk_err *err)
{
    struct qk_export_selection s;
    QK_TRY(qk_export_select(table, glob, &s, err));
    const struct qk_node *node = s.arrays[0].node;
    size_t n = s.n_arrays;
    qk_export_selection_release(&s);
    bool of_kv_heads = node->n_dims == 2 && qk_streq(node->dims[1], "/model/kv_head");
    if (n != 1 || node->n_dims != 2 || node->type != QK_TYPE_F64 || !qk_streq(node->dims[0], "/model/layer") ||
        !(of_kv_heads || qk_streq(node->dims[1], "/model/head"))) {
        enum qk_code code = qk_fail(err, QK_EUSAGE,
                                    "'%s': scores of heads are one dataset of numbers over layer and head or kv_head "
                                    "(found %zu datasets, the first %s)",
                                    glob, n, node->path);
        qk_err_hint(err, "as in --dataset /probe/NAME/retrieval_score; --list shows them all");
        return code;
    }
    *ret = (struct head_scores){.table = table,
                                .node = node,
                                .of_kv_heads = of_kv_heads,
                                .n_layers = node->shape[0],
                                .n_columns = node->shape[1]};
    return QK_OK;
}

/* ---- DuoAttention ---- */

/* A count per layer, /model/n_heads or /model/n_kv_heads; NULL with err set when it is not there. */
static const int64_t *layer_counts(const struct head_scores *scores, const char *path, struct qk_err *err)
{
    const struct qk_node *node = qk_table_find(scores->table, path);
    if (node == NULL || node->is_group || node->type != QK_TYPE_I64 || node->n_values != scores->n_layers) {
        (void)qk_fail(err, QK_EFORMAT, "%s: missing, or not one number per layer", path);
        return NULL;
    }
    return node->v.i64;
}

/* A KV head has the score of the highest of the query heads that read it; NaN where none has one. */
static double kv_head_score(const struct head_scores *scores, size_t layer, size_t kv_head, int64_t n_heads,
                            int64_t n_kv_heads)
{
    const double *row = scores->node->v.f64 + layer * scores->n_columns;
    if (n_heads <= 0 || n_kv_heads <= 0 || kv_head >= (size_t)n_kv_heads) {
        return NAN;
    }
    size_t group = scores->of_kv_heads ? 1 : (size_t)n_heads / (size_t)n_kv_heads;
    double most = NAN;
    for (size_t i = 0; i < group && kv_head * group + i < scores->n_columns; i++) {
        most = fmax(most, row[kv_head * group + i]);
    }
    return isnan(most) ? most : fmin(fmax(most, 0.0), 1.0);
}

enum qk_code qk_export_duo_attention(const struct qk_table *table, const char *glob, struct qk_str *out,
                                     struct qk_err *err)
{
    struct head_scores scores;
    QK_TRY(find_scores(table, glob, &scores, err));
    const int64_t *n_heads = layer_counts(&scores, "/model/n_heads", err);
    const int64_t *n_kv_heads = n_heads == NULL ? NULL : layer_counts(&scores, "/model/n_kv_heads", err);
    if (n_kv_heads == NULL) {
        return QK_EFORMAT;
    }
    size_t most = 0;
    for (size_t l = 0; l < scores.n_layers; l++) {
        size_t n = n_kv_heads[l] > 0 ? (size_t)n_kv_heads[l] : 0;
        most = n > most ? n : most;
    }
    most = most < scores.n_columns ? most : scores.n_columns;
    for (size_t l = 0; l < scores.n_layers; l++) {
        for (size_t g = 0; g < most && !out->failed; g++) {
            qk_str_add(out, g == 0 ? "" : "\t");
            qk_str_add_double(out, kv_head_score(&scores, l, g, n_heads[l], n_kv_heads[l]));
        }
        qk_str_addc(out, '\n');
    }
    return out->failed ? qk_fail_nomem(err, "export") : QK_OK;
}

/* ---- Retrieval_Head ---- */

/* The sums of the entry that the metric belongs to: (sequence, layer, head, sum). node is NULL without them. */
struct probe_sums {
    const struct qk_node *node;
    size_t part, whole;
};

static bool find_sum(const struct qk_node *names, const char *name, size_t n, size_t *ret)
{
    for (size_t i = 0; names != NULL && names->type == QK_TYPE_STR && i < names->n_values && i < n; i++) {
        if (qk_streq(names->v.str[i], name)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static enum qk_code find_sums(const struct head_scores *scores, struct probe_sums *ret, struct qk_err *err)
{
    const char *path = scores->node->path, *leaf = strrchr(path, '/') + 1;
    *ret = (struct probe_sums){0};
    for (size_t i = 0; i < N_PROBE_SCORES; i++) {
        struct qk_str sums_path = {0};
        qk_str_addn(&sums_path, path, (size_t)(leaf - path));
        qk_str_add(&sums_path, "sums/scalar");
        if (sums_path.failed) {
            return qk_fail_nomem(err, "export");
        }
        const struct qk_node *node = qk_table_find(scores->table, sums_path.s);
        qk_str_release(&sums_path);
        struct probe_sums sums = {.node = node};
        if (qk_streq(leaf, probe_scores[i].metric) && node != NULL && !node->is_group && node->type == QK_TYPE_F64 &&
            node->n_dims == 4 && node->shape[1] == scores->n_layers && node->shape[2] == scores->n_columns) {
            const struct qk_node *names = qk_table_find(scores->table, node->dims[3]);
            if (find_sum(names, probe_scores[i].part, node->shape[3], &sums.part) &&
                find_sum(names, probe_scores[i].whole, node->shape[3], &sums.whole)) {
                *ret = sums;
            }
        }
    }
    return QK_OK;
}

/* The head's score in every probe that has one, else the metric alone. */
static void add_list(struct qk_str *out, const struct head_scores *scores, const struct probe_sums *sums, size_t layer,
                     size_t head)
{
    const struct qk_node *node = sums->node;
    const char *separator = "";
    for (size_t s = 0; node != NULL && s < node->shape[0]; s++) {
        const double *row = node->v.f64 + ((s * node->shape[1] + layer) * node->shape[2] + head) * node->shape[3];
        double score = row[sums->whole] > 0.0 ? row[sums->part] / row[sums->whole] : (double)NAN;
        if (isfinite(score)) {
            qk_str_add(out, separator);
            qk_str_add_double(out, score);
            separator = ", ";
        }
    }
    if (separator[0] == '\0') {
        qk_str_add_double(out, scores->node->v.f64[layer * scores->n_columns + head]);
    }
}

enum qk_code qk_export_retrieval_head(const struct qk_table *table, const char *glob, struct qk_str *out,
                                      struct qk_err *err)
{
    struct head_scores scores;
    struct probe_sums sums;
    QK_TRY(find_scores(table, glob, &scores, err));
    QK_TRY(find_sums(&scores, &sums, err));
    const char *separator = "";
    qk_str_addc(out, '{');
    for (size_t l = 0; l < scores.n_layers; l++) {
        for (size_t h = 0; h < scores.n_columns && !out->failed; h++) {
            if (isfinite(scores.node->v.f64[l * scores.n_columns + h])) {
                qk_str_addf(out, "%s\"%zu-%zu\": [", separator, l, h);
                add_list(out, &scores, &sums, l, h);
                qk_str_addc(out, ']');
                separator = ", ";
            }
        }
    }
    qk_str_add(out, "}\n");
    return out->failed ? qk_fail_nomem(err, "export") : QK_OK;
}
