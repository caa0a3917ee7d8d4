/* One line per layer: the median over its heads along a third axis (angle index, distance, wavelength), coloured by
 * depth, dashed by layer kind; with few lines also the band between the quartiles. */
#ifndef QK_PLOT_LAYER_LINES_H
#define QK_PLOT_LAYER_LINES_H

#include <stdbool.h>

#include "axis.h"
#include "run_view.h"
#include "sheet.h"

struct qk_layer_lines {
    const char *title; /* for comments in the data file */
    const struct qk_run_view *view;
    struct qk_values values;
    /* Place of a depth index on the x axis; NaN leaves it out. */
    double (*x)(const struct qk_run_view *view, const struct qk_values *values, size_t layer, size_t depth);
    bool apart; /* the first depth is a point of its own, not joined to the line (distance 0 on a logarithmic axis) */
};

/* Adds to range what the lines of a metric show (medians and quartiles over the heads), in all checkpoints, so that
 * their pictures share one scale. max_depth: depth indices to look at, SIZE_MAX for all. */
enum qk_code qk_layer_lines_extent(const struct qk_run_view *view, const char *metric, size_t max_depth,
                                   struct qk_range *range, struct qk_err *err) QK_CHECKED;
/* Layers that have a line on this y axis: on a logarithmic one, layers that are zero throughout have none. */
size_t qk_layer_lines_count(const struct qk_layer_lines *lines, bool log);
/* Data blocks and plot command of the panel being set up. */
enum qk_code qk_layer_lines_plot(struct qk_sheet *sheet, const struct qk_run_view *view,
                                 const struct qk_layer_lines *lines, const struct qk_range *range,
                                 struct qk_err *err) QK_CHECKED;
/* The colour of a layer's line. */
void qk_layer_colour(const struct qk_run_view *view, size_t layer, char ret[8]);
/* Which colour is which layer, right of box: samples when there are few lines, else a colour bar. */
void qk_layer_lines_legend(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_layer_lines *lines,
                           const struct qk_range *range, struct qk_box box);
/* Room for it at the right of a sheet, cm. */
#define QK_LAYER_LINES_RIGHT 1.45
/* The note that says so when all zero lines are missing, NULL when none are. */
const char *qk_layer_lines_note(const struct qk_layer_lines *lines, const struct qk_range *range);

#endif
