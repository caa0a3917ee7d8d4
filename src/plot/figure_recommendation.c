/* What the plan does with each layer and why: the score as bars coloured by action, and beneath it what the score is
 * made of, the measured routing loss and the drift beyond rotation. */
#include <math.h>
#include <string.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "layer_strip.h"
#include "palette.h"

/* In the order of the flags of /recommend/action. */
static const struct action_style {
    const char *title, *colour;
} actions[] = {
    {"keep", QK_INK_KEEP},
    {"restore", QK_INK_RESTORED},
    {"align", QK_INK_ALIGN},
    {"blend", QK_INK_FOURTH},
};
enum { N_ACTIONS = sizeof actions / sizeof actions[0], BAR_MIN_LAYERS = 4 };

static const struct series {
    const char *path;
    const char *colour;
    int point;
    double shift; /* in layers, so that equal values do not hide each other */
} series[] = {
    {"/recommend/routing_loss", QK_INK_TUNED, 7, -0.16},
    {"/recommend/drift", QK_INK_QK, 5, 0.0},
    {"/recommend/alignable", QK_INK_ALIGN, 9, 0.16},
};
enum { N_SERIES = sizeof series / sizeof series[0] };

static const struct qk_legend series_legend[] = {{"routing loss", QK_INK_TUNED, NULL, 7},
                                                 {"drift", QK_INK_QK, NULL, 5},
                                                 {"alignable", QK_INK_ALIGN, NULL, 9},
                                                 {NULL, NULL, NULL, 0}};

/* A dataset of /recommend over layers, or NULL. */
static const struct qk_node *dataset(const struct qk_table *table, const char *path, enum qk_type type)
{
    const struct qk_node *node = qk_table_find(table, path), *layer = qk_table_find(table, "/model/layer");
    bool fits = node != NULL && layer != NULL && !node->is_group && node->type == type && node->n_dims == 1 &&
                node->n_values == layer->n_values;
    return fits ? node : NULL;
}

static double value_at(const struct qk_node *node, size_t layer)
{
    return node != NULL ? node->v.f64[layer] : (double)NAN;
}

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    const struct qk_node *group = qk_table_find(table, "/recommend");
    const char *about = group != NULL && group->is_group ? qk_node_attr_get_str(group, "checkpoint") : NULL;
    const struct qk_node *score = dataset(table, "/recommend/score", QK_TYPE_F64);
    bool any = false;
    for (size_t l = 0; score != NULL && l < score->n_values; l++) {
        any = any || isfinite(score->v.f64[l]);
    }
    return any && about != NULL && strcmp(about, checkpoint) == 0 &&
           dataset(table, "/recommend/action", QK_TYPE_U8) != NULL;
}

static void plot_scores(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    const struct qk_node *score = dataset(view->table, "/recommend/score", QK_TYPE_F64);
    const struct qk_node *action = dataset(view->table, "/recommend/action", QK_TYPE_U8);
    const char *comma = "plot ";
    for (size_t a = 0; a < N_ACTIONS; a++) {
        size_t n = 0;
        for (size_t l = 0; l < view->n_layers; l++) {
            if (action->v.u8[l] == a && isfinite(score->v.f64[l])) {
                if (n++ == 0) {
                    (void)qk_sheet_block(sheet, actions[a].title, "layer score");
                }
                double row[] = {(double)l, score->v.f64[l]};
                qk_sheet_row(sheet, row, 2);
            }
        }
        if (n > 0) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2:(%g) with boxes fillstyle solid 1 noborder linecolor rgb '%s' "
                          "notitle \\",
                          comma, sheet->n_blocks - 1, view->n_layers < BAR_MIN_LAYERS ? 0.3 : 0.7, actions[a].colour);
            comma = "   , ";
        }
    }
    qk_str_addc(&sheet->body, '\n');
}

static void plot_parts(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    const char *comma = "plot ";
    for (size_t i = 0; i < N_SERIES; i++) {
        const struct qk_node *node = dataset(view->table, series[i].path, QK_TYPE_F64);
        size_t n = 0;
        for (size_t l = 0; l < view->n_layers; l++) {
            if (isfinite(value_at(node, l))) {
                if (n++ == 0) {
                    (void)qk_sheet_block(sheet, series[i].path, "layer value");
                }
                double row[] = {(double)l + series[i].shift, value_at(node, l)};
                qk_sheet_row(sheet, row, 2);
            }
        }
        if (n > 0) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2 with points pointtype %d pointsize 0.55 linecolor rgb '%s' "
                          "notitle \\",
                          comma, sheet->n_blocks - 1, series[i].point, series[i].colour);
            comma = "   , ";
        }
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

/* The actions that the plan has. */
static void action_legend(const struct qk_run_view *view, struct qk_legend ret[N_ACTIONS + 1])
{
    const struct qk_node *score = dataset(view->table, "/recommend/score", QK_TYPE_F64);
    const struct qk_node *action = dataset(view->table, "/recommend/action", QK_TYPE_U8);
    size_t n = 0;
    for (size_t a = 0; a < N_ACTIONS; a++) {
        bool there = false;
        for (size_t l = 0; l < view->n_layers; l++) {
            there = there || (action->v.u8[l] == a && isfinite(score->v.f64[l]));
        }
        if (there) {
            ret[n++] = (struct qk_legend){actions[a].title, actions[a].colour, NULL, 0};
        }
    }
    ret[n] = (struct qk_legend){NULL, NULL, NULL, 0};
}

static struct qk_range range_of(const struct qk_run_view *view, bool parts)
{
    struct qk_range range = {0};
    for (size_t l = 0; l < view->n_layers; l++) {
        if (!parts) {
            qk_range_add(&range, value_at(dataset(view->table, "/recommend/score", QK_TYPE_F64), l));
        }
        for (size_t i = 0; parts && i < N_SERIES; i++) {
            qk_range_add(&range, value_at(dataset(view->table, series[i].path, QK_TYPE_F64), l));
        }
    }
    /* bars and shares are read from 0 on: a linear axis whatever the spread */
    double largest = range.n > 0 ? range.hi : 1.0;
    range = qk_range_symmetric(largest);
    range.lo = 0;
    return range;
}

static void set_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_grid *grid, size_t i,
                      const struct qk_range *range, const struct qk_legend *legend)
{
    struct qk_box box = qk_grid_box(grid, i);
    qk_sheet_panel(sheet, box);
    qk_layer_strip_draw(sheet, view, box);
    (void)qk_grid_legend(sheet, box.left, box.top + qk_layer_strip_height(view) + 0.22, legend);
    qk_grid_y_title(sheet, box, 1.1, i == 0 ? "score" : "share");
    qk_grid_layer_axis(sheet, grid, i, view);
    qk_axis_set(sheet, "y", range, box.top - box.bottom);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    (void)err;
    const struct qk_node *group = qk_table_find(view->table, "/recommend");
    const char *basis = group != NULL ? qk_node_attr_get_str(group, "basis") : NULL;
    const char *names[] = {basis != NULL ? basis : "?"};
    struct qk_range scores = range_of(view, false), parts = range_of(view, true);
    struct qk_grid grid = {.n = 2,
                           .cols = 1,
                           .panel_height = sheet->wide ? 3.0 : 2.4,
                           .left = 1.4,
                           .right = 0.3,
                           .title = 0.46 + qk_layer_strip_height(view),
                           .axis = 0.15,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    struct qk_legend legend[N_ACTIONS + 1];
    action_legend(view, legend);
    set_panel(sheet, view, &grid, 0, &scores, legend);
    qk_head_draw(sheet, view, QK_HEAD_STRIP);
    qk_sheet_text(sheet, 0.15, 0.2, "left", "scored by @; no bar: not considered", names,
                  "textcolor rgb '" QK_INK_FAINT "'");
    plot_scores(sheet, view);
    set_panel(sheet, view, &grid, 1, &parts, series_legend);
    plot_parts(sheet, view);
    return QK_OK;
}

const struct qk_figure qk_figure_recommendation = {
    .name = "recommendation",
    .title = "What the plan does with each layer, by which score, and what the score is made of",
    .reading = "Above, a bar is a layer's score in the colour of what is done with it; below, what the score is made "
               "of: what attention lost, how far Q and K moved, and how much of that is a rotation.",
    .caution = "With --measure the plan was chosen by running variants, and the score only said which to try first: a "
               "high bar may be kept.",
    .group = "checkpoints",
    .has_data = has_data,
    .needs = "/recommend, which recommend --store adds",
    .together = 1,
    .draw = draw,
};
