/* Short answer of a probe run: see run/probe_summary.h. */
#include "run/probe_summary.h"

#include <math.h>

#include "base/str.h"

static const struct qk_node *find(const struct qk_table *table, const char *group, const char *name, const char *leaf)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/%s/%s/%s", group, name, leaf);
    const struct qk_node *node = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    return node != NULL && !node->is_group && node->type == QK_TYPE_F64 ? node : NULL;
}

/* A cell of a dataset over layer and head; NaN without the dataset. */
static double at(const struct qk_node *node, size_t cell)
{
    return node == NULL || cell >= node->n_values ? NAN : node->v.f64[cell];
}

static void insert_loss(struct qk_probe_summary *s, const struct qk_range_loss *loss)
{
    size_t k = s->n_top < QK_PROBE_SUMMARY_TOP ? s->n_top++ : QK_PROBE_SUMMARY_TOP;
    while (k > 0 && loss->shift < s->top[k - 1].shift) {
        if (k < QK_PROBE_SUMMARY_TOP) {
            s->top[k] = s->top[k - 1];
        }
        k--;
    }
    if (k < QK_PROBE_SUMMARY_TOP) {
        s->top[k] = *loss;
    }
}

static void insert_needle(struct qk_probe_summary *s, const struct qk_needle_head *head)
{
    size_t k = s->n_needle < QK_PROBE_SUMMARY_TOP ? s->n_needle++ : QK_PROBE_SUMMARY_TOP;
    while (k > 0 && head->base > s->needle[k - 1].base) {
        if (k < QK_PROBE_SUMMARY_TOP) {
            s->needle[k] = s->needle[k - 1];
        }
        k--;
    }
    if (k < QK_PROBE_SUMMARY_TOP) {
        s->needle[k] = *head;
    }
}

static void add_losses(const struct qk_table *table, const char *name, const struct qk_node *shift,
                       struct qk_probe_summary *s)
{
    const struct qk_node *lo = find(table, "routing", name, "distance_shift_lo");
    const struct qk_node *hi = find(table, "routing", name, "distance_shift_hi");
    const struct qk_node *tail = find(table, "routing", name, "tail_loss");
    const struct qk_node *window = find(table, "routing", name, "tail_window");
    for (size_t i = 0; i < shift->n_values; i++) {
        struct qk_range_loss loss = {i / shift->shape[1], i % shift->shape[1], shift->v.f64[i], at(lo, i),
                                     at(hi, i),           at(tail, i),         at(window, i)};
        if (isnan(loss.shift)) {
            continue;
        }
        s->n_heads++;
        s->n_lost += loss.hi < 0.0 ? 1 : 0;
        s->n_gained += loss.lo > 0.0 ? 1 : 0;
        if (loss.shift < 0.0) {
            insert_loss(s, &loss);
        }
    }
}

/* Where the base's attention on the needle went. */
static void add_needle(const struct qk_table *table, const char *name, struct qk_probe_summary *s)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/probe/%s", name);
    const struct qk_node *entry = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    const char *base_name = entry == NULL ? NULL : qk_node_attr_get_str(entry, "base");
    const struct qk_node *base = base_name == NULL ? NULL : find(table, "probe", base_name, "retrieval_mass");
    const struct qk_node *tuned = find(table, "probe", name, "retrieval_mass");
    for (size_t i = 0; s->has_losses && base != NULL && base->n_dims == 2 && i < base->n_values; i++) {
        if (!isnan(base->v.f64[i])) {
            insert_needle(
                s, &(struct qk_needle_head){i / base->shape[1], i % base->shape[1], base->v.f64[i], at(tuned, i)});
        }
    }
}

enum qk_code qk_probe_summarise(const struct qk_table *table, const char *name, struct qk_probe_summary *ret,
                                struct qk_err *err)
{
    const struct qk_node *nll = find(table, "probe", name, "nll");
    if (nll == NULL) {
        return qk_fail(err, QK_EFORMAT, "/probe/%s: no such entry", name);
    }
    struct qk_probe_summary s = {.nll = NAN};
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < nll->n_values; i++) {
        if (!isnan(nll->v.f64[i])) {
            sum += nll->v.f64[i];
            n++;
        }
    }
    s.nll = n > 0 ? sum / (double)n : NAN;
    const struct qk_node *shift = find(table, "routing", name, "distance_shift");
    s.has_losses = shift != NULL && shift->n_dims == 2;
    if (s.has_losses) {
        add_losses(table, name, shift, &s);
    }
    add_needle(table, name, &s);
    *ret = s;
    return QK_OK;
}
