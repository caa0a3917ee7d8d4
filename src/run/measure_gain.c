/* Paired differences between variants: see run/measure_search.h. */
#include <math.h>

#include "run/measure_search.h"

struct qk_paired qk_paired_probability(size_t n, const double *a, const double *b)
{
    struct qk_paired p = {0, 0};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp(a[i]) - exp(b[i]);
    }
    p.mean = n > 0 ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++) {
        double d = exp(a[i]) - exp(b[i]) - p.mean;
        squares += d * d;
    }
    p.se = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : 0;
    return p;
}

struct qk_paired qk_paired_hits(size_t n, const uint8_t *a, const uint8_t *b)
{
    double won = 0, lost = 0;
    for (size_t i = 0; i < n; i++) {
        won += a[i] > b[i];
        lost += a[i] < b[i];
    }
    double mean = (won - lost) / (double)n;
    return (struct qk_paired){mean, sqrt(fmax((won + lost) / (double)n - mean * mean, 0) / (double)n)};
}

void qk_paired_interval(size_t n, size_t won, size_t lost, double *ret_lo, double *ret_hi)
{
    double of = (double)n + 2, d = ((double)won - (double)lost) / of;
    double half = 1.959963984540054 * sqrt(fmax(((double)won + (double)lost + 1) / of - d * d, 0) / of);
    *ret_lo = fmax(d - half, -1);
    *ret_hi = fmin(d + half, 1);
}

static void count_hits(size_t n, const uint8_t *a, const uint8_t *b, size_t *won, size_t *lost)
{
    *won = *lost = 0;
    for (size_t i = 0; i < n; i++) {
        *won += a[i] > b[i];
        *lost += a[i] < b[i];
    }
}

struct qk_gain qk_recall_gain(const struct qk_outcome *a, const struct qk_outcome *b)
{
    struct qk_gain g = {.probability = qk_paired_probability(a->n_recall, a->logprob, b->logprob)};
    count_hits(a->n_recall, a->hit, b->hit, &g.won, &g.lost);
    return g;
}

bool qk_gain_is_real(const struct qk_gain *g)
{
    double both = (double)(g->won + g->lost);
    return g->probability.mean > g->probability.se && (double)g->lost - (double)g->won <= sqrt(both);
}

/* Whether the answers' mean probability is at least half the share of hits. */
static bool probability_tells(size_t n, const uint8_t *hit, const double *logprob)
{
    double hits = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        hits += hit[i];
        sum += exp(logprob[i]);
    }
    return sum >= 0.5 * hits;
}

struct qk_reasoning_loss qk_reasoning_loss(const struct qk_outcome *o, const struct qk_outcome *tuned)
{
    size_t n = o->n_reasoning, first = o->n_recall, won, lost;
    struct qk_reasoning_loss r = {0, 0, 0, 0};
    if (n == 0) {
        return r;
    }
    count_hits(n, o->hit + first, tuned->hit + first, &won, &lost);
    struct qk_paired p = qk_paired_probability(n, tuned->logprob + first, o->logprob + first);
    double se = sqrt((double)(won + lost) + 1) / (double)n;
    r.loss = ((double)lost - (double)won) / (double)n;
    r.probability = p.mean;
    bool tells = probability_tells(n, tuned->hit + first, tuned->logprob + first);
    r.expected = tells ? (r.loss + p.mean) / 2 : r.loss;
    r.cautious = r.expected + (tells ? p.se : se);
    return r;
}
