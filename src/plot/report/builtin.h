/* The sources of the page, compiled in (src/text/embed.c). */
#ifndef QK_PLOT_REPORT_BUILTIN_H
#define QK_PLOT_REPORT_BUILTIN_H

#include <stddef.h>

struct qk_builtin {
    const char *bytes; /* NUL-terminated */
    size_t len;
};

extern const struct qk_builtin qk_builtin_page_html, qk_builtin_page_css, qk_builtin_page_js;

#endif
