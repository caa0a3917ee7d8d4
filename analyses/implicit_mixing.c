/* Rows of implied mixing of one head: see analyses/implicit_mixing.h. */
#include "analyses/implicit_mixing.h"

#include <math.h>

void qk_implicit_sample(size_t n_tokens, const bool *selected, size_t n, bool *sampled)
{
    size_t n_selected = 0, seen = 0;
    for (size_t t = 0; t < n_tokens; t++) {
        n_selected += selected[t] ? 1 : 0;
    }
    n = n < n_selected ? n : n_selected;
    /* counted from the last one: the i-th taken is number ⌊i · n_selected / n⌋ */
    for (size_t t = n_tokens, taken = 0; t-- > 0;) {
        sampled[t] = selected[t] && taken < n && seen == taken * n_selected / n;
        taken += sampled[t] ? 1 : 0;
        seen += selected[t] ? 1 : 0;
    }
}

size_t qk_implicit_scratch(size_t n_tokens, size_t d_k)
{
    return (n_tokens + d_k) * sizeof(double) + n_tokens * sizeof(float);
}

static void add_decay(const struct qk_linear_mixer *m, size_t head, struct qk_distance_sums *sums)
{
    double total = 0.0;
    if (m->g == NULL && m->slope == NULL) {
        return;
    }
    for (size_t t = 0; t < m->n_tokens; t++) {
        if (m->g == NULL) {
            total += m->slope[head];
        } else if (!m->g_per_key) {
            total -= (double)m->g[t * m->n_heads + head];
        } else {
            double channels = 0.0;
            for (size_t d = 0; d < m->d_k; d++) {
                channels -= (double)m->g[(t * m->n_heads + head) * m->d_k + d];
            }
            total += channels / (double)m->d_k;
        }
    }
    sums->scalar[QK_SUM_DECAY_TOKENS] += (double)m->n_tokens;
    sums->scalar[QK_SUM_DECAY] += total;
}

void qk_implicit_add_head(const struct qk_linear_mixer *mixer, const float *value_scale, size_t head,
                          const struct qk_distance_plan *plan, void *scratch, struct qk_distance_sums *sums)
{
    double *mixing = scratch, *work = mixing + mixer->n_tokens;
    float *row = (float *)(void *)(work + mixer->d_k);
    add_decay(mixer, head, sums);
    for (size_t t = 0; t < mixer->n_tokens; t++) {
        if (!plan->selected[t] && (plan->answer == NULL || !plan->answer[t])) {
            continue;
        }
        double total = 0.0;
        qk_implicit_row(mixer, head, t, mixing, work);
        for (size_t s = 0; s <= t; s++) {
            double scale = value_scale == NULL ? 1.0 : (double)value_scale[s * mixer->n_heads + head];
            mixing[s] = fabs(mixing[s] * scale);
            total += mixing[s];
        }
        if (total == 0.0) {
            continue;
        }
        for (size_t s = 0; s <= t; s++) {
            row[s] = (float)(mixing[s] / total);
        }
        qk_distance_add_row(plan, t, 0, t + 1, row, sums);
    }
}
