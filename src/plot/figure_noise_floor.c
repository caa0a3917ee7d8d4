/* Drift against the rounding floor, a point per head: which drifts are more than the storage type's rounding? */
#include <math.h>
#include <stdio.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_strip.h"
#include "palette.h"

struct panel {
    const char *drift, *floor, *title, *colour;
};

static const struct panel panels[] = {
    {"q_rel_drift", "q_noise_floor", "queries  $W_Q$", QK_INK_Q},
    {"k_rel_drift", "k_noise_floor", "keys  $W_K$", QK_INK_K},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

/* Heads that have both numbers; on logarithmic axes those with an exact zero are only counted. */
struct counts {
    size_t shown, within, zero;
};

static bool point_at(const struct qk_values *drift, const struct qk_values *floor, size_t i, double *x, double *y)
{
    size_t l = i / drift->n_heads, h = i % drift->n_heads;
    *x = qk_values_at(floor, l, h, 0);
    *y = qk_values_at(drift, l, h, 0);
    return isfinite(*x) && isfinite(*y);
}

static void add_to_ranges(const struct qk_run_view *view, size_t checkpoint, struct qk_range *x_range,
                          struct qk_range *y_range)
{
    for (size_t p = 0; p < N_PANELS; p++) {
        struct qk_values drift = qk_run_view_values(view, checkpoint, panels[p].drift);
        struct qk_values floor = qk_run_view_values(view, checkpoint, panels[p].floor);
        for (size_t i = 0; i < drift.n_layers * drift.n_heads; i++) {
            double x, y;
            if (point_at(&drift, &floor, i, &x, &y) && x > 0 && y > 0) {
                qk_range_add(x_range, x);
                qk_range_add(y_range, y);
                qk_range_add(y_range, x); /* the line y = x belongs into the picture */
            }
        }
    }
}

/* Points above (column kind 0) or within three times the floor (1). */
static size_t add_points(struct qk_sheet *sheet, const struct qk_run_view *view, size_t p, bool within,
                         struct counts *counts, size_t *ret_block)
{
    struct qk_values drift = qk_run_view_values(view, view->current, panels[p].drift);
    struct qk_values floor = qk_run_view_values(view, view->current, panels[p].floor);
    size_t n = 0;
    for (size_t i = 0; i < drift.n_layers * drift.n_heads; i++) {
        double x, y;
        if (!point_at(&drift, &floor, i, &x, &y)) {
            continue;
        }
        if (!(x > 0 && y > 0)) {
            counts->zero += within && y <= 0;
            continue;
        }
        if ((y < 3 * x) != within) {
            continue;
        }
        if (n++ == 0) {
            *ret_block = qk_sheet_block(sheet, within ? "heads within 3 x the floor" : "heads above 3 x the floor",
                                        "noise_floor rel_drift layer head");
        }
        double row[] = {x, y, (double)(i / drift.n_heads), (double)(i % drift.n_heads)};
        qk_sheet_row(sheet, row, 4);
    }
    counts->within += within ? n : 0;
    counts->shown += n;
    return n;
}

static void plot_panel(struct qk_sheet *sheet, const struct qk_run_view *view, size_t p, struct counts *counts)
{
    size_t above = 0, within = 0;
    size_t n_above = add_points(sheet, view, p, false, counts, &above);
    size_t n_within = add_points(sheet, view, p, true, counts, &within);
    if (n_above + n_within == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    double size = n_above + n_within > 2000 ? 0.12 : n_above + n_within > 300 ? 0.2 : 0.35;
    qk_sheet_line(sheet, "plot x with lines linewidth 0.8 linecolor rgb '#555555' notitle \\");
    qk_sheet_line(sheet, "   , 3*x with lines linewidth 0.8 dashtype (6,3) linecolor rgb '#555555' notitle \\");
    if (n_within > 0) {
        qk_sheet_line(sheet,
                      "   , data index %zu using 1:2 with points pointtype 6 pointsize %g linewidth 0.6 linecolor "
                      "rgb '#8f8f8f' notitle \\",
                      within, size);
    }
    if (n_above > 0) {
        qk_sheet_line(sheet,
                      "   , data index %zu using 1:2 with points pointtype 7 pointsize %g linecolor rgb '%s' "
                      "notitle \\",
                      above, size, panels[p].colour);
    }
    qk_str_addc(&sheet->body, '\n');
}

static void add_counts(struct qk_sheet *sheet, struct qk_box box, const struct counts *counts)
{
    char text[96];
    (void)snprintf(text, sizeof text, "%zu of %zu within 3 × floor", counts->within + counts->zero,
                   counts->shown + counts->zero);
    qk_sheet_text(sheet, box.left - 0.35, box.bottom - 1.15, "left", text, NULL, "");
    if (counts->zero > 0) {
        (void)snprintf(text, sizeof text, "(%zu exactly 0, not shown)", counts->zero);
        qk_sheet_text(sheet, box.left - 0.35, box.bottom - 1.5, "left", text, NULL, "");
    }
}

static struct counts count(const struct qk_run_view *view, size_t p)
{
    struct counts counts = {0};
    struct qk_values drift = qk_run_view_values(view, view->current, panels[p].drift);
    struct qk_values floor = qk_run_view_values(view, view->current, panels[p].floor);
    for (size_t i = 0; i < drift.n_layers * drift.n_heads; i++) {
        double x, y;
        if (!point_at(&drift, &floor, i, &x, &y)) {
            continue;
        }
        bool positive = x > 0 && y > 0;
        counts.zero += y <= 0;
        counts.shown += positive;
        counts.within += positive && y < 3 * x;
    }
    return counts;
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    (void)err;
    struct qk_range x_range = {0}, y_range = {0};
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        add_to_ranges(view, c, &x_range, &y_range);
    }
    x_range.lo /= 1.3;
    x_range.hi *= 1.3;
    qk_range_finish(&x_range, true);
    qk_range_finish(&y_range, true);
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = N_PANELS,
                           .panel_height = sheet->wide ? 4.6 : 3.2,
                           .left = 1.4,
                           .right = 0.55,
                           .gap_x = sheet->wide ? 1.7 : 1.0,
                           .title = 0.44,
                           .foot = QK_GRID_FOOT + 0.75};
    qk_grid_place(sheet, &grid, 0.86);
    const struct qk_legend legend[] = {
        {"rounding floor", "#555555", "1", 0}, {"3 × rounding floor", "#555555", "(6,3)", 0}, {NULL, NULL, NULL, 0}};
    for (size_t p = 0; p < N_PANELS; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        struct counts counts = count(view, p), seen = {0};
        qk_sheet_panel(sheet, box);
        if (p == 0) {
            qk_head_draw(sheet, view, QK_HEAD_PLAIN);
            (void)qk_grid_legend(sheet, 0.15, sheet->height - 0.67, legend);
        }
        qk_grid_title(sheet, box, 0, panels[p].title);
        qk_grid_x_title(sheet, box, "rounding floor");
        if (p == 0 || sheet->wide) {
            qk_grid_y_title(sheet, box, 1.1, "relative drift of a head");
        }
        add_counts(sheet, box, &counts);
        qk_axis_set(sheet, "x", &x_range, box.right - box.left);
        qk_axis_set(sheet, "y", &y_range, box.top - box.bottom);
        if (p > 0 && !sheet->wide) {
            qk_sheet_line(sheet, "set format y ''");
        }
        plot_panel(sheet, view, p, &seen);
    }
    return QK_OK;
}

static const char *const metrics[] = {"q_noise_floor", "k_noise_floor", NULL};

const struct qk_figure qk_figure_noise_floor = {
    .name = "noise-floor",
    .title = "Relative drift of every head against the rounding floor of its storage type",
    .reading =
        "A point is a head. On the lower line its drift is what storing the weights in their number format gives "
        "by itself; below the broken line it is no drift that can be trusted.",
    .caution = "The floor is of the stored format; weights that were trained in a coarser one have a higher floor than "
               "is drawn.",
    .metrics = metrics,
    .draw = draw,
};
