/* Metrics and routing losses out of the sums of a probe run: the same from a run in one piece and from merged parts. */
#include <math.h>
#include <string.h>

#include "analyses/drift.h"
#include "analyses/metric.h"
#include "analyses/routing_loss.h"
#include "base/alloc.h"
#include "base/str.h"
#include "drift_table.h"
#include "num/stats.h"
#include "probe_run.h"

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static bool has_node(const struct qk_table *table, const char *group, const char *name, const char *leaf)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/%s/%s%s", group, name, leaf);
    bool found = !path.failed && qk_table_find(table, path.s) != NULL;
    qk_str_release(&path);
    return found;
}

static enum qk_code mixing_of(const struct qk_probe_nodes *nodes, const char *name, const char *const **ret,
                              struct qk_err *err)
{
    const struct qk_attr *mixing = qk_node_attr(nodes->entry, "mixing");
    if (mixing == NULL || mixing->type != QK_TYPE_STR || mixing->n != nodes->n_layers) {
        return qk_fail(err, QK_EFORMAT, "/probe/%s: no attribute 'mixing' for %zu layers", name, nodes->n_layers);
    }
    *ret = mixing->v.str;
    return QK_OK;
}

/* Whether the first sequence has sums of the head. */
static bool has_head(const struct qk_probe_nodes *nodes, size_t layer, size_t head)
{
    return !isnan(qk_probe_sums_at(nodes, 0, layer, head).scalar[QK_SUM_QUERIES]);
}

/* ---- metrics of an entry ---------------------------------------------------------------------------------------- */

static void add_to(double *total, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        total[i] += x[i];
    }
}

/* Sums over all sequences into the work, in order. */
static void total_of(const struct qk_probe_nodes *nodes, size_t layer, size_t head, double *work,
                     struct qk_probe_unit *ret)
{
    double *scalar = work, *bins = scalar + QK_N_DISTANCE_SUMS, *tail = bins + nodes->n_bins;
    double *profile = tail + nodes->n_windows, retrieval = 0.0, score = 0.0;
    size_t n_sequences = nodes->scalar->shape[0], n_retrieval = 0;
    memset(work, 0, (QK_N_DISTANCE_SUMS + nodes->n_bins + nodes->n_windows + nodes->n_profile) * sizeof(*work));
    for (size_t s = 0; s < n_sequences; s++) {
        struct qk_distance_sums sums = qk_probe_sums_at(nodes, s, layer, head);
        add_to(scalar, sums.scalar, QK_N_DISTANCE_SUMS);
        add_to(bins, sums.bins, nodes->n_bins);
        add_to(tail, sums.tail, nodes->n_windows);
        if (sums.profile != NULL) {
            add_to(profile, sums.profile, nodes->n_profile);
        }
        if (sums.scalar[QK_SUM_ANSWER_QUERIES] > 0.0) {
            retrieval += sums.scalar[QK_SUM_ANSWER_NEEDLE] / sums.scalar[QK_SUM_ANSWER_QUERIES];
            score += sums.scalar[QK_SUM_NEEDLE_COPIED] / sums.scalar[QK_SUM_NEEDLE_TOKENS];
            n_retrieval++;
        }
    }
    *ret = (struct qk_probe_unit){.n_bins = nodes->n_bins,
                                  .n_windows = nodes->n_windows,
                                  .n_profile = nodes->n_profile,
                                  .scalar = scalar,
                                  .bins = bins,
                                  .tail = tail,
                                  .profile = nodes->profile == NULL ? NULL : profile,
                                  .retrieval = n_retrieval > 0 ? retrieval / (double)n_retrieval : NAN,
                                  .retrieval_score = n_retrieval > 0 ? score / (double)n_retrieval : NAN,
                                  .n_retrieval = n_retrieval};
}

/* What is made with the datasets of a group's metrics. */
struct metric_nodes {
    size_t n;
    const struct qk_metric **metrics;
    struct qk_node **values, **states;
};

/* Adds the datasets of all metrics of a scope. */
static enum qk_code add_datasets(struct qk_table *table, const char *name, enum qk_metric_scope scope, bool profile,
                                 struct metric_nodes *ret, struct qk_err *err)
{
    size_t n = qk_metric_count();
    struct metric_nodes m = {.metrics = qk_arena_alloc(table->arena, n, sizeof(*m.metrics)),
                             .values = qk_arena_alloc(table->arena, n, sizeof(*m.values)),
                             .states = qk_arena_alloc(table->arena, n, sizeof(*m.states))};
    if (m.metrics == NULL || m.values == NULL || m.states == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    for (size_t i = 0; i < n; i++) {
        const struct qk_metric *metric = qk_metric_at(i);
        if (metric->scope != scope || (!profile && qk_streq(metric->name, "distance_profile"))) {
            continue;
        }
        QK_TRY(qk_result_metric(table, name, metric, err));
        QK_TRY(qk_drift_nodes(table, name, metric, &m.values[m.n], &m.states[m.n], err));
        m.metrics[m.n++] = metric;
    }
    *ret = m;
    return QK_OK;
}

static void put_all(const struct metric_nodes *m, size_t layer, size_t head, const struct qk_drift_unit *unit)
{
    for (size_t i = 0; i < m->n; i++) {
        qk_drift_put(m->metrics[i], m->values[i], m->states[i], layer, head, unit);
    }
}

static void put_all_absent(const struct metric_nodes *m, size_t layer, size_t head)
{
    for (size_t i = 0; i < m->n; i++) {
        qk_drift_put_absent(m->states[i], layer, head);
    }
}

static enum qk_code add_metrics(struct qk_table *table, const char *name, struct qk_err *err)
{
    struct qk_probe_nodes nodes;
    struct metric_nodes m;
    const char *const *mixing;
    QK_TRY(qk_probe_nodes_of(table, name, &nodes, err));
    QK_TRY(mixing_of(&nodes, name, &mixing, err));
    QK_TRY(add_datasets(table, name, QK_SCOPE_PROBE, nodes.profile != NULL, &m, err));
    double *work = qk_calloc(QK_N_DISTANCE_SUMS + nodes.n_bins + nodes.n_windows + nodes.n_profile, sizeof(*work));
    if (work == NULL) {
        return qk_fail_nomem(err, "probe metrics");
    }
    for (size_t l = 0; l < nodes.n_layers; l++) {
        for (size_t h = 0; !qk_streq(mixing[l], QK_MIXING_NOT_COMPUTED) && h < nodes.n_heads; h++) {
            struct qk_probe_unit probe;
            if (!has_head(&nodes, l, h)) {
                put_all_absent(&m, l, h);
                continue;
            }
            total_of(&nodes, l, h, work, &probe);
            probe.is_linear = qk_streq(mixing[l], QK_MIXING_IMPLICIT);
            put_all(&m, l, h, &(struct qk_drift_unit){.probe = &probe});
        }
    }
    qk_free(work);
    return QK_OK;
}

/* ---- routing loss ----------------------------------------------------------------------------------------------- */

static struct qk_head_sums head_sums(const struct qk_probe_nodes *nodes, size_t layer, size_t head)
{
    struct qk_distance_sums first = qk_probe_sums_at(nodes, 0, layer, head);
    size_t stride = nodes->n_layers * nodes->n_heads;
    return (struct qk_head_sums){.scalar = first.scalar,
                                 .bins = first.bins,
                                 .tail = first.tail,
                                 .scalar_stride = stride * QK_N_DISTANCE_SUMS,
                                 .bins_stride = stride * nodes->n_bins,
                                 .tail_stride = stride * nodes->n_windows};
}

static enum qk_code describe_routing(struct qk_table *table, const char *name, const char *base, struct qk_err *err)
{
    char *path = qk_arena_printf(table->arena, "/routing/%s", name);
    struct qk_node *group;
    if (path == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_group(table, path, &group, err));
    QK_TRY(qk_node_attr_str(table, group, "base", base, err));
    QK_TRY(qk_node_attr_i64(table, group, "bootstrap_resamples", QK_BOOTSTRAP_RESAMPLES, err));
    return qk_node_attr_i64(table, group, "bootstrap_seed", QK_BOOTSTRAP_SEED, err);
}

/* Memory of the bootstrap: the counts of the draws and the work of a head. */
struct bootstrap {
    uint32_t *counts;
    double *work;
};

static enum qk_code make_bootstrap(size_t n_sequences, size_t n_work, struct bootstrap *ret, struct qk_err *err)
{
    size_t n_counts;
    struct bootstrap b = {0};
    if (qk_size_mul(QK_BOOTSTRAP_RESAMPLES, n_sequences, &n_counts)) {
        b.counts = qk_calloc(n_counts, sizeof(*b.counts));
        b.work = qk_calloc(n_work, sizeof(*b.work));
    }
    if (b.counts == NULL || b.work == NULL) {
        qk_free(b.counts);
        qk_free(b.work);
        return qk_fail_nomem(err, "bootstrap");
    }
    qk_bootstrap_counts(QK_BOOTSTRAP_SEED, QK_BOOTSTRAP_RESAMPLES, n_sequences, b.counts);
    *ret = b;
    return QK_OK;
}

static enum qk_code check_alike(const struct qk_probe_nodes *base, const struct qk_probe_nodes *tuned, const char *name,
                                struct qk_err *err)
{
    const char *expected = qk_node_attr_get_str(base->entry, "token_sha256");
    const char *found = qk_node_attr_get_str(tuned->entry, "token_sha256");
    if (expected == NULL || found == NULL || !qk_streq(expected, found)) {
        return qk_fail(err, QK_EMISMATCH, "/probe/%s: was run on other probes than its base (token_sha256)", name);
    }
    return QK_OK;
}

static enum qk_code add_losses(struct qk_table *table, const char *name, const char *base_name, struct qk_err *err)
{
    struct qk_probe_nodes base, tuned;
    struct metric_nodes m;
    struct bootstrap bootstrap = {0};
    const char *const *mixing;
    QK_TRY(qk_probe_nodes_of(table, base_name, &base, err));
    QK_TRY(qk_probe_nodes_of(table, name, &tuned, err));
    QK_TRY(check_alike(&base, &tuned, name, err));
    QK_TRY(mixing_of(&tuned, name, &mixing, err));
    QK_TRY(describe_routing(table, name, base_name, err));
    QK_TRY(add_datasets(table, name, QK_SCOPE_LOSS, false, &m, err));
    size_t n = tuned.scalar->shape[0];
    QK_TRY(make_bootstrap(n, qk_routing_loss_work(n, tuned.n_bins, tuned.n_windows), &bootstrap, err));
    for (size_t l = 0; l < tuned.n_layers; l++) {
        for (size_t h = 0; !qk_streq(mixing[l], QK_MIXING_NOT_COMPUTED) && h < tuned.n_heads; h++) {
            if (!has_head(&tuned, l, h)) {
                put_all_absent(&m, l, h);
                continue;
            }
            struct qk_head_sums before = head_sums(&base, l, h), after = head_sums(&tuned, l, h);
            struct qk_routing_loss loss;
            qk_routing_loss_of(&before, &after, n, tuned.n_bins, tuned.n_windows, bootstrap.counts, bootstrap.work,
                               &loss);
            put_all(&m, l, h, &(struct qk_drift_unit){.loss = &loss});
        }
    }
    qk_free(bootstrap.counts);
    qk_free(bootstrap.work);
    return QK_OK;
}

/* ---- all entries ------------------------------------------------------------------------------------------------ */

enum qk_code qk_probe_finish(struct qk_table *table, struct qk_err *err)
{
    size_t n_nodes = table->n_nodes;
    for (size_t i = 0; i < n_nodes; i++) {
        const char *name = qk_part_whole_entry(table->nodes[i], &qk_probe_part);
        if (name != NULL && !has_node(table, "probe", name, "/distance_histogram")) {
            QK_TRY(add_metrics(table, name, err));
        }
    }
    for (size_t i = 0; i < n_nodes; i++) {
        const char *name = qk_part_whole_entry(table->nodes[i], &qk_probe_part);
        const char *base = name == NULL ? NULL : qk_node_attr_get_str(table->nodes[i], "base");
        if (base != NULL && !qk_streq(base, name) && has_node(table, "probe", name, "/distance_histogram") &&
            has_node(table, "probe", base, "/distance_histogram") && !has_node(table, "routing", name, "")) {
            QK_TRY(add_losses(table, name, base, err));
        }
    }
    return QK_OK;
}
