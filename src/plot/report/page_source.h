/* The sources of the page, compiled in (src/text/embed.c). */
#ifndef QK_PLOT_REPORT_PAGE_SOURCE_H
#define QK_PLOT_REPORT_PAGE_SOURCE_H

#include <stddef.h>

struct qk_page_source {
    const char *bytes; /* NUL-terminated */
    size_t len;
};

extern const struct qk_page_source qk_page_source_html, qk_page_source_css, qk_page_source_js;

#endif
