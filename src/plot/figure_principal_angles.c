/* Principal angles between the row spaces of the base's and the tuned heads, largest first, one line per layer. */
#include <stdint.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_lines.h"
#include "layer_strip.h"

struct panel {
    const char *metric, *title;
};

static const struct panel panels[] = {
    {"q_principal_angles", "queries  $W_Q$"},
    {"k_principal_angles", "keys  $W_K$"},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

static double index_of(const struct qk_run_view *view, const struct qk_values *values, size_t layer, size_t depth)
{
    (void)view;
    (void)values;
    (void)layer;
    return (double)depth + 1;
}

static struct qk_layer_lines lines_of(const struct qk_run_view *view, size_t checkpoint, size_t panel)
{
    return (struct qk_layer_lines){panels[panel].metric, view,
                                   qk_run_view_values(view, checkpoint, panels[panel].metric), index_of, false};
}

/* The smallest angles of a head are often tiny and would stretch a logarithmic axis: it is taken only where the largest
 * angles of the heads already span more than two decades. */
static enum qk_code find_range(const struct qk_run_view *view, struct qk_range *ret, struct qk_err *err)
{
    struct qk_range largest = {0}, all = {0};
    for (size_t i = 0; i < N_PANELS; i++) {
        QK_TRY(qk_layer_lines_extent(view, panels[i].metric, 1, &largest, err));
        QK_TRY(qk_layer_lines_extent(view, panels[i].metric, SIZE_MAX, &all, err));
    }
    qk_range_finish(&largest, false);
    qk_range_finish(&all, largest.log);
    largest.lo = 0;
    *ret = largest.log ? all : largest;
    return QK_OK;
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_range range;
    QK_TRY(find_range(view, &range, err));
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? 2 : 1,
                           .panel_height = sheet->wide ? 4.2 : 3,
                           .left = 1.4,
                           .right = QK_LAYER_LINES_RIGHT,
                           .gap_x = 1.5,
                           .title = 0.44,
                           .axis = 0.15,
                           .foot = QK_GRID_FOOT};
    const char *note = NULL;
    size_t depth = 1, widest = 0;
    for (size_t i = 0; i < N_PANELS; i++) {
        struct qk_layer_lines lines = lines_of(view, view->current, i);
        note = note != NULL ? note : qk_layer_lines_note(&lines, &range);
        depth = lines.values.n_depth > depth ? lines.values.n_depth : depth;
        struct qk_layer_lines most = lines_of(view, view->current, widest);
        widest = qk_layer_lines_count(&lines, range.log) > qk_layer_lines_count(&most, range.log) ? i : widest;
    }
    grid.foot += note != NULL ? QK_GRID_NOTE : 0;
    qk_grid_place(sheet, &grid, qk_head_height(view));
    for (size_t i = 0; i < N_PANELS; i++) {
        struct qk_box box = qk_grid_box(&grid, i);
        struct qk_layer_lines lines = lines_of(view, view->current, i);
        qk_sheet_panel(sheet, box);
        if (i == 0) {
            struct qk_layer_lines most = lines_of(view, view->current, widest);
            struct qk_box last = qk_grid_box(&grid, sheet->wide ? N_PANELS - 1 : 0);
            qk_head_draw(sheet, view, QK_HEAD_DASH);
            qk_layer_lines_legend(sheet, view, &most, &range, last);
            if (note != NULL) {
                qk_grid_note(sheet, 0, note);
            }
        }
        qk_grid_title(sheet, box, 0, panels[i].title);
        qk_grid_y_title(sheet, box, 1.1, "principal angle (rad)");
        qk_axis_set(sheet, "y", &range, box.top - box.bottom);
        qk_axis_set_count(sheet, "x", 1, depth, box.right - box.left);
        if (qk_grid_is_lowest(&grid, i)) {
            qk_grid_x_title(sheet, box, "index, largest angle first");
        } else {
            qk_sheet_line(sheet, "set format x ''");
        }
        QK_TRY(qk_layer_lines_plot(sheet, view, &lines, &range, err));
    }
    return QK_OK;
}

static const char *const metrics[] = {"q_principal_angles", "k_principal_angles", NULL};

const struct qk_figure qk_figure_principal_angles = {
    .name = "principal-angles",
    .title = "Spectra of principal angles per layer, queries and keys",
    .reading = "How far the space that a layer's queries or keys read from has turned, largest angle first: 0 is the "
               "same direction, 1.57 a new one. A steep start is a change of few directions, as a low-rank adapter "
               "makes it.",
    .caution = "Angles do not weigh directions: the first ones may carry little of the weight. The median of the heads "
               "hides single ones.",
    .metrics = metrics,
    .draw = draw,
};
