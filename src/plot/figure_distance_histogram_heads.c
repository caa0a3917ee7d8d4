/* Attention by distance of single heads: those whose distance scale moved most between the checkpoints of the run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "distance_panels.h"
#include "figure.h"

/* Mean bin of a head's attention, in log2 units: bins are powers of two. NaN when there is none. */
static double mean_bin(const struct qk_values *values, size_t layer, size_t head)
{
    double sum = 0, mass = 0;
    for (size_t b = 0; b < values->n_depth; b++) {
        double v = qk_values_at(values, layer, head, b);
        sum += v * (double)b;
        mass += v;
    }
    return mass > 0 ? sum / mass : NAN;
}

/* How far checkpoint c moved the head: what /routing says, else the same from the histograms. */
static double shift_in(const struct qk_run_view *view, size_t c, size_t layer, size_t head)
{
    struct qk_values said = qk_table_values(view->table, "routing", view->checkpoints[c], "distance_shift");
    double v = qk_values_at(&said, layer, head, 0);
    if (isfinite(v)) {
        return v;
    }
    struct qk_values tuned = qk_run_view_values(view, c, "distance_histogram");
    struct qk_values base = qk_run_view_values(view, qk_distance_base(view), "distance_histogram");
    return mean_bin(&tuned, layer, head) - mean_bin(&base, layer, head);
}

/* The largest shift of any checkpoint; of a run with one checkpoint the mean bin itself. */
static double score_of(const struct qk_run_view *view, size_t layer, size_t head)
{
    size_t base = qk_distance_base(view);
    if (view->n_checkpoints == 1) {
        struct qk_values values = qk_run_view_values(view, base, "distance_histogram");
        return mean_bin(&values, layer, head);
    }
    double most = NAN;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        double v = c == base ? NAN : shift_in(view, c, layer, head);
        most = isfinite(v) && !(fabs(v) <= fabs(most)) ? v : most;
    }
    return most;
}

static int by_shift(const void *a, const void *b)
{
    const struct qk_distance_panel *x = a, *y = b;
    double p = fabs(x->score), q = fabs(y->score);
    if (p != q) {
        return p < q ? 1 : -1;
    }
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->head > y->head) - (x->head < y->head);
}

static bool is_implied(const struct qk_run_view *view, size_t layer)
{
    return qk_run_view_is_implied(view->table, view->checkpoints[qk_distance_base(view)], layer);
}

/* Heads with softmax attention; others only where there is no such head. */
static void choose(struct qk_distance_panels *panels, size_t n_heads, size_t fit)
{
    const struct qk_run_view *view = panels->view;
    for (int implied = 0; implied < 2 && panels->n == 0; implied++) {
        for (size_t l = 0; l < view->n_layers; l++) {
            for (size_t h = 0; h < n_heads && is_implied(view, l) == implied; h++) {
                double score = score_of(view, l, h);
                if (isfinite(score)) {
                    panels->panels[panels->n++] = (struct qk_distance_panel){l, h, score};
                }
            }
        }
    }
    qsort(panels->panels, panels->n, sizeof *panels->panels, by_shift);
    panels->n = panels->n < fit ? panels->n : fit;
}

static void title(const struct qk_distance_panels *panels, size_t i, char *out, size_t cap)
{
    const struct qk_distance_panel *panel = &panels->panels[i];
    const char *sign = panels->view->n_checkpoints == 1 ? "" : panel->score < 0 ? "−" : "+";
    (void)snprintf(out, cap, "%zu.%zu:  %s%.2f", panel->layer, panel->head, sign, fabs(panel->score));
}

/* Heads that are in all checkpoints equal have no place here, but a sheet needs a panel. */
static void draw_empty(struct qk_sheet *sheet)
{
    struct qk_box box = {1.1, 1, sheet->width - 0.2, 3.6};
    sheet->height = 4;
    qk_sheet_panel(sheet, box);
    qk_sheet_no_data(sheet);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    size_t n_heads;
    struct qk_distance_panels panels = {.view = view, .title = title};
    qk_distance_extent(view, &n_heads, &panels.n_bins);
    panels.panels = qk_calloc(view->n_layers * n_heads, sizeof *panels.panels);
    if (panels.panels == NULL) {
        return qk_fail_nomem(err, "panels of a figure");
    }
    choose(&panels, n_heads, sheet->wide ? 12 : 9);
    panels.note = view->n_checkpoints > 1 ? "layer.head: shift of mean log2 distance, largest first"
                                          : "layer.head: mean bin, farthest first";
    if (panels.n > 0) {
        qk_distance_panels_draw(sheet, &panels);
    } else {
        draw_empty(sheet);
    }
    qk_free(panels.panels);
    return QK_OK;
}

static const char *const metrics[] = {"distance_histogram", NULL};

const struct qk_figure qk_figure_distance_histogram_heads = {
    .name = "distance-histogram-heads",
    .title = "Attention by distance of the heads that moved most, every checkpoint in one picture",
    .reading = "The heads whose mean distance shifted most in any checkpoint, each with its shift in doublings: −1 "
               "looks half as far. Read as distance-histogram.",
    .caution = "Chosen by the size of the shift, so the panels are extremes of the model and not typical; a shift "
               "without an effect on recall is no damage.",
    .group = "probe",
    .metrics = metrics,
    .together = 1,
    .draw = draw,
};
