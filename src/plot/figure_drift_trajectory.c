/* Drift over the tuned checkpoints of a run, one line per layer (median over its heads): when did which layer move? */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "layer_lines.h"
#include "layer_strip.h"
#include "palette.h"

struct panel {
    const char *metric, *title;
};

static const struct panel panels[] = {
    {"q_rel_drift", "queries  $W_Q$"},
    {"k_rel_drift", "keys  $W_K$"},
    {"qk_rel_drift", "routing  $W_Q{}^T W_K$"},
};
enum { N_PANELS = sizeof panels / sizeof panels[0], MAX_NAMED = 12 };

static double any_place(const struct qk_run_view *view, const struct qk_values *values, size_t layer, size_t depth)
{
    (void)view;
    (void)values;
    (void)layer;
    return (double)depth;
}

/* Median over the heads of a layer in checkpoint c; NaN when there is none. */
static double median_of(const struct qk_run_view *view, size_t c, const char *metric, size_t layer, double *scratch)
{
    struct qk_values values = qk_run_view_values(view, c, metric);
    struct qk_spread s;
    return qk_values_spread(&values, layer, 0, scratch, &s) ? s.median : NAN;
}

static size_t most_heads(const struct qk_run_view *view)
{
    size_t most = 1;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        for (size_t p = 0; p < N_PANELS; p++) {
            struct qk_values values = qk_run_view_values(view, c, panels[p].metric);
            most = values.n_heads > most ? values.n_heads : most;
        }
    }
    return most;
}

static void plot_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct panel *panel, bool log,
                       double *scratch)
{
    const char *comma = "plot ";
    for (size_t l = 0; l < view->n_layers; l++) {
        size_t n = 0;
        bool gap = false;
        for (size_t c = 0; c < view->n_checkpoints; c++) {
            double v = median_of(view, c, panel->metric, l, scratch);
            if (!isfinite(v) || (log && v <= 0)) {
                gap = n > 0;
                continue;
            }
            if (n++ == 0) {
                char title[128];
                (void)snprintf(title, sizeof title, "%s of layer %zu", panel->metric, l);
                (void)qk_sheet_block(sheet, title, "checkpoint (from 1) median over the heads");
            }
            if (gap) {
                qk_sheet_break(sheet);
                gap = false;
            }
            double row[] = {(double)c + 1, v};
            qk_sheet_row(sheet, row, 2);
        }
        if (n > 0) {
            char colour[8];
            qk_layer_colour(view, l, colour);
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2 with linespoints pointtype 7 pointsize 0.25 linewidth 1 "
                          "dashtype %s linecolor rgb '%s' notitle \\",
                          comma, sheet->n_blocks - 1, qk_layer_dash(view, l), colour);
            comma = "   , ";
        }
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

static size_t name_columns(const struct qk_run_view *view, bool wide)
{
    size_t longest = 0;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        size_t n = strlen(view->checkpoints[c]);
        longest = n > longest ? n : longest;
    }
    return longest <= 20 ? (wide ? 4 : 2) : wide ? 3 : 1;
}

static size_t name_lines(const struct qk_run_view *view, bool wide)
{
    size_t columns = name_columns(view, wide);
    size_t n = view->n_checkpoints < MAX_NAMED ? view->n_checkpoints : MAX_NAMED;
    return (n + columns - 1) / columns;
}

/* "1: name", in columns, at the foot of the sheet. */
static void add_names(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    size_t columns = name_columns(view, sheet->wide), lines = name_lines(view, sheet->wide);
    for (size_t c = 0; c < view->n_checkpoints && c < MAX_NAMED; c++) {
        char number[32];
        bool cut = c + 1 == MAX_NAMED && view->n_checkpoints > MAX_NAMED;
        (void)snprintf(number, sizeof number, cut ? "%zu: @ …" : "%zu: @", c + 1);
        double x = 0.15 + (double)(c % columns) * (sheet->width - 0.2) / (double)columns;
        double y = 0.2 + QK_GRID_NOTE * (double)(lines - 1 - c / columns);
        qk_sheet_text(sheet, x, y, "left", number, &view->checkpoints[c], "");
    }
}

static struct qk_range range_of(const struct qk_run_view *view, double *scratch)
{
    struct qk_range range = {0};
    for (size_t p = 0; p < N_PANELS; p++) {
        for (size_t c = 0; c < view->n_checkpoints; c++) {
            for (size_t l = 0; l < view->n_layers; l++) {
                qk_range_add(&range, median_of(view, c, panels[p].metric, l, scratch));
            }
        }
    }
    qk_range_finish(&range, false);
    qk_range_lift_zero(&range);
    return range;
}

static void draw_panels(struct qk_sheet *sheet, const struct qk_run_view *view, double *scratch)
{
    struct qk_range range = range_of(view, scratch);
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? N_PANELS : 1,
                           .panel_height = sheet->wide ? 4 : 2.2,
                           .left = 1.4,
                           .right = QK_LAYER_LINES_RIGHT,
                           .gap_x = 1.4,
                           .title = 0.44,
                           .axis = 0.12,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)name_lines(view, sheet->wide)};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    for (size_t p = 0; p < N_PANELS; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        qk_sheet_panel(sheet, box);
        if (p == 0) {
            struct qk_layer_lines lines = {panels[0].metric, view,
                                           qk_run_view_values(view, view->current, panels[0].metric), any_place, false};
            qk_head_draw_all(sheet, view);
            qk_layer_lines_legend(sheet, view, &lines, &range, qk_grid_box(&grid, sheet->wide ? N_PANELS - 1 : 0));
            add_names(sheet, view);
        }
        qk_grid_title(sheet, box, 0, panels[p].title);
        qk_grid_y_title(sheet, box, 1.1, "relative drift");
        qk_axis_set(sheet, "y", &range, box.top - box.bottom);
        qk_axis_set_count(sheet, "x", 1, view->n_checkpoints, box.right - box.left);
        if (qk_grid_is_lowest(&grid, p)) {
            qk_grid_x_title(sheet, box, "tuned checkpoint");
        } else {
            qk_sheet_line(sheet, "set format x ''");
        }
        plot_panel(sheet, view, &panels[p], range.log, scratch);
    }
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    double *scratch = qk_calloc(most_heads(view), sizeof *scratch);
    if (scratch == NULL) {
        return qk_fail_nomem(err, "heads of a figure");
    }
    draw_panels(sheet, view, scratch);
    qk_free(scratch);
    return QK_OK;
}

static const char *const metrics[] = {"q_rel_drift", "k_rel_drift", "qk_rel_drift", NULL};

const struct qk_figure qk_figure_drift_trajectory = {
    .name = "drift-trajectory",
    .title = "Drift of every layer over the tuned checkpoints of a run",
    .reading = "A line is a layer, from the first tuned checkpoint to the last. Lines that keep rising were still "
               "moving when tuning stopped; a line that falls to the floor was restored.",
    .caution = "Checkpoints are evenly spaced whatever the steps between them; a restored checkpoint stands at the end "
               "as if it had been trained.",
    .metrics = metrics,
    .together = 2,
    .draw = draw,
};
