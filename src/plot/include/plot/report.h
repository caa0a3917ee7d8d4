/* The HTML report: result table → one page that a browser shows without a network.
 *
 * Texts and tables are in the page as such, so that they can be read without JavaScript and printed; the figures are
 * drawn in the page from the data that it carries (src/plot/report/: page.html, page.css and the scripts). */
#ifndef QK_PLOT_REPORT_H
#define QK_PLOT_REPORT_H

#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/str.h"

/* Something that the run shows, in words. */
struct qk_report_finding {
    const char *severity; /* "info" "warning" "alarm" */
    const char *id;       /* of the rule */
    const char *text;     /* sentences */
    const char *number;   /* what the numbers in brackets are, and the threshold; NULL where there are none */
};

struct qk_report_options {
    const char *run;        /* name of the run file, for the commands shown */
    const char *checkpoint; /* that the findings are about; NULL without findings */
    const struct qk_report_finding *findings;
    size_t n_findings;
};

/* Appends the page, UTF-8, to *out. Parts that the table has no data for say so in a sentence. The same table and
 * options give the same bytes. Arrays are written with six significant digits; those longer than half a million values
 * are left out and named. Cost: the table's values, about 8 bytes each. */
enum qk_code qk_report_write(const struct qk_table *table, const struct qk_report_options *options, struct qk_str *out,
                             struct qk_err *err) QK_CHECKED;

#endif
