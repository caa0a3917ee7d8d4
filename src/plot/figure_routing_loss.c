/* Layer × head heat maps of what attention lost against the base: the shift of the distance scale and the share of far
 * attention that is gone. */
#include <math.h>
#include <stdint.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "heatmap.h"
#include "layer_strip.h"
#include "palette.h"

struct panel {
    const char *metric, *lo, *hi; /* value and the ends of its interval */
    const char *title;
    double most; /* the scale ends here at the latest */
    bool low_is_loss;
};

static const struct panel panels[] = {
    {"distance_shift", "distance_shift_lo", "distance_shift_hi", "distance scale: shift in log2 tokens", INFINITY,
     true},
    {"tail_loss", "tail_loss_lo", "tail_loss_hi", "far attention: share lost", 1, false},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

struct cells {
    const struct qk_run_view *view;
    const struct panel *panel;
    struct qk_values value, lo, hi;
};

static struct qk_cell cell_at(const void *ctx, size_t layer, size_t head)
{
    const struct cells *cells = ctx;
    double v = qk_values_at(&cells->value, layer, head, 0);
    if (isfinite(v)) {
        double lo = qk_values_at(&cells->lo, layer, head, 0), hi = qk_values_at(&cells->hi, layer, head, 0);
        return (struct qk_cell){QK_CELL_VALUE, v, lo <= 0 && hi >= 0};
    }
    size_t n_heads = qk_run_view_n_heads(cells->view, layer, false);
    bool exists = n_heads == 0 || (n_heads != SIZE_MAX && head < n_heads);
    return (struct qk_cell){exists ? QK_CELL_VOID : QK_CELL_ABSENT, NAN, false};
}

static struct cells cells_of(const struct qk_run_view *view, const struct panel *panel)
{
    return (struct cells){view, panel, qk_run_view_values(view, view->current, panel->metric),
                          qk_run_view_values(view, view->current, panel->lo),
                          qk_run_view_values(view, view->current, panel->hi)};
}

static struct qk_heatmap map_of(const struct cells *cells)
{
    return (struct qk_heatmap){cells->view->n_layers,
                               cells->value.n_heads > 0 ? cells->value.n_heads : 1,
                               cells->panel->metric,
                               cell_at,
                               cells,
                               NULL};
}

/* One scale for all checkpoints of the run, so that pictures can be compared. *ret_beyond: some values lie outside. */
static struct qk_range range_of(const struct qk_run_view *view, const struct panel *panel, bool *ret_beyond)
{
    double largest = 0;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, panel->metric);
        for (size_t i = 0; i < values.n_layers * values.n_heads; i++) {
            largest = isfinite(values.v[i]) ? fmax(largest, fabs(values.v[i])) : largest;
        }
    }
    *ret_beyond |= largest > panel->most;
    return qk_range_symmetric(largest < panel->most ? largest : 0.98 * panel->most); /* ends at the bound itself */
}

static double panel_height(size_t n_heads, bool wide)
{
    double h = (double)n_heads * (wide ? 0.14 : 0.11) + 0.6;
    double lo = 1.6, hi = wide ? 5.2 : 3.8;
    return h < lo ? lo : h > hi ? hi : h;
}

struct notes {
    struct qk_heatmap_seen seen;
    bool beyond;
};

static size_t n_notes(const struct notes *notes)
{
    return (size_t)notes->seen.voids + notes->seen.marks + notes->beyond;
}

static void add_notes(struct qk_sheet *sheet, const struct notes *notes)
{
    size_t line = 0;
    if (notes->seen.voids) {
        qk_grid_note(sheet, line++, "grey: no value (not probed, or nothing far to lose)");
    }
    if (notes->seen.marks) {
        qk_grid_note(sheet, line++, "×: 95 % interval includes 0");
    }
    if (notes->beyond) {
        qk_grid_note(sheet, line, "values below −1 have the colour of −1");
    }
}

static void draw_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_grid *grid, size_t i,
                       const struct qk_range *range, const struct notes *notes)
{
    struct qk_box box = qk_grid_box(grid, i);
    struct cells cells = cells_of(view, &panels[i]);
    struct qk_heatmap map = map_of(&cells);
    double middle = (box.bottom + box.top) / 2, half = fmin((box.top - box.bottom) / 2, 2);
    qk_palette_set_diverging(sheet, panels[i].low_is_loss);
    qk_sheet_panel(sheet, box);
    if (i == 0) {
        qk_head_draw(sheet, view, QK_HEAD_STRIP);
        add_notes(sheet, notes);
    }
    qk_sheet_colour_bar(sheet, (struct qk_box){box.right + 0.15, middle - half, box.right + 0.37, middle + half});
    qk_axis_set(sheet, "cb", range, 2 * half);
    qk_layer_strip_draw(sheet, view, box);
    qk_grid_title(sheet, box, qk_layer_strip_height(view), panels[i].title);
    qk_grid_y_title(sheet, box, 0.85, "head");
    qk_grid_layer_axis(sheet, grid, i, view);
    qk_axis_set_count(sheet, "y", 0, map.n_y, box.top - box.bottom);
    qk_heatmap_plot(sheet, &map, range, box.right - box.left, box.top - box.bottom);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    (void)err;
    struct qk_range ranges[N_PANELS];
    struct notes notes = {0};
    size_t most = 1;
    for (size_t i = 0; i < N_PANELS; i++) {
        struct cells cells = cells_of(view, &panels[i]);
        struct qk_heatmap map = map_of(&cells);
        ranges[i] = range_of(view, &panels[i], &notes.beyond);
        if (qk_values_any_finite(&cells.value)) {
            qk_heatmap_scan(&map, &notes.seen);
        }
        most = map.n_y > most ? map.n_y : most;
    }
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? N_PANELS : 1,
                           .panel_height = panel_height(most, sheet->wide),
                           .left = 1.15,
                           .right = 1.2,
                           .gap_x = 2.3,
                           .title = 0.44 + qk_layer_strip_height(view),
                           .axis = 0.12,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)n_notes(&notes)};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    for (size_t i = 0; i < N_PANELS; i++) {
        draw_panel(sheet, view, &grid, i, &ranges[i], &notes);
    }
    return QK_OK;
}

static const char *const metrics[] = {"distance_shift", "tail_loss", NULL};

const struct qk_figure qk_figure_routing_loss = {
    .name = "routing-loss",
    .title = "What attention lost against the base per layer and head: distance scale and far attention",
    .reading = "A cell is a head: red looks less far (above) or lost far attention (below), blue gained. Crosses are "
               "changes within their 95 % interval, grey heads had nothing far to lose.",
    .caution = "A head that left the sink for the text also turns red in the upper panel, though it lost nothing; read "
               "both panels.",
    .group = "routing",
    .metrics = metrics,
    .draw = draw,
};
