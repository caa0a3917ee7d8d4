/* Colours: viridis (van der Walt & Smith 2015, public domain), perceptually uniform, safe for colour-blind readers and
 * monotone in grey; a diverging palette for signed values; and a few fixed colours for categories that differ in
 * lightness too. */
#ifndef QK_PLOT_PALETTE_H
#define QK_PLOT_PALETTE_H

#include <stdbool.h>
#include <stddef.h>

#include "sheet.h"

/* Colours at p in [0, 1] as "#rrggbb". */
void qk_palette_colour(double p, char ret[8]);
/* `set palette` over the first share of viridis; lines use 0.85, since its yellow end does not show on white. */
void qk_palette_set(struct qk_sheet *sheet, double share);
/* `set palette` from blue over a pale middle to red; on a range that is symmetric about 0 the middle is 0. reversed:
 * red is the low end. */
void qk_palette_set_diverging(struct qk_sheet *sheet, bool reversed);

#define QK_INK_Q     "#0b3c6f"
#define QK_INK_K     "#d1603d"
#define QK_INK_QK    "#4f9d8e"
#define QK_INK_FAINT "#777777"
#define QK_INK_VOID  "#dcdcdc"

#endif
