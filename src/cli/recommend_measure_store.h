/* What recommend --measure --store writes. Private to src/cli. */
#ifndef QK_CLI_RECOMMEND_MEASURE_STORE_H
#define QK_CLI_RECOMMEND_MEASURE_STORE_H

#include "advise/recommendation.h"
#include "analyses/table.h"
#include "cli/command.h"
#include "run/measure.h"

/* Writes the file that --store names, if any: the run with /recommend and what was measured added, or (run NULL) a file
 * of its own. evidence and recommendation: of the run; the latter's actions become the plan's. */
enum qk_code qk_measure_store(struct qk_cli *cli, struct qk_table *run, const struct qk_evidence *evidence,
                              const struct qk_run_input inputs[2], const struct qk_measurement *measurement,
                              struct qk_recommendation *recommendation, struct qk_err *err) QK_CHECKED;

#endif
