/* Axes: see axis.h. */
#include "axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Room that a tick label needs: across the text on y and cb, along it on x. */
static const double tick_cm_y = 0.62, tick_cm_x = 0.9, count_cm_y = 0.36, count_cm_x = 0.48;

void qk_range_add(struct qk_range *range, double value)
{
    if (value == 0) {
        range->n_zero++;
    }
    if (!isfinite(value) || value <= 0) {
        return;
    }
    range->lo = range->n == 0 || value < range->lo ? value : range->lo;
    range->hi = range->n == 0 || value > range->hi ? value : range->hi;
    range->n++;
}

void qk_range_add_values(struct qk_range *range, const struct qk_values *values)
{
    for (size_t i = 0; i < values->n_layers * values->n_heads * values->n_depth; i++) {
        qk_range_add(range, values->v[i]);
    }
}

static double power_of_ten(double x)
{
    return pow(10, floor(log10(x) + 1e-9));
}

/* The next of 1, 2, 5 × 10^k at or above x. */
static double nice_above(double x)
{
    double p = power_of_ten(x), m = x / p;
    return (m <= 1 + 1e-9 ? 1 : m <= 2 + 1e-9 ? 2 : m <= 5 + 1e-9 ? 5 : 10) * p;
}

static double nice_below(double x)
{
    double p = power_of_ten(x), m = x / p;
    return (m >= 5 - 1e-9 ? 5 : m >= 2 - 1e-9 ? 2 : 1) * p;
}

void qk_range_finish(struct qk_range *range, bool want_log)
{
    if (range->n == 0) {
        range->lo = 0;
        range->hi = 1;
        range->log = false;
        return;
    }
    double lo = range->lo, hi = range->hi;
    range->log = want_log || hi > 100 * lo;
    if (range->log) {
        range->lo = nice_below(lo / 1.1);
        range->hi = nice_above(hi * 1.1);
        return;
    }
    double step = nice_above((lo > 0.6 * hi ? hi - lo : hi) / 5);
    if (step < 1e-6 * hi) {
        step = nice_above(hi / 10); /* all values are (nearly) the same */
    }
    range->lo = lo > 0.6 * hi && range->n_zero == 0 ? floor((lo - 0.05 * step) / step) * step : 0;
    range->hi = ceil((hi + 0.05 * step) / step) * step;
}

void qk_range_lift_zero(struct qk_range *range)
{
    if (!range->log && range->n_zero > 0 && range->n > 0) {
        range->lo = -0.03 * range->hi;
    }
}

struct qk_range qk_range_symmetric(double largest)
{
    struct qk_range range = {0};
    qk_range_add(&range, 0);
    qk_range_add(&range, fabs(largest));
    qk_range_finish(&range, false);
    range.lo = -range.hi;
    return range;
}

static void set_log(struct qk_sheet *sheet, const char *axis, const struct qk_range *range, double fit)
{
    double decades = log10(range->hi / range->lo);
    double per_tick = ceil(decades / fit);
    qk_sheet_line(sheet, "set logscale %s 10; set m%stics %s", axis, axis, per_tick > 1 ? "default" : "10");
    if (decades < 1.5) {
        qk_sheet_line(sheet, "set format %s '%%g'; set %stics add (", axis, axis);
        sheet->body.len--; /* the list goes on on the same line */
        double p = power_of_ten(range->lo);
        static const double steps[] = {1, 2, 5};
        const char *comma = "";
        for (size_t k = 0; k < 9; k++) {
            double x = steps[k % 3] * p * pow(10, (double)(k / 3));
            if (x >= range->lo * (1 - 1e-9) && x <= range->hi * (1 + 1e-9)) {
                qk_str_addf(&sheet->body, "%s%.6g", comma, x);
                comma = ", ";
            }
        }
        qk_str_add(&sheet->body, ")\n");
        return;
    }
    qk_sheet_line(sheet, "set %stics %.0f; set format %s (tex ? '$10^{%%L}$' : '10^{%%L}')", axis, pow(10, per_tick),
                  axis);
}

void qk_axis_set(struct qk_sheet *sheet, const char *axis, const struct qk_range *range, double length)
{
    double fit = length / (axis[0] == 'x' ? tick_cm_x : tick_cm_y);
    fit = fit < 1 ? 1 : fit;
    qk_sheet_line(sheet, "set %srange [%.9g:%.9g]", axis, range->lo, range->hi);
    if (range->log) {
        set_log(sheet, axis, range, fit);
        return;
    }
    double step = nice_above((range->hi - range->lo) / (fit > 6 ? 6 : fit));
    if (range->lo < 0 && step > range->hi) {
        step = nice_below(range->hi); /* 0 alone says nothing */
    }
    qk_sheet_line(sheet, "unset m%stics; set %stics %.9g; set format %s '%%g'", axis, axis, step, axis);
}

void qk_axis_set_count(struct qk_sheet *sheet, const char *axis, size_t first, size_t n, double length)
{
    static const size_t steps[] = {1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 200, 500, 1000};
    double fit = length / (axis[0] == 'x' ? count_cm_x : count_cm_y);
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof steps[0] && (double)n / (double)steps[i] > (fit < 1 ? 1 : fit)) {
        i++;
    }
    double lo = (double)first - 0.5;
    qk_sheet_line(sheet, "set %srange [%.1f:%.1f]; unset m%stics; set %stics %zu, %zu; set format %s '%%g'", axis, lo,
                  lo + (double)(n > 0 ? n : 1), axis, axis, steps[i] > 1 && first > 0 ? steps[i] : first, steps[i],
                  axis);
}

void qk_axis_set_percent(struct qk_sheet *sheet, const char *axis, double lo, double hi, double length, bool labels)
{
    static const double steps[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1};
    double fit = length / (axis[0] == 'x' ? tick_cm_x : tick_cm_y);
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof steps[0] && (hi - lo) / steps[i] > (fit < 1 ? 1 : fit)) {
        i++;
    }
    qk_sheet_line(sheet, "set %srange [%.9g:%.9g]; unset m%stics", axis, lo, hi, axis);
    qk_str_addf(&sheet->body, "set %stics (", axis);
    const char *comma = "";
    for (double k = ceil(lo / steps[i] - 1e-9) + 0.0; k * steps[i] <= hi * (1 + 1e-9); k++) { /* no -0 */
        qk_str_addf(&sheet->body, "%s'", comma);
        if (labels) {
            qk_str_addf(&sheet->body, "%.6g", 100 * k * steps[i]);
        }
        qk_str_addf(&sheet->body, "' %.6g", k * steps[i]);
        comma = ", ";
    }
    qk_str_add(&sheet->body, ")\n");
}

void qk_ticks_begin(struct qk_ticks *ticks, struct qk_sheet *sheet, const char *axis)
{
    ticks->sheet = sheet;
    ticks->axis = axis;
    ticks->n = 0;
}

void qk_ticks_add(struct qk_ticks *ticks, double at, double cm, const char *text)
{
    if (ticks->n < QK_MAX_TICKS) {
        struct qk_tick *tick = &ticks->tick[ticks->n++];
        tick->at = at;
        tick->cm = cm;
        (void)snprintf(tick->text, sizeof tick->text, "%s", text != NULL ? text : "");
    }
}

/* Room of a label along the axis. */
static double room(const struct qk_ticks *ticks, size_t i)
{
    return ticks->axis[0] == 'x' ? 0.15 * (double)strlen(ticks->tick[i].text) + 0.1 : count_cm_y;
}

static bool fit_at(const struct qk_ticks *ticks, size_t step)
{
    for (size_t i = step; i < ticks->n; i += step) {
        double distance = ticks->tick[i].cm - ticks->tick[i - step].cm;
        if (distance < (room(ticks, i) + room(ticks, i - step)) / 2) {
            return false;
        }
    }
    return true;
}

void qk_ticks_end(struct qk_ticks *ticks)
{
    size_t step = 1;
    while (step < ticks->n && !fit_at(ticks, step)) {
        step++;
    }
    qk_str_addf(&ticks->sheet->body, "unset m%stics; set %stics (", ticks->axis, ticks->axis);
    for (size_t i = 0; i < ticks->n; i++) {
        qk_str_addf(&ticks->sheet->body, "%s'%s' %.6g", i > 0 ? ", " : "", i % step == 0 ? ticks->tick[i].text : "",
                    ticks->tick[i].at);
    }
    qk_str_add(&ticks->sheet->body, ")\n");
}

void qk_token_text(int64_t n, char ret[24])
{
    bool thousands = n >= 1024 && n % 1024 == 0;
    (void)snprintf(ret, 24, "%lld%s", (long long)(thousands ? n / 1024 : n), thousands ? "k" : "");
}
