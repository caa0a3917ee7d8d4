/* Attention by distance, a panel per layer: how far back the heads of each layer look in every checkpoint of the run,
 * base, tuned and restored in one picture. */
#include <stdio.h>

#include "base/alloc.h"
#include "distance_panels.h"
#include "figure.h"

static void title(const struct qk_distance_panels *panels, size_t i, char *out, size_t cap)
{
    (void)snprintf(out, cap, "layer %zu", panels->panels[i].layer);
}

static bool wanted(const struct qk_run_view *view, size_t layer, bool softmax_only)
{
    for (size_t c = 0; softmax_only && c < view->n_checkpoints; c++) {
        if (qk_run_view_is_implied(view->table, view->checkpoints[c], layer)) {
            return false;
        }
    }
    return qk_distance_exists(view, layer, QK_ALL_HEADS);
}

static size_t count(const struct qk_run_view *view, bool softmax_only)
{
    size_t n = 0;
    for (size_t l = 0; l < view->n_layers; l++) {
        n += wanted(view, l, softmax_only);
    }
    return n;
}

/* All layers; where they do not fit, those with softmax attention; where these do not fit, every second, third … */
static void choose(struct qk_distance_panels *panels, size_t fit, char *note, size_t cap)
{
    const struct qk_run_view *view = panels->view;
    size_t n_all = count(view, false), n_softmax = count(view, true);
    bool softmax_only = n_all > fit && n_softmax > 0;
    size_t n = softmax_only ? n_softmax : n_all, step = (n + fit - 1) / fit, seen = 0;
    for (size_t l = 0; l < view->n_layers; l++) {
        if (wanted(view, l, softmax_only) && seen++ % step == 0) {
            panels->panels[panels->n++] = (struct qk_distance_panel){.layer = l, .head = QK_ALL_HEADS};
        }
    }
    if (panels->n < n_all) {
        (void)snprintf(note, cap, "%zu of %zu layers shown%s", panels->n, n_all,
                       softmax_only ? ": those with softmax attention" : "");
        if (step > 1) {
            (void)snprintf(note, cap, "%zu of %zu layers shown: 1 in %zu%s", panels->n, n_all, step,
                           softmax_only ? " of those with softmax attention" : "");
        }
        panels->more = note;
    }
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    size_t n_heads;
    char note[128];
    struct qk_distance_panels panels = {.view = view, .title = title};
    qk_distance_extent(view, &n_heads, &panels.n_bins);
    panels.scratch = qk_calloc(n_heads, sizeof *panels.scratch);
    panels.panels = qk_calloc(view->n_layers, sizeof *panels.panels);
    bool enough = panels.scratch != NULL && panels.panels != NULL;
    if (enough) {
        choose(&panels, qk_distance_fit(sheet->wide), note, sizeof note);
        panels.note = view->n_checkpoints <= 3 ? "median over the heads of a layer; band: middle half"
                                               : "median over the heads of a layer";
        qk_distance_panels_draw(sheet, &panels);
    }
    qk_free(panels.panels);
    qk_free(panels.scratch);
    return enough ? QK_OK : qk_fail_nomem(err, "panels of a figure");
}

static const char *const metrics[] = {"distance_histogram", NULL};

const struct qk_figure qk_figure_distance_histogram = {
    .name = "distance-histogram",
    .title = "Attention by distance per layer, every checkpoint of the run in one picture",
    .reading = "A line is a checkpoint: the share of a layer's attention that falls on tokens so far back, median over "
               "its heads. The strip under a panel is each checkpoint minus the base; attention that moved from right "
               "to left is lost range.",
    .caution = "The first tokens of a text count, and idle attention goes there: a peak at the far end can be such a "
               "sink and no reading. One head of many does not move a median; distance-histogram-heads shows it.",
    .group = "probe",
    .metrics = metrics,
    .together = 1,
    .draw = draw,
};
