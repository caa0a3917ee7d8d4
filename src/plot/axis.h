/* Axes: ranges from data, logarithms when they are called for, ticks that fit the length. */
#ifndef QK_PLOT_AXIS_H
#define QK_PLOT_AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run_view.h"
#include "sheet.h"

/* Start as {0}; add values; finish. Only finite values ≥ 0 count: magnitudes. Signed values: qk_range_symmetric. */
struct qk_range {
    double lo, hi; /* after finishing: the axis; before: the smallest and largest positive value */
    size_t n;      /* positive values */
    size_t n_zero;
    bool log;
};

void qk_range_add(struct qk_range *range, double value);
void qk_range_add_values(struct qk_range *range, const struct qk_values *values);
/* Chooses a logarithmic axis when the positive values span more than two decades (or when asked to), else one that
 * starts at 0 unless that would waste most of it; rounds the ends outwards. Without values the axis is 0 … 1. */
void qk_range_finish(struct qk_range *range, bool want_log);
/* After finishing: lets a linear axis begin a little below 0 when there are exact zeros, so that they do not hide in
 * the frame. */
void qk_range_lift_zero(struct qk_range *range);

/* The range −m … m, linear, with m the smallest round number that is not below largest. For signed values. */
struct qk_range qk_range_symmetric(double largest);

/* Emits range, scale and ticks of axis "x", "y" or "cb" that is length cm long. */
void qk_axis_set(struct qk_sheet *sheet, const char *axis, const struct qk_range *range, double length);
/* An axis of n things counted from first, each one unit wide: layers, heads. */
void qk_axis_set_count(struct qk_sheet *sheet, const char *axis, size_t first, size_t n, double length);
/* An axis of shares, labelled in percent; length in cm. */
void qk_axis_set_percent(struct qk_sheet *sheet, const char *axis, double lo, double hi, double length, bool labels);

/* Ticks at given places, in ascending order. Where labels would touch, every second one or every third … stays; all
 * ticks stay. */
enum { QK_MAX_TICKS = 128 };
struct qk_ticks {
    struct qk_sheet *sheet;
    const char *axis;
    size_t n;
    struct qk_tick {
        double at, cm; /* on the axis, and along it */
        char text[12];
    } tick[QK_MAX_TICKS];
};
void qk_ticks_begin(struct qk_ticks *ticks, struct qk_sheet *sheet, const char *axis);
/* text: of our own, shorter than 12 bytes, NULL = no label. Those beyond QK_MAX_TICKS are left out. */
void qk_ticks_add(struct qk_ticks *ticks, double at, double cm, const char *text);
void qk_ticks_end(struct qk_ticks *ticks);
/* 2048 as "2k". */
void qk_token_text(int64_t n, char ret[24]);

#endif
