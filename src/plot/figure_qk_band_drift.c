/* Drift of the routing form per rotary frequency pair over the pair's wavelength, one line per layer with RoPE. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_lines.h"
#include "layer_strip.h"

/* The run's wavelengths in tokens: an array of /model over the pairs, or over layers and pairs. NULL when it has none.
 */
static const struct qk_node *wavelengths(const struct qk_run_view *view, const struct qk_values *values)
{
    for (size_t i = 0; i < view->table->n_nodes; i++) {
        const struct qk_node *node = view->table->nodes[i];
        if (node->is_group || node->type != QK_TYPE_F64 || !qk_str_starts(node->path, "/model/") ||
            strstr(node->path, "wavelength") == NULL || node->n_dims < 1 || node->n_dims > 2) {
            continue;
        }
        bool fits = node->shape[node->n_dims - 1] == values->n_depth &&
                    (node->n_dims == 1 || node->shape[0] == values->n_layers);
        if (fits) {
            return node;
        }
    }
    return NULL;
}

static double wavelength(const struct qk_run_view *view, const struct qk_values *values, size_t layer, size_t depth)
{
    const struct qk_node *node = wavelengths(view, values);
    if (node == NULL) {
        return (double)depth;
    }
    double w = node->v.f64[node->n_dims == 2 ? layer * values->n_depth + depth : depth];
    return w > 0 ? w : NAN;
}

static void set_wavelength_axis(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_values *values,
                                struct qk_box box)
{
    if (wavelengths(view, values) == NULL) {
        qk_axis_set_count(sheet, "x", 0, values->n_depth, box.right - box.left);
        qk_grid_x_title(sheet, box, "frequency pair");
        return;
    }
    struct qk_range range = {0};
    for (size_t l = 0; l < values->n_layers; l++) {
        for (size_t k = 0; k < values->n_depth; k++) {
            if (isfinite(qk_values_at(values, l, 0, k))) {
                qk_range_add(&range, wavelength(view, values, l, k));
            }
        }
    }
    qk_range_finish(&range, true);
    qk_axis_set(sheet, "x", &range, box.right - box.left);
    qk_grid_x_title(sheet, box, "wavelength of the frequency pair (tokens)");
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_range range = {0};
    QK_TRY(qk_layer_lines_extent(view, "qk_band_drift", SIZE_MAX, &range, err));
    qk_range_finish(&range, false);
    struct qk_layer_lines lines = {"qk_band_drift", view, qk_run_view_values(view, view->current, "qk_band_drift"),
                                   wavelength, false};
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
    qk_grid_y_title(sheet, box, 1.1, "drift of routing $‖ΔM_p‖ / ‖M_p‖$");
    set_wavelength_axis(sheet, view, &lines.values, box);
    qk_axis_set(sheet, "y", &range, box.top - box.bottom);
    return qk_layer_lines_plot(sheet, view, &lines, &range, err);
}

static const char *const metrics[] = {"qk_band_drift", NULL};

const struct qk_figure qk_figure_qk_band_drift = {
    .name = "qk-band-drift",
    .title = "Drift of the routing form per rotary frequency pair and layer",
    .reading = "Drift of the product of queries and keys, per frequency of the rotary position code; slow frequencies, "
               "on the right, carry long distances. A rise to the right is where range is lost from.",
    .caution = "Layers without rotary positions have no bands and are missing. Wavelengths beyond the length that the "
               "model was trained on do not tell distances apart.",
    .metrics = metrics,
    .draw = draw,
};
