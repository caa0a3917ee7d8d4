/* What the figure tests share: drawing a table and looking at what came out. */
#ifndef QK_TESTS_DRAWING_H
#define QK_TESTS_DRAWING_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "plot/plot.h"

extern const char *const all_formats[4];
extern const char *const svg_only[1];
extern const char *const pair[2]; /* checkpoint names: base and one tuned */

/* Keeps what gnuplot said for draw(). */
extern const struct qk_progress progress;

/* Figures of a run with one tuned checkpoint and without recall: all but the two that compare several and the four of
 * recall. */
size_t n_figures(void);
struct qk_plot_options options_for(const char *dir, const char *const *formats, size_t n);
/* Draws; fails the test on an error and on every warning of gnuplot. Gives the number of pictures. */
size_t draw(const struct qk_table *table, const struct qk_plot_options *options);
/* dir/stem + suffix is there and starts as it should. */
void assert_starts(const char *dir, const char *stem, const char *suffix, const char *magic);
/* Script, data and SVG of a figure; with all also the other formats. */
void assert_pictures(const char *dir, const char *stem, bool all);

#endif
