/* Panels of equal size in rows and columns on a sheet, with room for titles, axes, a head and a foot. */
#ifndef QK_PLOT_GRID_H
#define QK_PLOT_GRID_H

#include "run_view.h"
#include "sheet.h"

struct qk_grid {
    /* given: */
    size_t n, cols;
    double panel_height;
    double left, right; /* margins of the sheet, cm */
    double gap_x;       /* between columns */
    double title;       /* above each panel: title and strip */
    double axis;        /* below each panel: 0 when only the lowest row has tick labels */
    double foot;        /* below everything: tick labels and axis title of the lowest row, notes */
    /* computed by qk_grid_place: */
    size_t rows;
    double panel_width, top;
};

/* Sets the sheet's height. head = room at the top. */
void qk_grid_place(struct qk_sheet *sheet, struct qk_grid *grid, double head);
struct qk_box qk_grid_box(const struct qk_grid *grid, size_t i);
/* True when no panel lies below panel i. */
bool qk_grid_is_lowest(const struct qk_grid *grid, size_t i);

/* A panel's layer axis: ticks, and on the lowest panels labels and the title "layer". */
void qk_grid_layer_axis(struct qk_sheet *sheet, const struct qk_grid *grid, size_t i, const struct qk_run_view *view);
/* Title above a panel, left-aligned with it. strip = room that a layer strip takes. */
void qk_grid_title(struct qk_sheet *sheet, struct qk_box box, double strip, const char *markup);
/* Title of the y axis, at x cm from the panel's left edge, read from below. */
void qk_grid_y_title(struct qk_sheet *sheet, struct qk_box box, double x, const char *markup);
/* Title of the x axis below a panel. */
void qk_grid_x_title(struct qk_sheet *sheet, struct qk_box box, const char *markup);
/* A row of coloured samples with their names, starting at (x, y); gives the x behind it. Entries end with label NULL.
 */
struct qk_legend {
    const char *label;
    const char *colour; /* "#rrggbb" */
    const char *dash;   /* NULL: a square; else a line of that dash type */
    int point;          /* 0, or gnuplot's point type to show instead */
};
double qk_grid_legend(struct qk_sheet *sheet, double x, double y, const struct qk_legend *entries);
/* A note in the lowest line of the sheet; line 0 is the lowest. */
void qk_grid_note(struct qk_sheet *sheet, size_t line, const char *markup);
#define QK_GRID_FOOT 0.95
#define QK_GRID_NOTE 0.36

#endif
