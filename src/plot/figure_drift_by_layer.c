/* Drift over depth: the heads' median and range of queries, keys and the routing form, and beneath it the modules of
 * the same layers, so that routing (Q, K) and extraction (V, O) can be compared at a glance. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_strip.h"
#include "module_lines.h"
#include "palette.h"

struct series {
    const char *metric;
    const char *colour;
    double shift; /* of the points, in layers */
    int point;    /* shapes tell the series apart in grey */
};

static const struct series heads[] = {
    {"q_rel_drift", QK_INK_Q, -0.22, 7},
    {"k_rel_drift", QK_INK_K, 0, 5},
    {"qk_eff_rel_drift", QK_INK_QK, 0.22, 9},
};
static const struct qk_legend heads_legend[] = {
    {"queries", QK_INK_Q, NULL, 7},  {"keys", QK_INK_K, NULL, 5},
    {"routing", QK_INK_QK, NULL, 9}, {"3 × rounding floor", "#555555", "(6,3)", 0},
    {NULL, NULL, NULL, 0},
};

enum { N_HEADS = sizeof heads / sizeof heads[0] };

/* Below this many centimetres per layer whiskers of three series would touch: bands take their place. */
static const double whisker_cm = 0.3;

/* The drift of what the model multiplies; the plain product where that was not computed. */
static struct qk_values values_of(const struct qk_run_view *view, size_t checkpoint, size_t i)
{
    struct qk_values values = qk_run_view_values(view, checkpoint, heads[i].metric);
    if (strcmp(heads[i].metric, "qk_eff_rel_drift") == 0 && !qk_values_any_finite(&values)) {
        values = qk_run_view_values(view, checkpoint, "qk_rel_drift");
    }
    return values;
}

/* Three times the larger of the layer's median floors of queries and keys. */
static double floor_of(const struct qk_run_view *view, size_t layer, double *scratch)
{
    static const char *const names[] = {"q_noise_floor", "k_noise_floor"};
    double floor = NAN;
    for (size_t i = 0; i < 2; i++) {
        struct qk_values values = qk_run_view_values(view, view->current, names[i]);
        struct qk_spread s;
        if (qk_values_spread(&values, layer, 0, scratch, &s) && !(s.median <= floor)) {
            floor = s.median;
        }
    }
    return 3 * floor;
}

static struct qk_range range_of_heads(const struct qk_run_view *view)
{
    struct qk_range range = {0};
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        for (size_t i = 0; i < N_HEADS; i++) {
            struct qk_values values = values_of(view, c, i);
            qk_range_add_values(&range, &values);
        }
    }
    qk_range_finish(&range, false);
    return range;
}

/* Rows x, median, min, max per layer; returns their number. */
static size_t add_heads(struct qk_sheet *sheet, const struct qk_run_view *view, size_t i, double shift, bool log,
                        double *scratch, size_t *ret_block)
{
    struct qk_values values = values_of(view, view->current, i);
    size_t n = 0;
    bool gap = false;
    for (size_t l = 0; l < view->n_layers; l++) {
        struct qk_spread s;
        if (!qk_values_spread(&values, l, 0, scratch, &s) || (log && s.median <= 0)) {
            gap = n > 0;
            continue;
        }
        if (n == 0) {
            *ret_block = qk_sheet_block(sheet, heads[i].metric, "layer median min max (over the heads)");
        }
        if (gap) {
            qk_sheet_break(sheet);
            gap = false;
        }
        double row[] = {(double)l + shift, s.median, log && s.min <= 0 ? s.median : s.min, s.max};
        qk_sheet_row(sheet, row, 4);
        n++;
    }
    return n;
}

static size_t add_floor(struct qk_sheet *sheet, const struct qk_run_view *view, double *scratch, size_t *ret_block)
{
    size_t n = 0;
    for (size_t l = 0; l < view->n_layers; l++) {
        double floor = floor_of(view, l, scratch);
        if (!(floor > 0)) {
            continue;
        }
        if (n++ == 0) {
            *ret_block = qk_sheet_block(sheet, "3 x rounding floor", "layer value (larger of q and k)");
        }
        double left[] = {(double)l - 0.5, floor}, right[] = {(double)l + 0.5, floor};
        qk_sheet_row(sheet, left, 2);
        qk_sheet_row(sheet, right, 2);
    }
    return n;
}

static void plot_heads(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_range *range,
                       bool whiskers, double *scratch)
{
    size_t blocks[N_HEADS], n[N_HEADS], floor = 0, n_all = 0;
    for (size_t i = 0; i < N_HEADS; i++) {
        n[i] = add_heads(sheet, view, i, whiskers ? heads[i].shift : 0, range->log, scratch, &blocks[i]);
        n_all += n[i];
    }
    if (n_all == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    size_t n_floor = add_floor(sheet, view, scratch, &floor);
    const char *comma = "plot ";
    for (size_t i = 0; i < N_HEADS && !whiskers; i++) {
        if (n[i] > 0) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:3:4 with filledcurves fillstyle transparent solid 0.2 noborder "
                          "linecolor rgb '%s' notitle \\",
                          comma, blocks[i], heads[i].colour);
            comma = "   , ";
        }
    }
    if (n_floor > 0) {
        qk_sheet_line(sheet,
                      "%sdata index %zu using 1:2 with lines linewidth 1 dashtype (6,3) linecolor rgb '#555555' "
                      "notitle \\",
                      comma, floor);
        comma = "   , ";
    }
    for (size_t i = 0; i < N_HEADS; i++) {
        if (n[i] == 0) {
            continue;
        }
        if (whiskers) {
            /* not yerrorbars: those keep clear of the point, and short ones lose it */
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:3:(0):($4-$3) with vectors nohead linewidth 0.8 linecolor rgb '%s' "
                          "notitle \\",
                          comma, blocks[i], heads[i].colour);
            qk_sheet_line(sheet,
                          "   , data index %zu using 1:2 with points pointtype %d pointsize 0.4 linecolor rgb '%s' "
                          "notitle \\",
                          blocks[i], heads[i].point, heads[i].colour);
        } else {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2 with linespoints linewidth 1.2 pointtype %d pointsize 0.4 "
                          "pointinterval %zu linecolor rgb '%s' notitle \\",
                          comma, blocks[i], heads[i].point, 1 + view->n_layers / 16, heads[i].colour);
        }
        comma = "   , ";
    }
    qk_str_addc(&sheet->body, '\n');
}

static void set_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_grid *grid, size_t i,
                      const struct qk_range *range, const struct qk_legend *legend)
{
    struct qk_box box = qk_grid_box(grid, i);
    qk_sheet_panel(sheet, box);
    qk_layer_strip_draw(sheet, view, box);
    (void)qk_grid_legend(sheet, box.left, box.top + qk_layer_strip_height(view) + 0.22, legend);
    qk_grid_y_title(sheet, box, 1.1, "relative drift");
    qk_grid_layer_axis(sheet, grid, i, view);
    qk_axis_set(sheet, "y", range, box.top - box.bottom);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_range head_range = range_of_heads(view), module_range = qk_module_lines_range(view);
    qk_range_lift_zero(&head_range);
    qk_range_lift_zero(&module_range);
    struct qk_grid grid = {.n = 2,
                           .cols = 1,
                           .panel_height = sheet->wide ? 3.6 : 2.9,
                           .left = 1.4,
                           .right = 0.3,
                           .title = 0.46 + qk_layer_strip_height(view),
                           .axis = 0.15,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE};
    struct qk_values effective = qk_run_view_values(view, view->current, "qk_eff_rel_drift");
    bool folded = qk_values_any_finite(&effective);
    grid.foot += folded ? QK_GRID_NOTE : 0;
    qk_grid_place(sheet, &grid, qk_head_height(view));
    bool whiskers = grid.panel_width / (double)view->n_layers >= whisker_cm;
    size_t most = 1;
    for (size_t i = 0; i < view->table->n_nodes; i++) {
        const struct qk_node *node = view->table->nodes[i];
        most = !node->is_group && node->n_dims >= 2 && node->shape[1] > most ? node->shape[1] : most;
    }
    double *scratch = qk_calloc(most, sizeof *scratch);
    if (scratch == NULL) {
        return qk_fail_nomem(err, "heads of a figure");
    }
    set_panel(sheet, view, &grid, 0, &head_range, heads_legend);
    qk_head_draw(sheet, view, QK_HEAD_STRIP);
    if (folded) {
        qk_grid_note(sheet, 0, "routing: with norm weights folded in (qk_eff_rel_drift)");
    }
    qk_grid_note(sheet, folded ? 1 : 0,
                 whiskers ? "upper panel: median and range over the heads of a layer"
                          : "upper panel: median (line) and range (band) over heads");
    plot_heads(sheet, view, &head_range, whiskers, scratch);
    qk_free(scratch);
    set_panel(sheet, view, &grid, 1, &module_range, qk_module_lines_legend);
    qk_module_lines_plot(sheet, view, &module_range);
    return QK_OK;
}

static const char *const metrics[] = {"q_rel_drift",  "k_rel_drift",      "qk_eff_rel_drift",
                                      "qk_rel_drift", "module_rel_drift", NULL};

const struct qk_figure qk_figure_drift_by_layer = {
    .name = "drift-by-layer",
    .title = "Drift of queries, keys and routing over depth, with the other modules of each layer",
    .reading =
        "Above, a mark is the median head of a layer and its line reaches from the least to the most moved head; "
        "below, the modules of the same layers. Q and K high while V and O are low says that routing moved and "
        "not what is read.",
    .caution = "Relative sizes: a module with small weights moves far by little. Drift alone says nothing about harm.",
    .metrics = metrics,
    .draw = draw,
};
