/* Tables of the page: see html_table.h. */
#include "html_table.h"

#include <math.h>
#include <stdint.h>

void qk_html_table_begin(struct qk_str *out, const char *id, const char *caption, const char *const *columns)
{
    qk_str_add(out, "<div class=\"scroll\"><table class=\"data\" id=\"");
    qk_str_add_html(out, id);
    qk_str_add(out, "\"><caption>");
    qk_str_add_html(out, caption);
    qk_str_add(out, "</caption><thead><tr>");
    for (size_t i = 0; columns[i] != NULL; i++) {
        qk_str_add(out, "<th scope=\"col\">");
        qk_str_add_html(out, columns[i]);
        qk_str_add(out, "</th>");
    }
    qk_str_add(out, "</tr></thead><tbody>\n");
}

void qk_html_table_end(struct qk_str *out)
{
    qk_str_add(out, "</tbody></table></div>\n");
}

void qk_html_row_begin(struct qk_str *out)
{
    qk_str_add(out, "<tr>");
}

void qk_html_row_end(struct qk_str *out)
{
    qk_str_add(out, "</tr>\n");
}

void qk_html_cell_text(struct qk_str *out, const char *text)
{
    qk_str_add(out, "<td>");
    qk_str_add_html(out, text);
    qk_str_add(out, "</td>");
}

void qk_html_cell_code(struct qk_str *out, const char *text)
{
    qk_str_add(out, "<td><code>");
    qk_str_add_html(out, text);
    qk_str_add(out, "</code></td>");
}

/* False: the cell is empty and complete. */
static bool begin_number(struct qk_str *out, double value)
{
    if (!isfinite(value)) {
        qk_str_add(out, "<td class=\"number\"></td>");
        return false;
    }
    qk_str_add(out, "<td class=\"number\" data-value=\"");
    qk_str_add_double(out, value);
    qk_str_add(out, "\">");
    return true;
}

void qk_html_cell_number(struct qk_str *out, double value)
{
    if (begin_number(out, value)) {
        qk_str_addf(out, "%.4g</td>", value);
    }
}

void qk_html_cell_share(struct qk_str *out, double value)
{
    if (begin_number(out, value)) {
        qk_str_addf(out, "%.1f %%</td>", 100.0 * value);
    }
}

void qk_html_cell_bytes(struct qk_str *out, double bytes)
{
    if (begin_number(out, bytes)) {
        qk_str_add_bytes(out, (uint64_t)bytes);
        qk_str_add(out, "</td>");
    }
}
