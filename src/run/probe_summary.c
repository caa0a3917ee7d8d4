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

/* What the summary reads of a checkpoint and its base; NULL where it is not there. */
struct sources {
    const struct qk_node *shift, *lo, *hi, *tail, *window, *needle_base, *needle, *score_base, *score;
};

static struct sources sources_of(const struct qk_table *table, const char *name)
{
    struct qk_str path = {0};
    qk_str_addf(&path, "/probe/%s", name);
    const struct qk_node *entry = path.failed ? NULL : qk_table_find(table, path.s);
    qk_str_release(&path);
    const char *base = entry == NULL ? NULL : qk_node_attr_get_str(entry, "base");
    return (struct sources){.shift = find(table, "routing", name, "distance_shift"),
                            .lo = find(table, "routing", name, "distance_shift_lo"),
                            .hi = find(table, "routing", name, "distance_shift_hi"),
                            .tail = find(table, "routing", name, "tail_loss"),
                            .window = find(table, "routing", name, "tail_window"),
                            .needle_base = base == NULL ? NULL : find(table, "probe", base, "retrieval_mass"),
                            .needle = find(table, "probe", name, "retrieval_mass"),
                            .score_base = base == NULL ? NULL : find(table, "probe", base, "retrieval_score"),
                            .score = find(table, "probe", name, "retrieval_score")};
}

static void add_losses(const struct sources *from, struct qk_probe_summary *s)
{
    for (size_t i = 0; i < from->shift->n_values; i++) {
        struct qk_range_loss loss = {.layer = i / from->shift->shape[1],
                                     .head = i % from->shift->shape[1],
                                     .shift = from->shift->v.f64[i],
                                     .lo = at(from->lo, i),
                                     .hi = at(from->hi, i),
                                     .tail_loss = at(from->tail, i),
                                     .tail_window = at(from->window, i),
                                     .needle_base = at(from->needle_base, i),
                                     .needle = at(from->needle, i)};
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
static void add_needle(const struct sources *from, struct qk_probe_summary *s)
{
    const struct qk_node *base = from->needle_base;
    for (size_t i = 0; base != NULL && base->n_dims == 2 && i < base->n_values; i++) {
        if (!isnan(base->v.f64[i])) {
            struct qk_needle_head head = {.layer = i / base->shape[1],
                                          .head = i % base->shape[1],
                                          .base = base->v.f64[i],
                                          .tuned = at(from->needle, i),
                                          .score_base = at(from->score_base, i),
                                          .score_tuned = at(from->score, i),
                                          .shift = at(from->shift, i),
                                          .lo = at(from->lo, i),
                                          .hi = at(from->hi, i)};
            insert_needle(s, &head);
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
    struct sources from = sources_of(table, name);
    s.has_losses = from.shift != NULL && from.shift->n_dims == 2;
    if (s.has_losses) {
        add_losses(&from, &s);
        add_needle(&from, &s);
    }
    *ret = s;
    return QK_OK;
}
