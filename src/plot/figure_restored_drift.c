/* A restored checkpoint beside the tuned one that it was made of: the drift of queries, keys and the routing form
 * before and after, layer by layer. */
#include <math.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "layer_strip.h"
#include "palette.h"

static const struct panel {
    const char *metric, *instead; /* drawn where the metric was not computed */
    const char *title;
} panels[] = {
    {"q_rel_drift", NULL, "queries  $W_Q$"},
    {"k_rel_drift", NULL, "keys  $W_K$"},
    {"qk_eff_rel_drift", "qk_rel_drift", "routing  $W_Q{}^T W_K$"},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

static const struct qk_legend legend[] = {
    {"before", QK_INK_TUNED, NULL, 6}, {"after", QK_INK_RESTORED, NULL, 7}, {NULL, NULL, NULL, 0}};

/* Modules that a restore may touch. */
static bool may_change(const char *module)
{
    static const char *const names[] = {"q", "k", "norms", "qk_norm", "qk_bias"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], module) == 0) {
            return true;
        }
    }
    return false;
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

/* b is a with other W_Q or W_K, nearer to the base: the drift of all other modules is the same to the last bit. */
static bool is_made_of(const struct qk_table *table, const char *a, const char *b)
{
    struct qk_values before = qk_table_values(table, "drift", a, "module_rel_drift");
    struct qk_values after = qk_table_values(table, "drift", b, "module_rel_drift");
    const struct qk_node *names = before.node != NULL ? qk_table_find(table, before.node->dims[1]) : NULL;
    bool comparable = names != NULL && names->type == QK_TYPE_STR && names->n_values == before.n_heads &&
                      after.n_heads == before.n_heads && after.n_layers == before.n_layers;
    bool nearer = false;
    for (size_t l = 0; comparable && l < before.n_layers; l++) {
        for (size_t m = 0; m < before.n_heads; m++) {
            double x = qk_values_at(&before, l, m, 0), y = qk_values_at(&after, l, m, 0);
            bool free = may_change(names->v.str[m]);
            if (!free && !same(x, y)) {
                return false;
            }
            nearer = nearer || (free && y < x);
        }
    }
    return nearer;
}

/* The first checkpoint of the run that this one is made of, or NULL. */
static const char *origin_of(const struct qk_table *table, const char *checkpoint)
{
    const char *name;
    for (size_t at = 0; (name = qk_run_view_next(table, "drift", &at)) != NULL;) {
        if (strcmp(name, checkpoint) != 0 && is_made_of(table, name, checkpoint)) {
            return name;
        }
    }
    return NULL;
}

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    return origin_of(table, checkpoint) != NULL;
}

static struct qk_values values_of(const struct qk_table *table, const char *checkpoint, const struct panel *panel)
{
    struct qk_values values = qk_table_values(table, "drift", checkpoint, panel->metric);
    return panel->instead != NULL && !qk_values_any_finite(&values)
               ? qk_table_values(table, "drift", checkpoint, panel->instead)
               : values;
}

/* Median over the heads, of one layer and checkpoint. */
static double median_of(const struct qk_values *values, size_t layer, double *scratch)
{
    struct qk_spread s;
    return qk_values_spread(values, layer, 0, scratch, &s) ? s.median : NAN;
}

static void plot_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct panel *panel,
                       const char *origin, double *scratch)
{
    struct qk_values before = values_of(view->table, origin, panel);
    struct qk_values after = values_of(view->table, view->checkpoints[view->current], panel);
    size_t n = 0;
    for (size_t l = 0; l < view->n_layers; l++) {
        double x = median_of(&before, l, scratch), y = median_of(&after, l, scratch);
        if (isfinite(x) && isfinite(y)) {
            if (n++ == 0) {
                (void)qk_sheet_block(sheet, panel->metric, "layer before after (medians over the heads)");
            }
            double row[] = {(double)l, x, y};
            qk_sheet_row(sheet, row, 3);
        }
    }
    if (n == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    size_t block = sheet->n_blocks - 1;
    qk_sheet_line(
        sheet,
        "plot data index %zu using 1:2:(0):($3-$2) with vectors nohead linewidth 1 linecolor rgb '%s' notitle "
        "\\",
        block, QK_INK_RESTORED);
    qk_sheet_line(sheet,
                  "   , data index %zu using 1:2 with points pointtype 6 pointsize 0.5 linewidth 1 linecolor rgb "
                  "'%s' notitle \\",
                  block, QK_INK_TUNED);
    qk_sheet_line(sheet,
                  "   , data index %zu using 1:3 with points pointtype 7 pointsize 0.35 linecolor rgb '%s' notitle \\",
                  block, QK_INK_RESTORED);
    qk_str_addc(&sheet->body, '\n');
}

/* One scale for all panels, linear from 0: what was restored is exactly 0. */
static struct qk_range range_of(const struct qk_run_view *view, const char *origin, double *scratch)
{
    struct qk_range range = {0};
    for (size_t p = 0; p < N_PANELS; p++) {
        const char *const names[] = {origin, view->checkpoints[view->current]};
        for (size_t i = 0; i < 2; i++) {
            struct qk_values values = values_of(view->table, names[i], &panels[p]);
            for (size_t l = 0; l < view->n_layers; l++) {
                qk_range_add(&range, median_of(&values, l, scratch));
            }
        }
    }
    double largest = range.n > 0 ? range.hi : 1.0;
    range = qk_range_symmetric(largest);
    range.lo = 0;
    range.n_zero = 1;
    qk_range_lift_zero(&range);
    return range;
}

static void draw_panels(struct qk_sheet *sheet, const struct qk_run_view *view, const char *origin, double *scratch)
{
    struct qk_range range = range_of(view, origin, scratch);
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? N_PANELS : 1,
                           .panel_height = sheet->wide ? 3.2 : 1.9,
                           .left = 1.4,
                           .right = 0.3,
                           .gap_x = 1.4,
                           .title = 0.44 + qk_layer_strip_height(view),
                           .axis = 0.12,
                           .foot = QK_GRID_FOOT + 2 * QK_GRID_NOTE};
    qk_grid_place(sheet, &grid, qk_head_height(view));
    for (size_t p = 0; p < N_PANELS; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        qk_sheet_panel(sheet, box);
        if (p == 0) {
            const char *names[] = {origin};
            qk_head_draw(sheet, view, QK_HEAD_STRIP);
            (void)qk_grid_legend(sheet, 0.15, 0.2 + QK_GRID_NOTE, legend);
            qk_sheet_text(sheet, 0.15, 0.2, "left", "before: @; medians over the heads of a layer", names,
                          "textcolor rgb '" QK_INK_FAINT "'");
        }
        qk_layer_strip_draw(sheet, view, box);
        qk_grid_title(sheet, box, qk_layer_strip_height(view), panels[p].title);
        qk_grid_y_title(sheet, box, 1.1, "relative drift");
        qk_grid_layer_axis(sheet, &grid, p, view);
        qk_axis_set(sheet, "y", &range, box.top - box.bottom);
        plot_panel(sheet, view, &panels[p], origin, scratch);
    }
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    const char *origin = origin_of(view->table, view->checkpoints[view->current]);
    size_t most = 1;
    for (size_t i = 0; i < view->table->n_nodes; i++) {
        const struct qk_node *node = view->table->nodes[i];
        most = !node->is_group && node->n_dims >= 2 && node->shape[1] > most ? node->shape[1] : most;
    }
    double *scratch = qk_calloc(most, sizeof *scratch);
    if (scratch == NULL) {
        return qk_fail_nomem(err, "heads of a figure");
    }
    draw_panels(sheet, view, origin, scratch);
    qk_free(scratch);
    return QK_OK;
}

const struct qk_figure qk_figure_restored_drift = {
    .name = "restored-drift",
    .title = "Drift of queries, keys and routing before and after a restore",
    .reading = "An open mark is the layer before the restore, a filled one after it; a line to 0 is a layer put back "
               "entirely. Layers outside the plan must not move.",
    .caution = "That drift is gone says that the weights are back, not that recall is: see recall-by-length.",
    .has_data = has_data,
    .needs = "two tuned checkpoints of which one is the other with W_Q or W_K restored",
    .draw = draw,
};
