/* What the page's scripts read: the run's groups and arrays as one JSON object
 *
 *   {"groups": {"/checkpoints/base": {"role": "base", …}, …},
 *    "arrays": {"/drift/sft/q_rel_drift": {"dims": ["/model/layer", …], "shape": [8, 6], "values": […], "title": …}},
 *    "left_out": ["/probe/…"]}
 *
 * Numbers have six significant digits, those that are not finite are null. Private to the report. */
#ifndef QK_PLOT_REPORT_DATA_H
#define QK_PLOT_REPORT_DATA_H

#include <stdbool.h>

#include "analyses/table.h"
#include "base/str.h"

/* Appends the object with '<' escaped, so that no text in it can end the element that it stands in. */
void qk_report_add_data(const struct qk_table *table, struct qk_str *out);
/* True when the page shows an array whose path fits the pattern and which has a value. */
bool qk_report_has(const struct qk_table *table, const char *pattern);

#endif
