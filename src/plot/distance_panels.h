/* Attention by distance in small panels, a line per checkpoint: the body of the histogram figures.
 *
 * The x axis counts the bins of /model/distance_bin and is labelled with their shortest distances; a line goes through
 * the mass in each bin, of one head or as the median over the heads of a layer with the band between the quartiles.
 * Under a panel a strip shows each checkpoint minus the base, which the lines above it hardly let see. */
#ifndef QK_PLOT_DISTANCE_PANELS_H
#define QK_PLOT_DISTANCE_PANELS_H

#include <stdbool.h>
#include <stddef.h>

#include "axis.h"
#include "grid.h"
#include "run_view.h"
#include "sheet.h"

#define QK_ALL_HEADS ((size_t)-1)

struct qk_distance_panel {
    size_t layer, head; /* head QK_ALL_HEADS: median */
    double score;       /* the figure's own */
};

struct qk_distance_panels {
    const struct qk_run_view *view; /* of group "probe" */
    struct qk_distance_panel *panels;
    size_t n, n_bins;
    bool any_implied;
    double *scratch; /* as many doubles as any layer has heads */
    struct qk_grid grid;
    struct qk_range range, difference;
    bool has_strips; /* differences to the base under each panel: a few panels, several checkpoints */
    /* Text above panel i; the star of implied layers follows by itself. */
    void (*title)(const struct qk_distance_panels *panels, size_t i, char *out, size_t cap);
    const char *note; /* lowest line; NULL = none */
    const char *more; /* the line above it; NULL = none */
};

/* The checkpoint that the others are compared with: the base, or the first when the base was not probed. */
size_t qk_distance_base(const struct qk_run_view *view);
/* Most heads and bins of any checkpoint's histogram. */
void qk_distance_extent(const struct qk_run_view *view, size_t *ret_n_heads, size_t *ret_n_bins);
/* True when a checkpoint has a histogram of this head (QK_ALL_HEADS: of any head of the layer). */
bool qk_distance_exists(const struct qk_run_view *view, size_t layer, size_t head);
/* Names of checkpoints that fit beside each other in the head of a sheet, by the longest of them. */
size_t qk_distance_name_columns(const struct qk_run_view *view, bool wide);
/* Panels that fit on a sheet. */
size_t qk_distance_fit(bool wide);
/* Lays out and draws all; everything above grid is given, title and notes too. */
void qk_distance_panels_draw(struct qk_sheet *sheet, struct qk_distance_panels *panels);

#endif
