/* Colours, the same ones in every figure.
 *
 * Heat: viridis (van der Walt & Smith 2015, public domain), perceptually uniform, safe for colour-blind readers and
 * monotone in grey; a diverging palette for signed values. Lines and points: the eight colours of Okabe & Ito (2008),
 * which colour-blind readers tell apart; shapes and dashes tell them apart in grey. What a colour stands for is fixed:
 * a checkpoint's colour is qk_look_of (look.h), those of queries, keys and modules are here. */
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

/* checkpoints */
#define QK_INK_BASE     "#303030"
#define QK_INK_TUNED    "#d55e00"
#define QK_INK_RESTORED "#009e73"
#define QK_INK_OTHER    "#0072b2"
#define QK_INK_FOURTH   "#cc79a7"
/* weights */
#define QK_INK_Q     "#0072b2"
#define QK_INK_K     "#e69f00"
#define QK_INK_QK    "#cc79a7"
#define QK_INK_ALIGN "#56b4e9"
/* heads and layers that nothing special is said of, guide lines, notes, cells without a value */
#define QK_INK_PLAIN "#8f8f8f"
#define QK_INK_KEEP  "#c4c4c4" /* lighter than every action's colour: without green-red vision purple is a grey */
#define QK_INK_RULE  "#555555"
#define QK_INK_FAINT "#777777"
#define QK_INK_VOID  "#dcdcdc"

#endif
