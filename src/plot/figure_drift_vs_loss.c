/* Drift of the routing form against what attention lost, a point per head: did the heads that moved most lose their
 * range? The heads that lost most have their names, layer.head. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "layer_strip.h"
#include "palette.h"
#include "point_labels.h"

/* What stands on the y axis: far attention, or the distance scale where no base head looks far. */
struct measure {
    const char *metric, *title;
    double sign;   /* of a loss */
    bool has_gain; /* negative values are gains, which may be many times the losses that the figure is about */
};

static const struct measure measures[] = {
    {"tail_loss", "share of far attention lost", 1, true},
    {"distance_shift", "shift in log2 tokens", -1, false},
};

struct point {
    double x, y;
    size_t layer, head;
    bool implied;
    double loss;
};

struct cloud {
    const struct measure *measure;
    struct point *points; /* largest loss first */
    size_t n, n_still, n_below, n_named, n_placed;
    double floor; /* lower values are drawn here */
    struct qk_range x, y;
    struct qk_box box;
    double *places; /* (n, 2) cm */
};

enum { MAX_NAMES = 18, MAX_NAMES_SINGLE = 10 };
/* Of the largest loss: heads that lost less are not named. */
static const double least_named = 0.25;

static const struct measure *measure_of(const struct qk_run_view *view)
{
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, measures[0].metric);
        if (qk_values_any_finite(&values)) {
            return &measures[0];
        }
    }
    return &measures[1];
}

/* With norm weights folded in where that was computed. */
static struct qk_values drift_of(const struct qk_run_view *view, size_t checkpoint)
{
    const char *name = view->checkpoints[checkpoint];
    struct qk_values values = qk_table_values(view->table, "drift", name, "qk_eff_rel_drift");
    return qk_values_any_finite(&values) ? values : qk_table_values(view->table, "drift", name, "qk_rel_drift");
}

static bool point_at(const struct qk_values *drift, const struct qk_values *loss, size_t i, struct point *ret)
{
    size_t l = i / drift->n_heads, h = i % drift->n_heads;
    *ret = (struct point){.x = qk_values_at(drift, l, h, 0), .y = qk_values_at(loss, l, h, 0), .layer = l, .head = h};
    return isfinite(ret->x) && isfinite(ret->y);
}

/* Where gains are cut off: at once and a half the largest loss, rounded up to a multiple of 0.05. */
static double floor_of(double largest_loss)
{
    return largest_loss > 0 ? -fmin(1, 0.05 * ceil(1.5 * largest_loss / 0.05)) : -1;
}

/* One pair of axes for all checkpoints of the run. */
static void find_ranges(const struct qk_run_view *view, struct cloud *cloud)
{
    double lo = 0, hi = 0;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values drift = drift_of(view, c), loss = qk_run_view_values(view, c, cloud->measure->metric);
        for (size_t i = 0; i < drift.n_layers * drift.n_heads; i++) {
            struct point p;
            if (point_at(&drift, &loss, i, &p)) {
                qk_range_add(&cloud->x, p.x);
                lo = fmin(lo, p.y);
                hi = fmax(hi, p.y);
            }
        }
    }
    qk_range_finish(&cloud->x, false);
    qk_range_lift_zero(&cloud->x);
    cloud->floor = cloud->measure->has_gain ? floor_of(hi) : -INFINITY;
    lo = fmax(lo, cloud->floor);
    double room = hi > lo ? 0.08 * (hi - lo) : 0.5;
    cloud->y = (struct qk_range){.lo = lo - room, .hi = hi + 2 * room}; /* names above the topmost points */
}

static int by_loss(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->loss != y->loss) {
        return x->loss < y->loss ? 1 : -1;
    }
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->head > y->head) - (x->head < y->head);
}

/* Points of the current checkpoint. points NULL: only counts them. */
static void collect(const struct qk_run_view *view, struct cloud *cloud)
{
    struct qk_values drift = drift_of(view, view->current);
    struct qk_values loss = qk_run_view_values(view, view->current, cloud->measure->metric);
    cloud->n = cloud->n_still = cloud->n_below = 0;
    for (size_t i = 0; i < drift.n_layers * drift.n_heads; i++) {
        struct point p;
        if (!point_at(&drift, &loss, i, &p)) {
            continue;
        }
        if (cloud->x.log && p.x <= 0) {
            cloud->n_still++;
            continue;
        }
        p.loss = cloud->measure->sign * p.y;
        p.implied = qk_run_view_is_implied(view->table, view->checkpoints[view->current], p.layer);
        cloud->n_below += p.y < cloud->floor;
        p.y = fmax(p.y, cloud->floor);
        if (cloud->points != NULL) {
            cloud->points[cloud->n] = p;
        }
        cloud->n++;
    }
    if (cloud->points != NULL) {
        qsort(cloud->points, cloud->n, sizeof *cloud->points, by_loss);
    }
}

static double along(const struct qk_range *range, double v)
{
    return range->log ? log(v / range->lo) / log(range->hi / range->lo) : (v - range->lo) / (range->hi - range->lo);
}

static void name_points(struct qk_sheet *sheet, struct cloud *cloud)
{
    struct qk_point_label labels[MAX_NAMES];
    size_t most = sheet->wide ? MAX_NAMES : MAX_NAMES_SINGLE;
    struct qk_box box = cloud->box;
    for (size_t i = 0; i < cloud->n; i++) {
        const struct point *p = &cloud->points[i];
        cloud->places[2 * i] = box.left + along(&cloud->x, p->x) * (box.right - box.left);
        cloud->places[2 * i + 1] = box.bottom + along(&cloud->y, p->y) * (box.top - box.bottom);
        if (i < most && p->loss > 0 && p->loss >= least_named * cloud->points[0].loss) {
            struct qk_point_label *label = &labels[cloud->n_named++];
            label->x = cloud->places[2 * i];
            label->y = cloud->places[2 * i + 1];
            (void)snprintf(label->text, sizeof label->text, "%zu.%zu", p->layer, p->head);
        }
    }
    qk_point_labels_place(labels, cloud->n_named, cloud->places, cloud->n, box);
    qk_point_labels_draw(sheet, labels, cloud->n_named);
    for (size_t i = 0; i < cloud->n_named; i++) {
        cloud->n_placed += labels[i].placed;
    }
}

enum which { SOFTMAX, IMPLIED, NAMED, N_WHICH };
static const struct {
    const char *title, *legend, *colour;
    int point;
} kinds[N_WHICH] = {
    [SOFTMAX] = {"heads with softmax attention", "softmax", QK_INK_OTHER, 7},
    [IMPLIED] = {"heads of linear layers, implied mixing", "linear (implied)", QK_INK_PLAIN, 6},
    [NAMED] = {"heads that lost most", "lost most: layer.head", QK_INK_TUNED, 7},
};

static enum which which_of(const struct cloud *cloud, size_t i)
{
    return i < cloud->n_named ? NAMED : cloud->points[i].implied ? IMPLIED : SOFTMAX;
}

static void plot_points(struct qk_sheet *sheet, const struct cloud *cloud)
{
    double size = cloud->n > 2000 ? 0.15 : cloud->n > 300 ? 0.22 : cloud->n > 100 ? 0.35 : 0.5;
    if (cloud->n == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    qk_sheet_line(sheet, "plot 0 with lines linewidth 0.6 dashtype (6,3) linecolor rgb '#888888' notitle \\");
    for (int which = 0; which < N_WHICH; which++) {
        size_t n = 0;
        for (size_t i = 0; i < cloud->n; i++) {
            const struct point *p = &cloud->points[i];
            if (which_of(cloud, i) != (enum which)which) {
                continue;
            }
            if (n++ == 0) {
                (void)qk_sheet_block(sheet, kinds[which].title, "drift loss layer head");
            }
            double row[] = {p->x, p->y, (double)p->layer, (double)p->head};
            qk_sheet_row(sheet, row, 4);
        }
        if (n > 0) {
            qk_sheet_line(sheet,
                          "   , data index %zu using 1:2 with points pointtype %d pointsize %g linewidth 0.6 linecolor "
                          "rgb '%s' notitle \\",
                          sheet->n_blocks - 1, kinds[which].point, which == NAMED && size < 0.3 ? 0.3 : size,
                          kinds[which].colour);
        }
    }
    qk_str_addc(&sheet->body, '\n');
}

static void draw_legend(struct qk_sheet *sheet, const struct cloud *cloud)
{
    struct qk_legend legend[N_WHICH + 1] = {{NULL, NULL, NULL, 0}};
    char named[64];
    size_t n = 0;
    (void)snprintf(named, sizeof named, "lost most (%zu of %zu named)", cloud->n_placed, cloud->n_named);
    for (int which = 0; which < N_WHICH; which++) {
        bool there = which == NAMED && cloud->n_named > 0;
        for (size_t i = cloud->n_named; i < cloud->n && !there; i++) {
            there = which_of(cloud, i) == (enum which)which;
        }
        if (there) {
            bool crowded = which == NAMED && cloud->n_placed < cloud->n_named;
            legend[n++] = (struct qk_legend){crowded ? named : kinds[which].legend, kinds[which].colour, NULL,
                                             kinds[which].point};
        }
    }
    legend[n] = (struct qk_legend){NULL, NULL, NULL, 0};
    (void)qk_grid_legend(sheet, 0.15, sheet->height - 0.67, legend);
}

static void add_notes(struct qk_sheet *sheet, const struct cloud *cloud)
{
    char text[96];
    size_t line = 0;
    if (cloud->n_still > 0) {
        (void)snprintf(text, sizeof text, "unchanged heads (exactly 0), not shown: %zu", cloud->n_still);
        qk_grid_note(sheet, line++, text);
    }
    if (cloud->n_below > 0) {
        (void)snprintf(text, sizeof text, "heads below −%g, drawn at −%g: %zu", -cloud->floor, -cloud->floor,
                       cloud->n_below);
        qk_grid_note(sheet, line, text);
    }
}

static void draw_cloud(struct qk_sheet *sheet, const struct qk_run_view *view, struct cloud *cloud)
{
    size_t notes = (size_t)(cloud->n_still > 0) + (cloud->n_below > 0);
    struct qk_grid grid = {.n = 1,
                           .cols = 1,
                           .panel_height = sheet->wide ? 7 : 5,
                           .left = 1.4,
                           .right = 0.4,
                           .title = 0.1,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)notes};
    qk_grid_place(sheet, &grid, 0.86);
    cloud->box = qk_grid_box(&grid, 0);
    qk_sheet_panel(sheet, cloud->box);
    name_points(sheet, cloud);
    qk_head_draw(sheet, view, QK_HEAD_PLAIN);
    draw_legend(sheet, cloud);
    add_notes(sheet, cloud);
    qk_grid_x_title(sheet, cloud->box, "relative drift of the routing form");
    qk_grid_y_title(sheet, cloud->box, 1.1, cloud->measure->title);
    qk_axis_set(sheet, "x", &cloud->x, cloud->box.right - cloud->box.left);
    qk_axis_set(sheet, "y", &cloud->y, cloud->box.top - cloud->box.bottom);
    plot_points(sheet, cloud);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct cloud cloud = {.measure = measure_of(view)};
    find_ranges(view, &cloud);
    collect(view, &cloud);
    cloud.points = qk_calloc(cloud.n + 1, sizeof *cloud.points);
    cloud.places = qk_calloc(cloud.n + 1, 2 * sizeof *cloud.places);
    bool enough = cloud.points != NULL && cloud.places != NULL;
    if (enough) {
        collect(view, &cloud);
        draw_cloud(sheet, view, &cloud);
    }
    qk_free(cloud.places);
    qk_free(cloud.points);
    return enough ? QK_OK : qk_fail_nomem(err, "points of a figure");
}

static const char *const metrics[] = {"tail_loss", "distance_shift", NULL};
static const char *const drift_too[] = {"qk_eff_rel_drift", "qk_rel_drift", NULL};

const struct qk_figure qk_figure_drift_vs_loss = {
    .name = "drift-vs-loss",
    .title = "Drift of the routing form against the loss of far attention, a point per head",
    .reading = "A point is a head: right is drifted, up has lost far attention. Points at the upper right are what a "
               "repair of Q and K can win; a cloud along the axis drifted without loss.",
    .caution = "It is a correlation over heads of one model; heads without far attention in the base have nothing to "
               "lose and are not drawn.",
    .group = "routing",
    .metrics = metrics,
    .drift_too = drift_too,
    .draw = draw,
};
