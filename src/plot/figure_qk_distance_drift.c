/* Drift of the routing form as a function of token distance, one line per layer: which distances did the drift touch?
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_lines.h"
#include "layer_strip.h"

/* Distance 0 has no place on a logarithmic axis: it stands apart, left of 1. */
static const double zero_place = 0.5;

static double distance(const struct qk_run_view *view, const struct qk_values *values, size_t layer, size_t depth)
{
    (void)layer;
    double tau = qk_node_coordinate(view, values->node, 2, depth);
    return tau == 0 ? zero_place : tau > 0 ? tau : NAN;
}

static void set_distance_axis(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_values *values,
                              double length)
{
    double last = 2, first = 1;
    for (size_t k = 0; k < values->n_depth; k++) {
        double x = distance(view, values, 0, k);
        last = x > last ? x : last;
        first = x < first ? x : first;
    }
    size_t doublings = (size_t)ceil(log2(last) - 1e-9);
    size_t step = 1;
    while ((double)(doublings + 1) * 0.62 / (double)step > length) {
        step++;
    }
    qk_sheet_line(sheet, "set logscale x 2; set xrange [%g:%g]; unset mxtics", first / 1.25, last * 1.25);
    qk_str_add(&sheet->body, first < 1 ? "set xtics ('0' 0.5" : "set xtics (");
    for (size_t i = 0; i <= doublings; i += step) {
        unsigned long tau = 1UL << (i < 40 ? i : 40);
        bool kilo = tau >= 1024, mega = tau >= 1048576;
        qk_str_addf(&sheet->body, "%s'%lu%s' %lu", i > 0 || first < 1 ? ", " : "",
                    mega   ? tau / 1048576
                    : kilo ? tau / 1024
                           : tau,
                    mega   ? "M"
                    : kilo ? "k"
                           : "",
                    tau);
    }
    qk_str_add(&sheet->body, ")\n");
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_range range = {0};
    QK_TRY(qk_layer_lines_extent(view, "qk_distance_drift", SIZE_MAX, &range, err));
    qk_range_finish(&range, false);
    struct qk_layer_lines lines = {"qk_distance_drift", view,
                                   qk_run_view_values(view, view->current, "qk_distance_drift"), distance, true};
    const char *note = qk_layer_lines_note(&lines, &range);
    struct qk_grid grid = {.n = 1,
                           .cols = 1,
                           .panel_height = sheet->wide ? 5 : 4,
                           .left = 1.4,
                           .right = QK_LAYER_LINES_RIGHT,
                           .title = 0.12,
                           .foot = QK_GRID_FOOT + (note != NULL ? QK_GRID_NOTE : 0)};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    struct qk_box box = qk_grid_box(&grid, 0);
    qk_sheet_panel(sheet, box);
    qk_head_draw(sheet, view, QK_HEAD_DASH);
    qk_layer_lines_legend(sheet, view, &lines, &range, box);
    if (note != NULL) {
        qk_grid_note(sheet, 0, note);
    }
    qk_grid_y_title(sheet, box, 1.1, "drift of routing $‖ΔM_τ‖ / ‖M_τ‖$");
    qk_grid_x_title(sheet, box, "distance $τ$ (tokens)");
    set_distance_axis(sheet, view, &lines.values, box.right - box.left);
    qk_axis_set(sheet, "y", &range, box.top - box.bottom);
    return qk_layer_lines_plot(sheet, view, &lines, &range, err);
}

static const char *const metrics[] = {"qk_distance_drift", NULL};

const struct qk_figure qk_figure_qk_distance_drift = {
    .name = "qk-distance-drift",
    .title = "Drift of the routing form over token distance per layer",
    .reading =
        "Drift of the product of queries and keys at a distance in tokens, from the weights alone. A rise to the "
        "right is drift that acts on far tokens; a layer without rotary positions is flat.",
    .caution = "It weighs all inputs alike; what real text asks for is measured by a probe.",
    .metrics = metrics,
    .draw = draw,
};
