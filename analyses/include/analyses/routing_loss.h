/* Routing loss: what a head's attention distance lost between two checkpoints on the same probes, with a bootstrap
 * interval over the probes (Efron 1979: percentile interval, the probes drawn with replacement, both checkpoints in the
 * same draw). */
#ifndef QK_ANALYSES_ROUTING_LOSS_H
#define QK_ANALYSES_ROUTING_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QK_BOOTSTRAP_RESAMPLES = 1000, QK_BOOTSTRAP_SEED = 20240607 };

enum qk_routing_loss_kind { QK_LOSS_TAIL, QK_LOSS_SHIFT, QK_LOSS_EMD, QK_N_LOSSES };

struct qk_routing_loss {
    double value[QK_N_LOSSES]; /* NaN: does not exist */
    double lo[QK_N_LOSSES], hi[QK_N_LOSSES];
    double tail_window; /* tokens; NaN: the base has no window with a mass of 1 % beyond it */
    size_t n_sequences; /* probes that both have */
    bool is_absent;     /* the head was not probed, or does not exist */
};

/* A head's sums in each of n sequences (analyses/attention_distance.h): sequence i at scalar + i · scalar_stride and so
 * on. A sequence with NaN or without queries is not there. */
struct qk_head_sums {
    const double *scalar, *bins, *tail;
    size_t scalar_stride, bins_stride, tail_stride;
};

/* Doubles of work. */
size_t qk_routing_loss_work(size_t n_sequences, size_t n_bins, size_t n_windows);
/* counts: qk_bootstrap_counts(QK_BOOTSTRAP_SEED, QK_BOOTSTRAP_RESAMPLES, n_sequences). With one sequence there is no
 * interval (NaN). Cost: resamples · n_sequences · (bins + windows). */
void qk_routing_loss_of(const struct qk_head_sums *base, const struct qk_head_sums *tuned, size_t n_sequences,
                        size_t n_bins, size_t n_windows, const uint32_t *counts, double *work,
                        struct qk_routing_loss *ret);

#endif
