/* How a checkpoint's lines and points look: the same in every figure of a run.
 *
 * The base is dark, broken and open. The others follow in the order of /checkpoints: vermillion, bluish green, blue,
 * purple, so that in a run of base, tuned and restored the tuned one is always vermillion and the restored one always
 * green. More than four others are steps of a training: they go along viridis. */
#ifndef QK_PLOT_LOOK_H
#define QK_PLOT_LOOK_H

#include <stdbool.h>

#include "run_view.h"

struct qk_look {
    char colour[8];   /* "#rrggbb" */
    const char *dash; /* gnuplot's dash type */
    int point;        /* gnuplot's point type */
    bool is_base;
};

/* name: as in /checkpoints; one that is not there looks like the first tuned one. Cost: O(nodes of the table). */
struct qk_look qk_look_of(const struct qk_run_view *view, const char *name);
/* "linewidth W dashtype D linecolor rgb 'C'"; 96 bytes are enough. */
void qk_look_line(const struct qk_look *look, char *out, size_t cap);

#endif
