/* Layer × head heat maps of the relative drift of W_Q, W_K and the routing form W_Qᵀ W_K: which heads moved, and where.
 */
#include <math.h>
#include <stdint.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "heatmap.h"
#include "layer_strip.h"
#include "palette.h"

struct panel {
    const char *metric, *floor; /* floor NULL: the product has no rounding floor of its own */
    const char *title, *rows;
    bool key;
};

static const struct panel panels[] = {
    {"q_rel_drift", "q_noise_floor", "queries  $W_Q$", "query head", false},
    {"k_rel_drift", "k_noise_floor", "keys  $W_K$", "key head", true},
    {"qk_rel_drift", NULL, "routing  $W_Q{}^T W_K$", "query head", false},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

struct cells {
    const struct qk_run_view *view;
    const struct panel *panel;
    struct qk_values drift, floor;
};

/* A drift below three times the rounding floor is one that storing the numbers alone would give (metrics.md). */
static struct qk_cell cell_at(const void *ctx, size_t layer, size_t head)
{
    const struct cells *cells = ctx;
    size_t n_heads = qk_run_view_n_heads(cells->view, layer, cells->panel->key);
    double v = qk_values_at(&cells->drift, layer, head, 0);
    if (isfinite(v)) {
        double floor = qk_values_at(&cells->floor, layer, head, 0);
        return (struct qk_cell){QK_CELL_VALUE, v, v <= 0 || v < 3 * floor};
    }
    bool exists = n_heads == 0 || (n_heads != SIZE_MAX && head < n_heads);
    return (struct qk_cell){exists ? QK_CELL_VOID : QK_CELL_ABSENT, NAN, false};
}

static struct cells cells_of(const struct qk_run_view *view, const struct panel *panel)
{
    struct cells cells = {view, panel, qk_run_view_values(view, view->current, panel->metric), {0}};
    if (panel->floor != NULL) {
        cells.floor = qk_run_view_values(view, view->current, panel->floor);
    }
    return cells;
}

static struct qk_heatmap map_of(const struct cells *cells)
{
    return (struct qk_heatmap){cells->view->n_layers,
                               cells->drift.n_heads > 0 ? cells->drift.n_heads : 1,
                               cells->panel->metric,
                               cell_at,
                               cells,
                               NULL};
}

/* One scale for all panels and all checkpoints of the run, so that pictures can be compared. */
static struct qk_range range_of(const struct qk_run_view *view)
{
    struct qk_range range = {0};
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        for (size_t i = 0; i < N_PANELS; i++) {
            struct qk_values values = qk_run_view_values(view, c, panels[i].metric);
            qk_range_add_values(&range, &values);
        }
    }
    qk_range_finish(&range, false);
    return range;
}

static double panel_height(size_t n_heads, bool wide)
{
    double h = (double)n_heads * (wide ? 0.14 : 0.09) + 0.6;
    double lo = wide ? 2.4 : 1.15, hi = wide ? 5.2 : 3.4;
    return h < lo ? lo : h > hi ? hi : h;
}

static void add_notes(struct qk_sheet *sheet, const struct qk_heatmap_seen *seen)
{
    size_t line = 0;
    if (seen->voids) {
        qk_grid_note(sheet, line++, "grey: no value (no Q and K here, or not computed)");
    }
    if (seen->marks) {
        qk_grid_note(sheet, line++, "×: within 3 × the rounding floor of the stored numbers");
    }
}

/* The colour bar's place: right of all panels, at most 4.4 cm tall. */
static struct qk_box bar_of(const struct qk_sheet *sheet, const struct qk_grid *grid)
{
    double bottom = qk_grid_box(grid, grid->n - 1).bottom, top = qk_grid_box(grid, 0).top, middle = (bottom + top) / 2;
    double half = fmin((top - bottom) / 2, 2.2), left = sheet->width - grid->right + 0.15;
    return (struct qk_box){left, middle - half, left + 0.22, middle + half};
}

static void draw_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_grid *grid, size_t i,
                       const struct qk_range *range, const struct qk_heatmap_seen *seen)
{
    struct qk_box box = qk_grid_box(grid, i), bar = bar_of(sheet, grid);
    struct cells cells = cells_of(view, &panels[i]);
    struct qk_heatmap map = map_of(&cells);
    qk_sheet_panel(sheet, box);
    if (i == 0) {
        qk_head_draw(sheet, view, QK_HEAD_STRIP);
        add_notes(sheet, seen);
        qk_sheet_colour_bar(sheet, bar);
        qk_sheet_text(sheet, sheet->width - 0.2, (bar.bottom + bar.top) / 2, "center", "relative drift $‖Δ‖ / ‖W‖$",
                      NULL, "rotate by 90");
    }
    qk_axis_set(sheet, "cb", range, bar.top - bar.bottom);
    qk_layer_strip_draw(sheet, view, box);
    qk_grid_title(sheet, box, qk_layer_strip_height(view), panels[i].title);
    qk_grid_y_title(sheet, box, 0.85, panels[i].rows);
    qk_grid_layer_axis(sheet, grid, i, view);
    qk_axis_set_count(sheet, "y", 0, map.n_y, box.top - box.bottom);
    qk_heatmap_plot(sheet, &map, range, box.right - box.left, box.top - box.bottom);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    (void)err;
    struct qk_range range = range_of(view);
    struct qk_heatmap_seen seen = {0};
    size_t most = 1;
    for (size_t i = 0; i < N_PANELS; i++) {
        struct cells cells = cells_of(view, &panels[i]);
        struct qk_heatmap map = map_of(&cells);
        if (qk_values_any_finite(&cells.drift)) {
            qk_heatmap_scan(&map, &seen);
        }
        most = map.n_y > most ? map.n_y : most;
    }
    double notes = QK_GRID_NOTE * (double)(seen.voids + seen.marks);
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? N_PANELS : 1,
                           .panel_height = panel_height(most, sheet->wide),
                           .left = 1.15,
                           .right = !range.log && range.hi < 1e-3 ? 2.3 : 1.7, /* ticks such as 1.5e-07 */
                           .gap_x = 1.2,
                           .title = 0.44 + qk_layer_strip_height(view),
                           .axis = 0.12,
                           .foot = QK_GRID_FOOT + notes};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    qk_palette_set(sheet, 1);
    for (size_t i = 0; i < N_PANELS; i++) {
        draw_panel(sheet, view, &grid, i, &range, &seen);
    }
    return QK_OK;
}

static const char *const metrics[] = {"q_rel_drift", "k_rel_drift", "qk_rel_drift", NULL};

const struct qk_figure qk_figure_drift_heatmap = {
    .name = "drift-heatmap",
    .title = "Relative drift of W_Q, W_K and the routing form per layer and head",
    .reading =
        "A cell is a head, brighter is farther from the base; the lowest panel, the product of queries and keys, "
        "is what attention scores depend on. Crosses mark heads within three rounding floors.",
    .caution =
        "The colour scale ends at the largest value, so a harmless run looks as colourful as a damaged one: read "
        "the numbers of the bar.",
    .metrics = metrics,
    .draw = draw,
};
