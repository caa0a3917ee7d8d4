/* Names beside points of a scatter that cover neither each other nor the named points, and of the others as few as can
 * be. Greedy: the first points get the best places; one without a readable place stays without a name. */
#ifndef QK_PLOT_POINT_LABELS_H
#define QK_PLOT_POINT_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "sheet.h"

struct qk_point_label {
    double x, y; /* of the point, cm on the sheet */
    char text[48];
    /* found: */
    bool placed;
    struct qk_box box;
};

/* Finds places inside box for n labels, among n_points points at (x, y) pairs in cm. Cost: n · (n + n_points). */
void qk_point_labels_place(struct qk_point_label *labels, size_t n, const double *points, size_t n_points,
                           struct qk_box box);
/* Writes them, a fine line to the point where the name stands apart. Belongs before the panel's plot command. */
void qk_point_labels_draw(struct qk_sheet *sheet, const struct qk_point_label *labels, size_t n);

#endif
