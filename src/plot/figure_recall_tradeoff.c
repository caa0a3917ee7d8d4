/* Recall against reasoning, a point per variant that `recommend --measure` ran: on the cases that the plan was chosen
 * by, and on those held out. The plan is a filled square; base, tuned, plan and the restore of all softmax layers have
 * their intervals; the other controls have names. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "palette.h"
#include "point_labels.h"
#include "recall_view.h"

enum { N_PANELS = 2, MAX_NAMES = 16, BAR_STEPS = 24 };

static const char *const titles[N_PANELS] = {"calibration", "held out"};

/* What is drawn alike, from below upwards. */
enum kind { SEARCH, CONTROL, RULE, BASE, TUNED, PLAN, N_KINDS };
static const struct kind_style {
    const char *legend, *block;
    struct qk_look look;
    bool intervals;
} kinds[N_KINDS] = {
    [SEARCH] = {"searched", "variants of the search", {QK_INK_PLAIN, "1", 6, false}, false},
    [CONTROL] = {"control", "other controls", {QK_INK_FOURTH, "1", 13, false}, false},
    [RULE] = {"softmax Q/K", "Q and K of all softmax layers restored", {QK_INK_OTHER, "1", 9, false}, true},
    [BASE] = {"base", "base", {QK_INK_BASE, "1", 6, true}, true},
    [TUNED] = {"tuned", "tuned", {QK_INK_TUNED, "1", 7, false}, true},
    [PLAN] = {"plan", "the plan", {QK_INK_RESTORED, "1", 5, false}, true},
};

static enum kind kind_of(const struct qk_measured *m, size_t variant)
{
    static const enum kind of_role[QK_N_MEASURED_ROLES] = {
        [QK_MEASURED_BASE] = BASE, [QK_MEASURED_TUNED] = TUNED,   [QK_MEASURED_PLAN] = PLAN,
        [QK_MEASURED_RULE] = RULE, [QK_MEASURED_OTHER] = CONTROL,
    };
    enum qk_measured_role role = qk_measured_role_of(m, variant);
    return role == QK_MEASURED_OTHER && m->stage[variant] == QK_MEASURED_SEARCH ? SEARCH : of_role[role];
}

static size_t panel_of(const struct qk_measured *m, size_t variant)
{
    return m->stage[variant] == QK_MEASURED_HELD_OUT;
}

static bool is_drawn(const struct qk_measured *m, size_t variant)
{
    return isfinite(qk_measured_recall_at(m, variant).rate) && isfinite(qk_measured_reasoning_at(m, variant).rate);
}

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    struct qk_measured m;
    bool any = false;
    (void)checkpoint;
    if (qk_measured_of(table, &m)) {
        for (size_t i = 0; i < m.n; i++) {
            any = any || is_drawn(&m, i);
        }
    }
    return any;
}

/* One pair of axes for both panels. */
struct axes {
    double x_lo, x_hi, y_lo, y_hi;
};

static void widen(double *lo, double *hi, const struct qk_rate *rate, bool intervals)
{
    *lo = fmin(*lo, intervals && isfinite(rate->lo) ? rate->lo : rate->rate);
    *hi = fmax(*hi, intervals && isfinite(rate->hi) ? rate->hi : rate->rate);
}

static struct axes axes_of(const struct qk_measured *m)
{
    struct axes axes = {1, 0, 1, 0};
    for (size_t i = 0; i < m->n; i++) {
        if (is_drawn(m, i)) {
            struct qk_rate x = qk_measured_reasoning_at(m, i), y = qk_measured_recall_at(m, i);
            bool intervals = kinds[kind_of(m, i)].intervals;
            widen(&axes.x_lo, &axes.x_hi, &x, intervals);
            widen(&axes.y_lo, &axes.y_hi, &y, intervals);
        }
    }
    double room_x = fmax(0.06 * (axes.x_hi - axes.x_lo), 0.01), room_y = fmax(0.06 * (axes.y_hi - axes.y_lo), 0.01);
    return (struct axes){axes.x_lo - room_x, axes.x_hi + room_x, axes.y_lo - room_y, axes.y_hi + 2.6 * room_y};
}

/* "+label", what the tuned checkpoint got back, as text of our own: what could mean something to gnuplot or TeX is left
 * out. */
static void plain_text(const char *label, char *out, size_t cap)
{
    size_t n = 0;
    out[n++] = '+';
    for (const char *s = label; *s != '\0' && n + 1 < cap; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                     strchr(" /.,-+", *s) != NULL;
        out[n++] = plain ? *s : '?';
    }
    out[n] = '\0';
}

/* Points on a sheet that names should keep off: those drawn, and the interval bars as rows of points. */
struct obstacles {
    double *at; /* (n, 2) cm */
    size_t n;
    struct axes axes;
    struct qk_box box;
};

static const double *add_obstacle(struct obstacles *o, double reasoning, double recall)
{
    double x = (reasoning - o->axes.x_lo) / (o->axes.x_hi - o->axes.x_lo);
    double y = (recall - o->axes.y_lo) / (o->axes.y_hi - o->axes.y_lo);
    double *at = &o->at[2 * o->n++];
    at[0] = o->box.left + x * (o->box.right - o->box.left);
    at[1] = o->box.bottom + y * (o->box.top - o->box.bottom);
    return at;
}

static void add_bars(struct obstacles *o, const struct qk_rate *x, const struct qk_rate *y)
{
    for (size_t k = 0; k <= BAR_STEPS; k++) {
        double p = (double)k / BAR_STEPS;
        (void)add_obstacle(o, x->lo + p * (x->hi - x->lo), y->rate);
        (void)add_obstacle(o, x->rate, y->lo + p * (y->hi - y->lo));
    }
}

/* Names of the controls, beside their points. */
static void name_controls(struct qk_sheet *sheet, const struct qk_measured *m, size_t panel, struct obstacles *o)
{
    struct qk_point_label labels[MAX_NAMES] = {0};
    size_t n = 0;
    o->n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!is_drawn(m, i) || panel_of(m, i) != panel) {
            continue;
        }
        struct qk_rate x = qk_measured_reasoning_at(m, i), y = qk_measured_recall_at(m, i);
        enum kind kind = kind_of(m, i);
        const double *at = add_obstacle(o, x.rate, y.rate);
        if (kinds[kind].intervals) {
            add_bars(o, &x, &y);
        } else if (kind == CONTROL && n < MAX_NAMES) {
            labels[n].x = at[0];
            labels[n].y = at[1];
            plain_text(m->label[i], labels[n].text, sizeof labels[n].text);
            n++;
        }
    }
    qk_point_labels_place(labels, n, o->at, o->n, o->box);
    qk_point_labels_draw(sheet, labels, n);
}

static size_t add_rows(struct qk_sheet *sheet, const struct qk_measured *m, size_t panel, enum kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!is_drawn(m, i) || panel_of(m, i) != panel || kind_of(m, i) != kind) {
            continue;
        }
        if (n++ == 0) {
            char title[96];
            (void)snprintf(title, sizeof title, "panel %zu: %s", panel, kinds[kind].block);
            (void)qk_sheet_block(sheet, title,
                                 "reasoning recall reasoning_lo reasoning_hi recall_lo recall_hi variant");
        }
        struct qk_rate x = qk_measured_reasoning_at(m, i), y = qk_measured_recall_at(m, i);
        double row[] = {x.rate, y.rate, x.lo, x.hi, y.lo, y.hi, (double)i};
        qk_sheet_row(sheet, row, 7);
    }
    return n;
}

static void plot_panel(struct qk_sheet *sheet, const struct qk_measured *m, size_t panel)
{
    const char *comma = "plot ";
    for (int kind = 0; kind < N_KINDS; kind++) {
        const struct qk_look *look = &kinds[kind].look;
        if (add_rows(sheet, m, panel, (enum kind)kind) == 0) {
            continue;
        }
        if (kinds[kind].intervals) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2:3:4:5:6 with xyerrorbars pointtype %d pointsize 0 linewidth 0.7 "
                          "linecolor rgb '%s' notitle \\",
                          comma, sheet->n_blocks - 1, look->point, look->colour);
            comma = "   , ";
        }
        qk_sheet_line(
            sheet,
            "%sdata index %zu using 1:2 with points pointtype %d pointsize %s linewidth %s linecolor rgb '%s' "
            "notitle \\",
            comma, sheet->n_blocks - 1, look->point,
            kind == PLAN     ? "0.85"
            : kind == SEARCH ? "0.35"
                             : "0.6",
            kind == SEARCH ? "0.6" : "1", look->colour);
        comma = "   , ";
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

static void draw_legend(struct qk_sheet *sheet, const struct qk_measured *m)
{
    static const enum kind order[N_KINDS] = {BASE, TUNED, PLAN, RULE, CONTROL, SEARCH};
    struct qk_legend legend[N_KINDS + 1];
    double x = 0.15, y = sheet->height - 0.28;
    for (size_t k = 0; k < N_KINDS; k++) {
        const struct kind_style *style = &kinds[order[k]];
        bool there = false;
        for (size_t i = 0; i < m->n && !there; i++) {
            there = is_drawn(m, i) && kind_of(m, i) == order[k];
        }
        if (there) {
            double width = 0.44 + 0.15 * (double)strlen(style->legend);
            if (x + width > sheet->width) {
                x = 0.15;
                y -= 0.36;
            }
            legend[0] = (struct qk_legend){style->legend, style->look.colour, NULL, style->look.point};
            legend[1] = (struct qk_legend){NULL, NULL, NULL, 0};
            x = qk_grid_legend(sheet, x, y, legend);
        }
    }
}

/* "held out: 24 recall cases, 128 problems" */
static void draw_title(struct qk_sheet *sheet, const struct qk_measured *m, struct qk_box box, size_t panel)
{
    char text[96];
    double recall = NAN, reasoning = NAN;
    for (size_t i = 0; i < m->n; i++) {
        if (is_drawn(m, i) && panel_of(m, i) == panel) {
            recall = qk_measured_recall_at(m, i).n;
            reasoning = qk_measured_reasoning_at(m, i).n;
        }
    }
    (void)snprintf(text, sizeof text, "%s: %.0f recall cases, %.0f problems", titles[panel], recall, reasoning);
    qk_grid_title(sheet, box, 0, isfinite(recall) && isfinite(reasoning) ? text : titles[panel]);
}

static void draw_panels(struct qk_sheet *sheet, const struct qk_measured *m, double *places)
{
    struct axes axes = axes_of(m);
    struct qk_grid grid = {.n = N_PANELS,
                           .cols = sheet->wide ? N_PANELS : 1,
                           .panel_height = sheet->wide ? 5.4 : 4.2,
                           .left = 1.3,
                           .right = 0.3,
                           .gap_x = 1.3,
                           .title = 0.44,
                           .axis = 0.2,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE};
    qk_grid_place(sheet, &grid, sheet->wide ? 0.5 : 0.86);
    for (size_t p = 0; p < N_PANELS; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        qk_sheet_panel(sheet, box);
        if (p == 0) {
            draw_legend(sheet, m);
            qk_grid_note(sheet, 0, "bars: Wilson 95 % intervals");
        }
        draw_title(sheet, m, box, p);
        qk_grid_y_title(sheet, box, 1.0, "recall (%)");
        if (qk_grid_is_lowest(&grid, p)) {
            qk_grid_x_title(sheet, box, "reasoning (%)");
        }
        qk_sheet_line(sheet, "set bars 0");
        qk_axis_set_percent(sheet, "x", axes.x_lo, axes.x_hi, box.right - box.left, qk_grid_is_lowest(&grid, p));
        qk_axis_set_percent(sheet, "y", axes.y_lo, axes.y_hi, box.top - box.bottom, true);
        struct obstacles obstacles = {places, 0, axes, box};
        name_controls(sheet, m, p, &obstacles);
        plot_panel(sheet, m, p);
    }
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_measured m;
    (void)qk_measured_of(view->table, &m); /* has_data has seen it */
    double *places = qk_calloc(m.n + 1, (1 + 2 * (BAR_STEPS + 1)) * 2 * sizeof *places);
    if (places == NULL) {
        return qk_fail_nomem(err, "points of a figure");
    }
    draw_panels(sheet, &m, places);
    qk_free(places);
    return QK_OK;
}

const struct qk_figure qk_figure_recall_tradeoff = {
    .name = "recall-tradeoff",
    .title = "Recall against reasoning of all measured variants, the plan marked",
    .reading = "A point is a variant that was run; up and right is better, and the plan should stand above the tuned "
               "checkpoint at the same reasoning. Trust the held-out panel: the plan was chosen by the other.",
    .caution =
        "Few cases make wide bars, and the best of many tried variants is flattered by chance in the calibration "
        "panel.",
    .group = "checkpoints",
    .has_data = has_data,
    .needs = "variants with recall and reasoning, which recommend --measure --reasoning --store adds",
    .together = 1,
    .draw = draw,
};
