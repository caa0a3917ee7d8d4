/* Figures: result table → gnuplot script and data files → pictures.
 *
 * One const struct qk_figure per figure (figure_*.c); the script and its data are left beside the picture, so that a
 * figure can be redrawn by hand with `gnuplot NAME.gp`. */
#ifndef QK_PLOT_PLOT_H
#define QK_PLOT_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "base/progress.h"

struct qk_plot_options {
    const char *dir;             /* output directory, made when missing */
    const char *const *figures;  /* names, NULL = all that the table has data for */
    size_t n_figures;
    const char *const *formats;  /* of "pdf" "svg" "png" "tex"; NULL = pdf and png */
    size_t n_formats;
    bool double_column;          /* 17.5 cm instead of 8.5 cm */
    bool script_only;            /* write .gp and .dat, do not run gnuplot */
    bool force;
};

struct qk_figure; /* plot/figure.h */
size_t qk_figure_count(void);
const char *qk_figure_name(size_t i);
const char *qk_figure_title(size_t i);

/* Draws; written files are reported through progress notices at verbosity −v. *ret_n (may be NULL): pictures or scripts
 * written. A figure named that the table has no data for is QK_EUSAGE saying what is missing. */
enum qk_code qk_plot(const struct qk_table *table, const struct qk_plot_options *options,
                     const struct qk_progress *progress, size_t *ret_n, struct qk_err *err) QK_CHECKED;
/* First line of `gnuplot --version`. */
enum qk_code qk_plot_gnuplot_version(char *out, size_t cap, struct qk_err *err) QK_CHECKED;

#endif
