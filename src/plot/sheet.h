/* A sheet of paper: the script and the data file of one picture while they are put together.
 *
 * Places are in centimetres from the lower left corner. Figures set the height, add data blocks and panels; the head of
 * the script (terminal, fonts, sizes) is written by qk_sheet_script at the end. An allocation failure sticks and is
 * reported there. */
#ifndef QK_PLOT_SHEET_H
#define QK_PLOT_SHEET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct qk_box {
    double left, bottom, right, top; /* cm */
};

struct qk_sheet {
    const char *stem;   /* file name without suffix: characters that need no quoting anywhere */
    const char *title;  /* our own text */
    const char *format; /* drawn when the script is run without a choice */
    bool wide;
    double width, height; /* cm; height is the figure's to set */
    struct qk_str body, data;
    size_t n_blocks;
};

void qk_sheet_init(struct qk_sheet *sheet, const char *stem, const char *title, const char *format, bool wide);
void qk_sheet_release(struct qk_sheet *sheet);

/* One line of script. */
void qk_sheet_line(struct qk_sheet *sheet, const char *fmt, ...) QK_PRINTF(2, 3);
/* A line around a label: before + expression of markup (label.h) + after. */
void qk_sheet_labelled(struct qk_sheet *sheet, const char *before, const char *markup, const char *after);
/* Text at a place. align "left" "center" "right"; names as in label.h; more = further options of `set label`. */
void qk_sheet_text(struct qk_sheet *sheet, double x, double y, const char *align, const char *markup,
                   const char *const *names, const char *more);
/* A filled rectangle without border, "#rrggbb". */
void qk_sheet_rectangle(struct qk_sheet *sheet, struct qk_box box, const char *colour);
/* A straight line; style = line options ("lw 1 lc rgb '#000000'"). */
void qk_sheet_rule(struct qk_sheet *sheet, double x0, double y0, double x1, double y1, const char *style);

/* Starts a panel with clean settings (no labels, keys, colour bar, logarithms, formats or tics of the one before). */
void qk_sheet_panel(struct qk_sheet *sheet, struct qk_box box);
/* A vertical colour bar for the panel being set up. */
void qk_sheet_colour_bar(struct qk_sheet *sheet, struct qk_box box);
/* Ends a panel that has nothing to show: axes and the words "no data". */
void qk_sheet_no_data(struct qk_sheet *sheet);

/* Starts a data block (an index of the data file) and gives its number; title and columns go into a comment. */
size_t qk_sheet_block(struct qk_sheet *sheet, const char *title, const char *columns);
void qk_sheet_row(struct qk_sheet *sheet, const double *v, size_t n);
/* A break inside a block: lines are not drawn across it. */
void qk_sheet_break(struct qk_sheet *sheet);

/* The whole script. QK_ENOMEM when any allocation failed. */
enum qk_code qk_sheet_script(const struct qk_sheet *sheet, struct qk_str *ret, struct qk_err *err) QK_CHECKED;

#endif
