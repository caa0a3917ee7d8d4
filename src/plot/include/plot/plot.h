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
    const char *dir;            /* output directory, made when missing */
    const char *const *figures; /* names, NULL = all that the table has data for */
    size_t n_figures;
    const char *const *formats; /* of "pdf" "svg" "png" "tex"; NULL = pdf and png */
    size_t n_formats;
    bool double_column; /* 17.5 cm instead of 8.5 cm */
    bool script_only;   /* write .gp and .dat, do not run gnuplot */
    bool force;
    /* Called with the path of every picture (or script) as soon as it is there; NULL: a progress notice instead. */
    void (*on_file)(void *ctx, const char *path);
    void *on_file_ctx;
};

struct qk_figure; /* plot/figure.h */
size_t qk_figure_count(void);
const char *qk_figure_name(size_t i);
const char *qk_figure_title(size_t i);
const char *qk_figure_reading(size_t i); /* how to read it, sentences */
const char *qk_figure_caution(size_t i); /* when it misleads, sentences */
/* True when the table has at least one finite value that figure i shows. */
bool qk_figure_has_data(const struct qk_table *table, size_t i);

/* Draws. One picture per tuned checkpoint: NAME.pdf, or NAME-<checkpoint>.pdf when the run has several (figures that
 * compare checkpoints are drawn once); beside it NAME.gp and NAME.dat. A tex picture is NAME.tex, which reads
 * NAME-inc.tex and NAME-inc.pdf. The files of one picture appear when gnuplot has drawn all its formats, or not at all;
 * the same table gives the same bytes. *ret_n (may be NULL): pictures or scripts written. A figure named that the table
 * has no data for is QK_EUSAGE saying what is missing; gnuplot missing or failing is QK_ECHILD. */
enum qk_code qk_plot(const struct qk_table *table, const struct qk_plot_options *options,
                     const struct qk_progress *progress, size_t *ret_n, struct qk_err *err) QK_CHECKED;
/* First line of `gnuplot --version`. */
enum qk_code qk_plot_gnuplot_version(char *out, size_t cap, struct qk_err *err) QK_CHECKED;

#endif
