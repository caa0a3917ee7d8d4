/* One line per module over depth: routing (Q, K), extraction (V, O) and the feed-forward part of each layer. */
#ifndef QK_PLOT_MODULE_LINES_H
#define QK_PLOT_MODULE_LINES_H

#include "axis.h"
#include "grid.h"
#include "run_view.h"
#include "sheet.h"

extern const struct qk_legend qk_module_lines_legend[];
/* Over all checkpoints of the run. */
struct qk_range qk_module_lines_range(const struct qk_run_view *view);
/* Data blocks and plot command of the panel being set up. */
void qk_module_lines_plot(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_range *range);

#endif
