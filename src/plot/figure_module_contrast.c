/* Layer × module heat map of the relative drift and its distribution per module: did routing (Q, K) or extraction (V,
 * O) move? */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "heatmap.h"
#include "label.h"
#include "layer_strip.h"
#include "palette.h"

/* From top to bottom: routing, extraction, feed-forward, the rest. Modules of other names follow in the run's order. */
static const char *const order[] = {"q",    "k",        "qk_norm", "qk_bias",  "v",      "o",
                                    "gate", "mlp_gate", "mlp_up",  "mlp_down", "router", "norms",
                                    "norm", "decay",    "beta",    "conv",     "ssm",    "other"};
enum { N_ORDER = sizeof order / sizeof order[0] };

struct rows {
    const struct qk_run_view *view;
    struct qk_values values;
    const struct qk_node *names; /* scale of the modules */
    size_t n, *module;           /* module index of row y, counted from below; owned */
};

static bool has_value(const struct rows *rows, size_t module)
{
    for (size_t l = 0; l < rows->values.n_layers; l++) {
        if (isfinite(qk_values_at(&rows->values, l, module, 0))) {
            return true;
        }
    }
    return false;
}

static size_t rank_of(const char *name)
{
    size_t i = 0;
    while (i < N_ORDER && strcmp(order[i], name) != 0) {
        i++;
    }
    return i;
}

static enum qk_code rows_init(const struct qk_run_view *view, struct rows *ret, struct qk_err *err)
{
    struct rows rows = {view, qk_run_view_values(view, view->current, "module_rel_drift"), NULL, 0, NULL};
    const struct qk_node *scale = qk_node_scale(view, rows.values.node, 1);
    rows.names = scale != NULL && scale->type == QK_TYPE_STR && scale->n_values == rows.values.n_heads ? scale : NULL;
    rows.module = qk_calloc(rows.values.n_heads + 1, sizeof *rows.module);
    if (rows.module == NULL) {
        return qk_fail_nomem(err, "modules of a figure");
    }
    for (size_t m = 0; rows.names != NULL && m < rows.values.n_heads; m++) {
        if (!has_value(&rows, m)) {
            continue;
        }
        size_t at = rows.n++;
        while (at > 0 && rank_of(rows.names->v.str[rows.module[at - 1]]) <= rank_of(rows.names->v.str[m])) {
            rows.module[at] = rows.module[at - 1];
            at--;
        }
        rows.module[at] = m; /* descending: the first of the order ends on top */
    }
    *ret = rows;
    return QK_OK;
}

static struct qk_cell cell_at(const void *ctx, size_t layer, size_t y)
{
    const struct rows *rows = ctx;
    double v = y < rows->n ? qk_values_at(&rows->values, layer, rows->module[y], 0) : NAN;
    return (struct qk_cell){isfinite(v) ? QK_CELL_VALUE : QK_CELL_ABSENT, v, v <= 0};
}

static void set_module_axis(struct qk_sheet *sheet, const struct rows *rows)
{
    qk_sheet_line(sheet, "set yrange [-0.5:%g]; unset mytics", (double)(rows->n > 0 ? rows->n : 1) - 0.5);
    qk_str_add(&sheet->body, "set ytics (");
    for (size_t y = 0; y < rows->n; y++) {
        const char *names[] = {rows->names->v.str[rows->module[y]]};
        qk_str_add(&sheet->body, y > 0 ? ", " : "");
        qk_label_add(&sheet->body, "@", names);
        qk_str_addf(&sheet->body, " %zu", y);
    }
    qk_str_add(&sheet->body, ")\n");
}

/* A point per layer and a bar at the median. */
static void plot_distribution(struct qk_sheet *sheet, const struct rows *rows, const struct qk_range *range,
                              double *scratch)
{
    size_t points = 0, bars = 0, n = 0, n_bars = 0;
    for (size_t y = 0; y < rows->n; y++) {
        for (size_t l = 0; l < rows->values.n_layers; l++) {
            double v = qk_values_at(&rows->values, l, rows->module[y], 0);
            if (!isfinite(v) || (range->log && v <= 0)) {
                continue;
            }
            if (n++ == 0) {
                points = qk_sheet_block(sheet, "module_rel_drift", "value row layer");
            }
            double row[] = {v, (double)y, (double)l};
            qk_sheet_row(sheet, row, 3);
        }
    }
    for (size_t y = 0; y < rows->n; y++) {
        for (size_t l = 0; l < rows->values.n_layers; l++) {
            scratch[l] = qk_values_at(&rows->values, l, rows->module[y], 0);
        }
        struct qk_spread s;
        if (!qk_spread_of(scratch, rows->values.n_layers, &s) || (range->log && s.median <= 0)) {
            continue;
        }
        if (n_bars++ == 0) {
            bars = qk_sheet_block(sheet, "median over the layers", "value row");
        }
        double row[] = {s.median, (double)y};
        qk_sheet_row(sheet, row, 2);
    }
    if (n == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    qk_sheet_line(sheet,
                  "plot data index %zu using 1:2 with points pointtype 7 pointsize 0.22 linecolor rgb '#8f8f8f' "
                  "notitle \\",
                  points);
    if (n_bars > 0) {
        qk_sheet_line(sheet,
                      "   , data index %zu using 1:2:(0):(0.36) with vectors nohead linewidth 2.2 linecolor rgb '%s' "
                      "notitle \\",
                      bars, QK_INK_TUNED);
        qk_sheet_line(sheet,
                      "   , data index %zu using 1:2:(0):(-0.36) with vectors nohead linewidth 2.2 linecolor rgb "
                      "'%s' notitle \\",
                      bars, QK_INK_TUNED);
    }
    qk_str_addc(&sheet->body, '\n');
}

static struct qk_range range_of(const struct qk_run_view *view)
{
    struct qk_range range = {0};
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, "module_rel_drift");
        qk_range_add_values(&range, &values);
    }
    qk_range_finish(&range, false);
    return range;
}

static enum qk_code draw_rows(struct qk_sheet *sheet, const struct qk_run_view *view, const struct rows *rows,
                              double *scratch)
{
    struct qk_range range = range_of(view);
    struct qk_heatmap map = {view->n_layers, rows->n > 0 ? rows->n : 1, "module_rel_drift", cell_at, rows, NULL};
    struct qk_heatmap_seen seen = {0};
    qk_heatmap_scan(&map, &seen);
    double strip = qk_layer_strip_height(view);
    struct qk_grid grid = {.n = 2,
                           .cols = sheet->wide ? 2 : 1,
                           .panel_height = 0.34 * (double)(rows->n > 3 ? rows->n : 3),
                           .left = 1.9,
                           .right = sheet->wide ? 0.3 : 1.7,
                           .gap_x = 3.5,
                           .title = 0.15 + strip,
                           .axis = 1.15,
                           .foot = QK_GRID_FOOT + (seen.marks ? QK_GRID_NOTE : 0)};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    struct qk_box box = qk_grid_box(&grid, 0);
    qk_sheet_panel(sheet, box);
    qk_head_draw(sheet, view, QK_HEAD_STRIP);
    qk_palette_set(sheet, 1);
    double x = box.right + 0.15, middle = (box.bottom + box.top) / 2;
    double half = (box.top - box.bottom) / 2 < 2 ? (box.top - box.bottom) / 2 : 2;
    qk_sheet_colour_bar(sheet, (struct qk_box){x, middle - half, x + 0.22, middle + half});
    qk_axis_set(sheet, "cb", &range, 2 * half);
    qk_sheet_text(sheet, box.right + 1.45, middle, "center", "relative drift", NULL, "rotate by 90");
    qk_layer_strip_draw(sheet, view, box);
    qk_axis_set_count(sheet, "x", 0, view->n_layers, box.right - box.left);
    qk_grid_x_title(sheet, box, "layer");
    set_module_axis(sheet, rows);
    if (seen.marks) {
        qk_grid_note(sheet, 0, "×: exactly unchanged");
    }
    qk_heatmap_plot(sheet, &map, &range, box.right - box.left, box.top - box.bottom);

    box = qk_grid_box(&grid, 1);
    qk_sheet_panel(sheet, box);
    set_module_axis(sheet, rows);
    qk_range_lift_zero(&range);
    qk_axis_set(sheet, "x", &range, box.right - box.left);
    qk_grid_x_title(sheet, box, "relative drift: layers (points), median (bar)");
    plot_distribution(sheet, rows, &range, scratch);
    return QK_OK;
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct rows rows;
    QK_TRY(rows_init(view, &rows, err));
    double *scratch = qk_calloc(view->n_layers + 1, sizeof *scratch);
    enum qk_code code =
        scratch != NULL ? draw_rows(sheet, view, &rows, scratch) : qk_fail_nomem(err, "layers of a figure");
    qk_free(scratch);
    qk_free(rows.module);
    return code;
}

static const char *const metrics[] = {"module_rel_drift", NULL};

const struct qk_figure qk_figure_module_contrast = {
    .name = "module-contrast",
    .title = "Relative drift per layer and module: routing, extraction, feed-forward",
    .reading = "Above, a cell is a module of a layer; below, the same numbers as points with their median. The rows q "
               "and k against v and o tell routing from extraction.",
    .caution =
        "Each module is compared with its own size: norm weights near 1 hardly move even where that matters, and "
        "small weights move far by little.",
    .metrics = metrics,
    .draw = draw,
};
