/* The two halves of the table of findings: those from weights, those from probes. Private to src/advise. */
#ifndef QK_ADVISE_FINDING_TABLE_H
#define QK_ADVISE_FINDING_TABLE_H

#include "advise/finding.h"

extern const struct qk_finding_rule qk_drift_findings[];
extern const size_t qk_n_drift_findings;
extern const struct qk_finding_rule qk_probe_findings[];
extern const size_t qk_n_probe_findings;

#endif
