/* What kind each layer is, shown on the layer axis: a strip of colours above a panel and its legend in the head line.
 */
#ifndef QK_PLOT_LAYER_STRIP_H
#define QK_PLOT_LAYER_STRIP_H

#include "run_view.h"
#include "sheet.h"

/* Height that the head of a sheet takes: the line with the names, and the legend where there is one. */
double qk_head_height(const struct qk_run_view *view);
enum qk_head_style {
    QK_HEAD_PLAIN, /* names only */
    QK_HEAD_STRIP, /* and the colours of the strip */
    QK_HEAD_DASH,  /* and the dash types of lines */
};
/* "tuned against base" and a legend of the layer kinds, at the top of the sheet. Belongs into the first panel. */
void qk_head_draw(struct qk_sheet *sheet, const struct qk_run_view *view, enum qk_head_style style);
/* The same for a picture of all tuned checkpoints: their number instead of a name, legend of dash types. */
void qk_head_draw_all(struct qk_sheet *sheet, const struct qk_run_view *view);
/* Strip above box, whose x axis runs over all layers. Nothing when all layers are of one kind. */
void qk_layer_strip_draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_box box);
/* Height it takes with its distance, 0 when it is left out. */
double qk_layer_strip_height(const struct qk_run_view *view);
/* Dash type of a layer's line: full solid, others broken. */
const char *qk_layer_dash(const struct qk_run_view *view, size_t layer);

#endif
