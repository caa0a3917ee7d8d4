/* One figure: the data it needs and the function that lays it out on a sheet. Adding a figure is one figure_*.c and its
 * name in src/plot/meson.build. */
#ifndef QK_PLOT_FIGURE_H
#define QK_PLOT_FIGURE_H

#include <stddef.h>

#include "base/err.h"
#include "run_view.h"
#include "sheet.h"

struct qk_figure {
    const char *name;              /* "drift-heatmap": also the stem of its files */
    const char *title;             /* one line, no full stop */
    const char *reading, *caution; /* how to read it, and when it misleads; sentences */
    /* Group whose entries are drawn; NULL: "drift". */
    const char *group;
    /* Datasets of /group/NAME, NULL-terminated: one finite value in one of them is enough to draw. NULL with has_data.
     */
    const char *const *metrics;
    /* Datasets of /drift/NAME, of which one must have a finite value too; NULL: none. */
    const char *const *drift_too;
    /* For figures that no list of metrics describes: whether there is something to draw of an entry, and what is
     * expected, in words. */
    bool (*has_data)(const struct qk_table *table, const char *checkpoint);
    const char *needs;
    /* One picture for all checkpoints instead of one each, drawn when there are at least so many; 0: one each. */
    size_t together;
    /* Draws the view's current checkpoint. Sets the sheet's height before placing anything. */
    enum qk_code (*draw)(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err);
};

/* All figures, in the order of the build list; generated. */
extern const struct qk_figure *const qk_figure_table[];
extern const unsigned qk_figure_table_count;

#endif
