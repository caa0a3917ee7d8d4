/* The metric table: the rows of all analyses, in the order of the build list. */
#include "analyses/metric.h"

#include <string.h>

size_t qk_metric_count(void)
{
    size_t n = 0;
    for (unsigned i = 0; i < qk_analyses_count; i++) {
        n += qk_analyses[i]->n_metrics;
    }
    return n;
}

const struct qk_metric *qk_metric_at(size_t i)
{
    for (unsigned a = 0; a < qk_analyses_count; a++) {
        if (i < qk_analyses[a]->n_metrics) {
            return &qk_analyses[a]->metrics[i];
        }
        i -= qk_analyses[a]->n_metrics;
    }
    return NULL;
}

const struct qk_metric *qk_metric_find(const char *group, const char *name)
{
    for (unsigned a = 0; a < qk_analyses_count; a++) {
        for (size_t i = 0; i < qk_analyses[a]->n_metrics; i++) {
            const struct qk_metric *metric = &qk_analyses[a]->metrics[i];
            if (strcmp(metric->group, group) == 0 && strcmp(metric->name, name) == 0) {
                return metric;
            }
        }
    }
    return NULL;
}
