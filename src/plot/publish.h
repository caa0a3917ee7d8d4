/* From a finished sheet to files: script, data and pictures appear in the directory only when all of them are there. */
#ifndef QK_PLOT_PUBLISH_H
#define QK_PLOT_PUBLISH_H

#include "base/err.h"
#include "plot/plot.h"
#include "sheet.h"

/* QK_EUSAGE for a format that there is not. */
enum qk_code qk_publish_check_formats(const char *const *formats, size_t n, struct qk_err *err) QK_CHECKED;
/* Draws the sheet in a temporary directory inside options->dir and moves what came out there. *n_files grows by the
 * number of pictures (scripts with script_only). */
enum qk_code qk_publish(const struct qk_sheet *sheet, const char *const *formats, size_t n_formats,
                        const struct qk_plot_options *options, const struct qk_progress *progress, size_t *n_files,
                        struct qk_err *err) QK_CHECKED;

#endif
