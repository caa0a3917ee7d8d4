/* What figures read of recall: /niah/NAME over task, length and depth, and the variants of /recommend/measured. Checked
 * here, so that a table of another shape gives "no data" and never a wild read. Borrows the table. */
#ifndef QK_PLOT_RECALL_VIEW_H
#define QK_PLOT_RECALL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyses/table.h"
#include "look.h"

/* Shares in [0, 1]; NaN where n is 0. */
struct qk_rate {
    double rate, lo, hi; /* Wilson 95 % */
    double n;            /* cases */
};

/* ---- /niah/NAME ------------------------------------------------------------------------------------------------- */

struct qk_recall {
    const double *score; /* (n_tasks, n_lengths, n_depths) */
    const int64_t *n;
    size_t n_tasks, n_lengths, n_depths;
    const char *const *tasks;
    const int64_t *lengths;
    const double *depths; /* NaN: not known */
};

/* False when the entry has no scores, or none that is finite. */
bool qk_recall_of(const struct qk_table *table, const char *checkpoint, struct qk_recall *ret);
/* NaN outside. */
struct qk_rate qk_recall_at(const struct qk_recall *recall, size_t task, size_t length, size_t depth);
/* Over all depths. */
struct qk_rate qk_recall_over_depths(const struct qk_recall *recall, size_t task, size_t length);
/* Smallest and largest number of cases in a cell that has any; pooled: over all depths. */
struct qk_case_count {
    double least, most;
};
void qk_recall_count(const struct qk_recall *recall, bool pooled, struct qk_case_count *count);
/* "12 cases", "8 to 12 cases". */
void qk_case_count_text(const struct qk_case_count *count, char *out, size_t cap);

/* ---- /recommend/measured ---------------------------------------------------------------------------------------- */

enum qk_measured_stage { QK_MEASURED_CONTROL, QK_MEASURED_SEARCH, QK_MEASURED_HELD_OUT };
enum qk_measured_role {
    QK_MEASURED_BASE,
    QK_MEASURED_TUNED,
    QK_MEASURED_PLAN, /* what was chosen */
    QK_MEASURED_RULE, /* Q and K of all softmax layers restored */
    QK_MEASURED_OTHER,
    QK_N_MEASURED_ROLES
};

struct qk_measured {
    size_t n, n_lengths;
    const char *const *label;
    const uint8_t *stage, *chosen;
    const double *recall[3], *reasoning[3]; /* rate, lo, hi; reasoning NULL where it is missing */
    const int64_t *recall_n, *reasoning_n;  /* NULL where they are missing */
    const int64_t *lengths;                 /* NULL with n_lengths 0 */
    const double *by_length[3];             /* (n, n_lengths) */
};

/* False when the run has no measured variants. */
bool qk_measured_of(const struct qk_table *table, struct qk_measured *ret);
enum qk_measured_role qk_measured_role_of(const struct qk_measured *measured, size_t variant);
struct qk_rate qk_measured_recall_at(const struct qk_measured *measured, size_t variant);
struct qk_rate qk_measured_reasoning_at(const struct qk_measured *measured, size_t variant);
struct qk_rate qk_measured_length_at(const struct qk_measured *measured, size_t variant, size_t length);
/* Base, tuned and plan look as the base, the first and the second other checkpoint of a run do. */
const struct qk_look *qk_measured_look(enum qk_measured_role role);

#endif
