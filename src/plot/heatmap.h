/* Cells in colour over a layer axis: the body of a heat map panel. */
#ifndef QK_PLOT_HEATMAP_H
#define QK_PLOT_HEATMAP_H

#include "axis.h"
#include "sheet.h"

enum qk_cell_kind {
    QK_CELL_ABSENT, /* there is no such head: stays white */
    QK_CELL_VOID,   /* there is one, but no value: grey */
    QK_CELL_VALUE,
};

struct qk_cell {
    enum qk_cell_kind kind;
    double value;
    bool mark; /* a small cross */
};

struct qk_heatmap {
    size_t n_x, n_y;
    const char *title; /* for the comment in the data file */
    struct qk_cell (*cell)(const void *ctx, size_t x, size_t y);
    const void *ctx;
    const char *columns; /* for the comment in the data file; NULL: layer, row and value */
};

struct qk_heatmap_seen {
    bool voids, marks; /* whether the legend must explain them */
};

/* Looks through the cells, so that the sheet can leave room for a legend. */
void qk_heatmap_scan(const struct qk_heatmap *map, struct qk_heatmap_seen *seen);
/* Writes the data blocks and the plot command of the panel that is being set up; width and height in cm. */
void qk_heatmap_plot(struct qk_sheet *sheet, const struct qk_heatmap *map, const struct qk_range *range, double width,
                     double height);

#endif
