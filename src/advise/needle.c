/* What a head lost of the needle, with how sure the probes are of it: the paired differences base − tuned per probe,
 * and the lower end of Student's interval of their mean. */
#include <math.h>
#include <string.h>

#include "advise/evidence.h"

/* Two-sided 95 % quantiles of Student's t by degrees of freedom from 1 on; beyond the table the normal one's error is
 * below 4 %. */
static const double student[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                 2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                 2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
enum { N_STUDENT = sizeof student / sizeof student[0] };
static const double normal = 1.960;

/* Two measures of the needle: quotients of sums that the probe keeps per sequence, and the metric that is their mean.
 */
static const struct needle_measure {
    enum qk_datum base, tuned;
    const char *part, *whole; /* on the scale of sums */
} measures[] = {
    {QK_DATUM_BASE_NEEDLE, QK_DATUM_TUNED_NEEDLE, "answer_needle", "answer_queries"},
    {QK_DATUM_BASE_SCORE, QK_DATUM_TUNED_SCORE, "needle_copied", "needle_tokens"},
};
enum { N_MEASURES = sizeof measures / sizeof measures[0] };

/* (sequence, layer, head, sum), or NULL. */
static bool is_usable(const struct qk_evidence *e, const struct qk_node *sums)
{
    return sums != NULL && !sums->is_group && sums->type == QK_TYPE_F64 && sums->n_dims == 4 &&
           sums->shape[1] == e->n_layers;
}

/* SIZE_MAX: there is no such sum. */
static size_t sum_index(const struct qk_evidence *e, const struct qk_node *sums, const char *name)
{
    const struct qk_node *names = qk_table_find(e->table, sums->dims[3]);
    for (size_t i = 0; names != NULL && names->type == QK_TYPE_STR && i < names->n_values; i++) {
        if (i < sums->shape[3] && names->v.str[i] != NULL && strcmp(names->v.str[i], name) == 0) {
            return i;
        }
    }
    return (size_t)-1;
}

static double quotient(const struct qk_node *sums, size_t sequence, size_t layer, size_t head, size_t part,
                       size_t whole)
{
    const double *row = sums->v.f64 + ((sequence * sums->shape[1] + layer) * sums->shape[2] + head) * sums->shape[3];
    return row[whole] > 0.0 ? row[part] / row[whole] : (double)NAN;
}

/* Mean fall and lower end of its interval over the probes; lo = NaN where fewer than two probes have both. */
static double lower_end(const struct qk_evidence *e, const struct needle_measure *measure, size_t layer, size_t head)
{
    const struct qk_node *base = e->base_sums, *tuned = e->tuned_sums;
    if (!is_usable(e, base) || !is_usable(e, tuned) || memcmp(base->shape, tuned->shape, sizeof base->shape) != 0 ||
        head >= base->shape[2]) {
        return NAN;
    }
    size_t part = sum_index(e, base, measure->part), whole = sum_index(e, base, measure->whole), n = 0;
    double mean = 0.0, squares = 0.0;
    for (size_t s = 0; part != (size_t)-1 && whole != (size_t)-1 && s < base->shape[0]; s++) {
        double fall = quotient(base, s, layer, head, part, whole) - quotient(tuned, s, layer, head, part, whole);
        if (isfinite(fall)) { /* Welford 1962 */
            double before = fall - mean;
            mean += before / (double)++n;
            squares += before * (fall - mean);
        }
    }
    if (n < 2) {
        return NAN;
    }
    double quantile = n - 2 < N_STUDENT ? student[n - 2] : normal;
    return mean - quantile * sqrt(squares / ((double)(n - 1) * (double)n));
}

double qk_evidence_needle_fall(const struct qk_evidence *e, size_t layer, size_t head)
{
    double most = NAN;
    for (size_t i = 0; i < N_MEASURES; i++) {
        most = fmax(most, qk_evidence_at(e, measures[i].base, layer, head) -
                              qk_evidence_at(e, measures[i].tuned, layer, head));
    }
    return most;
}

double qk_evidence_needle_loss(const struct qk_evidence *e, size_t layer, size_t head)
{
    double most = NAN;
    for (size_t i = 0; i < N_MEASURES; i++) {
        double fall =
            qk_evidence_at(e, measures[i].base, layer, head) - qk_evidence_at(e, measures[i].tuned, layer, head);
        double lo = isnan(fall) ? (double)NAN : lower_end(e, &measures[i], layer, head);
        most = fmax(most, isnan(lo) ? fall : lo);
    }
    return most;
}
