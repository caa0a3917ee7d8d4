/* Recall over context length: a panel per task with a line per checkpoint, and one for the cases held out when a plan
 * was measured, with lines for base, tuned, plan and the restore of all softmax layers. Bands are Wilson intervals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "look.h"
#include "palette.h"
#include "recall_view.h"

enum { MAX_LINES = 12, MAX_TASKS = 5, MAX_PANELS = MAX_TASKS + 1, MAX_BANDS = 4 };

struct line {
    const char *name;
    struct qk_look look;
    struct qk_recall recall; /* of a checkpoint */
    size_t variant;          /* of a measured variant */
};

struct lines {
    size_t n, n_left_out;
    struct line line[MAX_LINES];
};

struct figure {
    struct lines checkpoints, variants;
    struct qk_measured measured;
    size_t n_tasks, n_panels; /* the panel of variants is the last one */
    struct qk_case_count count;
    double shortest, longest; /* tokens */
};

static void add_checkpoints(const struct qk_run_view *view, struct figure *figure)
{
    struct lines *lines = &figure->checkpoints;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_recall recall;
        if (!qk_recall_of(view->table, view->checkpoints[c], &recall)) {
            continue;
        }
        if (lines->n == MAX_LINES) {
            lines->n_left_out++;
            continue;
        }
        lines->line[lines->n++] =
            (struct line){view->checkpoints[c], qk_look_of(view, view->checkpoints[c]), recall, 0};
        figure->n_tasks = recall.n_tasks > figure->n_tasks ? recall.n_tasks : figure->n_tasks;
        qk_recall_count(&recall, true, &figure->count);
    }
    figure->n_tasks = figure->n_tasks < MAX_TASKS ? figure->n_tasks : MAX_TASKS;
}

static const char *const variant_names[QK_N_MEASURED_ROLES] = {
    [QK_MEASURED_BASE] = "base",
    [QK_MEASURED_TUNED] = "tuned",
    [QK_MEASURED_PLAN] = "plan",
    [QK_MEASURED_RULE] = "softmax Q/K",
};

/* The variants measured on held-out cases, in the order of their roles. */
static void add_variants(const struct qk_table *table, struct figure *figure)
{
    struct qk_measured *m = &figure->measured;
    if (!qk_measured_of(table, m)) {
        return;
    }
    for (int role = 0; role < QK_MEASURED_OTHER; role++) {
        for (size_t i = 0; i < m->n && m->n_lengths > 0; i++) {
            if (m->stage[i] == QK_MEASURED_HELD_OUT && qk_measured_role_of(m, i) == (enum qk_measured_role)role) {
                figure->variants.line[figure->variants.n++] =
                    (struct line){variant_names[role], *qk_measured_look((enum qk_measured_role)role), {0}, i};
                break;
            }
        }
    }
}

static bool is_measured(const struct figure *figure, size_t panel)
{
    return panel >= figure->n_tasks;
}

static const struct lines *lines_of(const struct figure *figure, size_t panel)
{
    return is_measured(figure, panel) ? &figure->variants : &figure->checkpoints;
}

static size_t n_lengths(const struct figure *figure, size_t panel, const struct line *line)
{
    return is_measured(figure, panel) ? figure->measured.n_lengths : line->recall.n_lengths;
}

static struct qk_rate rate_at(const struct figure *figure, size_t panel, const struct line *line, size_t i,
                              double *ret_length)
{
    if (is_measured(figure, panel)) {
        *ret_length = (double)figure->measured.lengths[i];
        return qk_measured_length_at(&figure->measured, line->variant, i);
    }
    *ret_length = (double)line->recall.lengths[i];
    return qk_recall_over_depths(&line->recall, panel, i);
}

static void find_lengths(struct figure *figure)
{
    figure->shortest = INFINITY;
    for (size_t p = 0; p < figure->n_panels; p++) {
        const struct lines *lines = lines_of(figure, p);
        for (size_t k = 0; k < lines->n; k++) {
            for (size_t i = 0; i < n_lengths(figure, p, &lines->line[k]); i++) {
                double length;
                struct qk_rate rate = rate_at(figure, p, &lines->line[k], i, &length);
                if (isfinite(rate.rate) && length > 0) {
                    figure->shortest = fmin(figure->shortest, length);
                    figure->longest = fmax(figure->longest, length);
                }
            }
        }
    }
}

static void collect(const struct qk_run_view *view, struct figure *ret)
{
    memset(ret, 0, sizeof *ret);
    add_checkpoints(view, ret);
    add_variants(view->table, ret);
    ret->n_panels = ret->n_tasks + (ret->variants.n > 0);
    find_lengths(ret);
    if (ret->longest <= 0) {
        ret->shortest = ret->longest = 1;
    }
}

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    struct qk_recall recall;
    struct figure figure = {0};
    add_variants(table, &figure);
    return qk_recall_of(table, checkpoint, &recall) || figure.variants.n > 0;
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

/* A quarter of an octave of room at both ends. */
static void set_lengths(struct qk_sheet *sheet, const struct figure *figure, size_t panel, double cm)
{
    double lo = log2(figure->shortest) - 0.25, hi = log2(figure->longest) + 0.25, last = 0;
    struct qk_ticks ticks;
    qk_sheet_line(sheet, "set logscale x 2; set xrange [%.9g:%.9g]", exp2(lo), exp2(hi));
    qk_ticks_begin(&ticks, sheet, "x");
    const struct lines *lines = lines_of(figure, panel);
    for (size_t i = 0; i < n_lengths(figure, panel, &lines->line[0]); i++) {
        double length;
        char text[24];
        (void)rate_at(figure, panel, &lines->line[0], i, &length);
        if (length > last) { /* a scale in another order has no labels out of order */
            qk_token_text((int64_t)length, text);
            qk_ticks_add(&ticks, length, (log2(length) - lo) / (hi - lo) * cm, text);
            last = length;
        }
    }
    qk_ticks_end(&ticks);
}

static size_t add_rows(struct qk_sheet *sheet, const struct figure *figure, size_t panel, const struct line *line)
{
    size_t n = 0;
    for (size_t i = 0; i < n_lengths(figure, panel, line); i++) {
        double length;
        struct qk_rate rate = rate_at(figure, panel, line, i, &length);
        if (!isfinite(rate.rate)) {
            continue;
        }
        if (n++ == 0) {
            char title[64];
            (void)snprintf(title, sizeof title, "panel %zu line %zu", panel,
                           (size_t)(line - lines_of(figure, panel)->line));
            (void)qk_sheet_block(sheet, title, "length recall lo hi (Wilson, 95 %)");
        }
        double row[] = {length, rate.rate, rate.lo, rate.hi};
        qk_sheet_row(sheet, row, 4);
    }
    return n;
}

static void plot_panel(struct qk_sheet *sheet, const struct figure *figure, size_t panel)
{
    const struct lines *lines = lines_of(figure, panel);
    size_t block[MAX_LINES];
    bool there[MAX_LINES];
    const char *comma = "plot ";
    for (size_t k = 0; k < lines->n; k++) {
        size_t n = add_rows(sheet, figure, panel, &lines->line[k]);
        there[k] = n > 0;
        block[k] = sheet->n_blocks - 1;
        if (n > 0 && lines->n <= MAX_BANDS) {
            /* one length alone has no width to fill */
            qk_sheet_line(sheet, "%sdata index %zu using %s linecolor rgb '%s' notitle \\", comma, block[k],
                          n > 1 ? "1:3:4 with filledcurves fillstyle transparent solid 0.16 noborder"
                                : "1:2:3:4 with yerrorbars pointtype 0 linewidth 0.8",
                          lines->line[k].look.colour);
            comma = "   , ";
        }
    }
    /* The last first, with the largest marks: of equal lines all can be seen. */
    for (size_t k = lines->n; k-- > 0;) {
        if (there[k]) {
            char style[96];
            qk_look_line(&lines->line[k].look, style, sizeof style);
            qk_sheet_line(sheet, "%sdata index %zu using 1:2 with linespoints pointtype %d pointsize %g %s notitle \\",
                          comma, block[k], lines->line[k].look.point,
                          k == 0 ? 0.45 : fmin(0.3 + 0.12 * (double)(k - 1), 0.54), style);
            comma = "   , ";
        }
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

/* Names above the panels: every look once; base and tuned of the measured variants are the run's own. */
static size_t legend_lines(const struct figure *figure, const struct line **ret, size_t *ret_n)
{
    size_t longest = 0;
    *ret_n = 0;
    for (int group = 0; group < 2; group++) {
        const struct lines *lines = group == 0 ? &figure->checkpoints : &figure->variants;
        for (size_t k = 0; k < lines->n; k++) {
            bool again = false;
            for (size_t i = 0; i < figure->checkpoints.n && group == 1; i++) {
                const struct qk_look *other = &figure->checkpoints.line[i].look, *own = &lines->line[k].look;
                bool is_tuned = lines->line[k].name == variant_names[QK_MEASURED_TUNED];
                again =
                    again || (own->is_base && other->is_base) || (is_tuned && strcmp(own->colour, other->colour) == 0);
            }
            if (!again) {
                size_t n = strlen(lines->line[k].name);
                longest = n > longest ? n : longest;
                ret[(*ret_n)++] = &lines->line[k];
            }
        }
    }
    return longest;
}

static size_t legend_columns(size_t longest, double width)
{
    double each = 0.75 + 0.15 * (double)(longest < 27 ? longest : 27);
    size_t n = (size_t)((width - 0.2) / each);
    return n < 1 ? 1 : n;
}

static void draw_legend(struct qk_sheet *sheet, const struct line *const *lines, size_t n, size_t columns)
{
    for (size_t i = 0; i < n; i++) {
        double x = 0.15 + (double)(i % columns) * (sheet->width - 0.2) / (double)columns;
        double y = sheet->height - 0.28 - 0.36 * (double)(i / columns);
        char style[96], point[96];
        qk_look_line(&lines[i]->look, style, sizeof style);
        (void)snprintf(point, sizeof point, "point pointtype %d pointsize 0.5 linecolor rgb '%s'", lines[i]->look.point,
                       lines[i]->look.colour);
        qk_sheet_rule(sheet, x, y, x + 0.5, y, style);
        qk_sheet_text(sheet, x + 0.25, y, "left", "", NULL, point);
        qk_sheet_text(sheet, x + 0.58, y, "left", "@", &lines[i]->name, "");
    }
}

static void add_notes(struct qk_sheet *sheet, const struct figure *figure)
{
    char text[96] = "bands: Wilson 95 % intervals", count[48];
    size_t line = 0;
    if (figure->count.most > 0) {
        qk_case_count_text(&figure->count, count, sizeof count);
        (void)snprintf(text, sizeof text, "%s per point%s", count,
                       figure->checkpoints.n <= MAX_BANDS ? "; bands: Wilson 95 % intervals" : "");
    }
    qk_grid_note(sheet, line++, text);
    if (figure->checkpoints.n_left_out > 0) {
        (void)snprintf(text, sizeof text, "%zu of %zu checkpoints shown", figure->checkpoints.n,
                       figure->checkpoints.n + figure->checkpoints.n_left_out);
        qk_grid_note(sheet, line, text);
    }
}

static const char *title_of(const struct figure *figure, size_t panel)
{
    for (size_t k = 0; k < figure->checkpoints.n && !is_measured(figure, panel); k++) {
        const struct qk_recall *recall = &figure->checkpoints.line[k].recall;
        if (panel < recall->n_tasks) {
            return recall->tasks[panel];
        }
    }
    return "held-out cases";
}

static void draw_panels(struct qk_sheet *sheet, const struct figure *figure)
{
    const struct line *legend[2 * MAX_LINES];
    size_t n_legend, longest = legend_lines(figure, legend, &n_legend);
    size_t columns = legend_columns(longest, sheet->width), most = sheet->wide ? 4 : 2;
    columns = columns < n_legend ? columns : n_legend;
    struct qk_grid grid = {.n = figure->n_panels,
                           .cols = figure->n_panels < most ? figure->n_panels : most,
                           .panel_height = sheet->wide             ? 3.4
                                           : figure->n_panels == 1 ? 3.6
                                                                   : 2.6,
                           .left = 1.3,
                           .right = 0.3,
                           .gap_x = 0.6,
                           .title = 0.44,
                           .axis = 0.42,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)(1 + (figure->checkpoints.n_left_out > 0))};
    qk_grid_place(sheet, &grid, 0.15 + 0.36 * (double)((n_legend + columns - 1) / columns));
    for (size_t p = 0; p < figure->n_panels; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        const char *task = title_of(figure, p);
        qk_sheet_panel(sheet, box);
        qk_sheet_line(sheet, "set bars 0");
        if (p == 0) {
            struct qk_box whole = {grid.left, qk_grid_box(&grid, grid.n - 1).bottom, sheet->width - grid.right,
                                   grid.top};
            draw_legend(sheet, legend, n_legend, columns);
            qk_grid_y_title(sheet, whole, 1.0, "recall (%)");
            qk_grid_x_title(sheet, whole, "context length (tokens)");
            add_notes(sheet, figure);
        }
        qk_sheet_text(sheet, box.left, box.top + 0.2, "left", "@", &task, "");
        qk_axis_set_percent(sheet, "y", -0.03, 1.03, box.top - box.bottom, p % grid.cols == 0);
        set_lengths(sheet, figure, p, box.right - box.left);
        plot_panel(sheet, figure, p);
    }
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct figure *figure = qk_calloc(1, sizeof *figure);
    if (figure == NULL) {
        return qk_fail_nomem(err, "lines of a figure");
    }
    collect(view, figure);
    draw_panels(sheet, figure);
    qk_free(figure);
    return QK_OK;
}

const struct qk_figure qk_figure_recall_by_length = {
    .name = "recall-by-length",
    .title = "Recall over context length, per task and checkpoint, with intervals",
    .reading = "A line is a checkpoint, a band its 95 % interval over all depths. Lines that part with length are the "
               "loss that a repair should bring back.",
    .caution = "Bands that overlap may be the same; the panel of held-out cases counts other documents than the tasks "
               "do.",
    .group = "checkpoints",
    .has_data = has_data,
    .needs = "/niah/NAME with scores, or the variants of recommend --measure --store",
    .together = 1,
    .draw = draw,
};
