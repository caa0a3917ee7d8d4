/* Tables of the page. A table of class "data" is made sortable, filterable and downloadable by the page's scripts.
 * Private to the report. */
#ifndef QK_PLOT_HTML_TABLE_H
#define QK_PLOT_HTML_TABLE_H

#include <stddef.h>

#include "base/str.h"

/* columns: NULL-terminated headings. */
void qk_html_table_begin(struct qk_str *out, const char *id, const char *caption, const char *const *columns);
void qk_html_table_end(struct qk_str *out);
void qk_html_row_begin(struct qk_str *out);
void qk_html_row_end(struct qk_str *out);
void qk_html_cell_text(struct qk_str *out, const char *text);
/* Long names and hashes, in one font width. */
void qk_html_cell_code(struct qk_str *out, const char *text);
/* Four significant digits; empty when not finite. The cell sorts by the value with all digits. */
void qk_html_cell_number(struct qk_str *out, double value);
/* A share as a percentage with one digit. */
void qk_html_cell_share(struct qk_str *out, double value);
/* "1.5 GB", sorted by the number. */
void qk_html_cell_bytes(struct qk_str *out, double bytes);

#endif
