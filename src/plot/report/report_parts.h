/* The parts of the page that are text: each appends its HTML, a sentence where the run has nothing for it.
 * Private to the report. */
#ifndef QK_PLOT_REPORT_PARTS_H
#define QK_PLOT_REPORT_PARTS_H

#include "plot/report.h"

struct qk_report_page {
    const struct qk_table *table;
    const struct qk_report_options *options;
};

typedef void qk_report_part(const struct qk_report_page *page, struct qk_str *out);

/* report_texts.c */
qk_report_part qk_report_title, qk_report_subtitle, qk_report_verdict, qk_report_findings, qk_report_plan,
    qk_report_measured, qk_report_commands;
/* report_tables.c */
qk_report_part qk_report_layers, qk_report_recall, qk_report_reasoning, qk_report_checkpoints, qk_report_provenance;

/* Value i of an array as a double: NaN outside, for missing arrays and for strings. node may be NULL. */
double qk_report_value(const struct qk_node *node, size_t i);
/* "…" instead of NULL. */
const char *qk_report_text(const struct qk_node *node, const char *attr);
/* A path below a checkpoint: "/drift/sft/q_rel_drift"; leaf NULL for the entry itself. */
const struct qk_node *qk_report_find(const struct qk_table *table, const char *group, const char *name,
                                     const char *leaf);
/* The name of the first checkpoint with the role, or NULL. */
const char *qk_report_role(const struct qk_table *table, const char *role);

#endif
