/* Runs of drift on made checkpoints, and what must hold of every table that comes out. */
#ifndef QK_TESTS_MADE_RUN_H
#define QK_TESTS_MADE_RUN_H

#include "analyses/metric.h"
#include "made_pair.h"

/* The pair at hand. */
extern struct made_weights base_weights, tuned_weights;

/* Fills base_weights, and tuned_weights as the same moved by size. */
void fresh(enum made_family family, double size);
/* A path below the test's directory; valid until the next but one call. */
const char *place(const char *name);
enum qk_code run_pair(const struct made_input *base, const struct made_input *tuned,
                      const struct qk_drift_options *options, size_t threads, struct qk_table **ret,
                      struct qk_err *err) QK_CHECKED;
/* Writes both, runs, and gives the table; a failing run fails the test. */
struct qk_table *drift(const struct made_weights *a, const struct made_weights *b, size_t threads);
/* /drift/tuned/<metric><suffix>, which must be there. */
const struct qk_node *node_of(const struct qk_table *table, const char *metric, const char *suffix);
/* The metrics of a drift run. */
bool is_drift(const struct qk_metric *metric);
/* Every value in its range, every state in keeping with its values, every dataset described. */
void check_table(const struct qk_table *table);
int set_up(void **unused);
int tear_down(void **unused);

#endif
