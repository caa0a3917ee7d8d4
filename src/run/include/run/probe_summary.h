/* The short answer of a probe run, read from its table: do the models speak, which heads lost range, which read the
 * needle. */
#ifndef QK_RUN_PROBE_SUMMARY_H
#define QK_RUN_PROBE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"

enum { QK_PROBE_SUMMARY_TOP = 5 };

struct qk_range_loss {
    size_t layer, head;
    double shift, lo, hi;          /* distance_shift and its interval (NaN with one probe) */
    double tail_loss, tail_window; /* NaN where the base has no far mass */
    double needle_base, needle;    /* retrieval_mass of the base and now; NaN without marked needles */
};

struct qk_needle_head {
    size_t layer, head;
    double base, tuned;             /* retrieval_mass */
    double score_base, score_tuned; /* retrieval_score; NaN where there is none */
    double shift, lo, hi;           /* distance_shift and its interval */
};

struct qk_probe_summary {
    double nll;              /* mean over the sequences */
    bool has_losses;         /* against a base in the table; the rest is empty without */
    size_t n_heads;          /* compared */
    size_t n_lost, n_gained; /* the whole interval of distance_shift below, resp. above, zero */
    size_t n_top;
    struct qk_range_loss top[QK_PROBE_SUMMARY_TOP]; /* most range lost first, only heads with a shift below zero */
    size_t n_needle;
    struct qk_needle_head needle[QK_PROBE_SUMMARY_TOP]; /* most attention on the needle in the base first */
};

/* Of /probe/NAME. QK_EFORMAT when there is no such entry. Parts of a run (--shard) have only their nll. */
enum qk_code qk_probe_summarise(const struct qk_table *table, const char *name, struct qk_probe_summary *ret,
                                struct qk_err *err) QK_CHECKED;

#endif
