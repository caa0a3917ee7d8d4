/* One line per layer: see layer_lines.h. */
#include "layer_lines.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "layer_strip.h"
#include "palette.h"

enum { FEW_LINES = 8 };

static const double palette_share = 0.85;

static bool has_line(const struct qk_layer_lines *lines, size_t layer, bool log)
{
    for (size_t h = 0; h < lines->values.n_heads; h++) {
        for (size_t k = 0; k < lines->values.n_depth; k++) {
            double v = qk_values_at(&lines->values, layer, h, k);
            if (isfinite(v) && (v > 0 || !log) && isfinite(lines->x(lines->view, &lines->values, layer, k))) {
                return true;
            }
        }
    }
    return false;
}

enum qk_code qk_layer_lines_extent(const struct qk_run_view *view, const char *metric, size_t max_depth,
                                   struct qk_range *range, struct qk_err *err)
{
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, metric);
        double *scratch = qk_calloc(values.n_heads + 1, sizeof *scratch);
        if (scratch == NULL) {
            return qk_fail_nomem(err, "heads of a figure");
        }
        for (size_t l = 0; l < values.n_layers; l++) {
            for (size_t k = 0; k < values.n_depth && k < max_depth; k++) {
                struct qk_spread s;
                if (qk_values_spread(&values, l, k, scratch, &s)) {
                    qk_range_add(range, s.median);
                    qk_range_add(range, s.q75);
                    qk_range_add(range, s.q25);
                }
            }
        }
        qk_free(scratch);
    }
    return QK_OK;
}

size_t qk_layer_lines_count(const struct qk_layer_lines *lines, bool log)
{
    size_t n = 0;
    for (size_t l = 0; l < lines->values.n_layers; l++) {
        n += has_line(lines, l, log);
    }
    return n;
}

const char *qk_layer_lines_note(const struct qk_layer_lines *lines, const struct qk_range *range)
{
    size_t missing = qk_layer_lines_count(lines, false) - qk_layer_lines_count(lines, range->log);
    return missing > 0 ? "unchanged layers (exactly 0) have no line" : NULL;
}

void qk_layer_colour(const struct qk_run_view *view, size_t layer, char ret[8])
{
    double last = view->n_layers > 1 ? (double)(view->n_layers - 1) : 1;
    qk_palette_colour((double)layer / last * palette_share, ret);
}

/* Rows x, median, q25, q75; rows without a value on this axis break the line. */
static void add_rows(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_layer_lines *lines,
                     size_t layer, bool log, double *scratch)
{
    bool gap = true;
    for (size_t k = 0; k < lines->values.n_depth; k++) {
        struct qk_spread s;
        double x = lines->x(view, &lines->values, layer, k);
        if (!isfinite(x) || !qk_values_spread(&lines->values, layer, k, scratch, &s) || (log && s.median <= 0)) {
            if (!gap) {
                qk_sheet_break(sheet);
            }
            gap = true;
            continue;
        }
        double low = log && s.q25 <= 0 ? s.median : s.q25;
        double row[] = {x, s.median, low, s.q75};
        qk_sheet_row(sheet, row, 4);
        gap = false;
        if (k == 0 && lines->apart) {
            qk_sheet_break(sheet);
            gap = true;
        }
    }
}

static size_t add_blocks(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_layer_lines *lines,
                         bool log, double *scratch)
{
    size_t first = sheet->n_blocks;
    for (size_t l = 0; l < lines->values.n_layers; l++) {
        if (has_line(lines, l, log)) {
            char title[128];
            (void)snprintf(title, sizeof title, "%s of layer %zu", lines->title, l);
            (void)qk_sheet_block(sheet, title, "x median q25 q75 (over the heads)");
            add_rows(sheet, view, lines, l, log, scratch);
        }
    }
    return first;
}

static void add_plot(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_layer_lines *lines,
                     bool log, size_t first, size_t n)
{
    const char *comma = "plot ";
    for (int pass = n <= FEW_LINES ? 0 : 1; pass < 2; pass++) {
        size_t block = first;
        for (size_t l = 0; l < lines->values.n_layers; l++) {
            if (!has_line(lines, l, log)) {
                continue;
            }
            char colour[8];
            qk_layer_colour(view, l, colour);
            if (pass == 0) {
                qk_sheet_line(sheet,
                              "%sdata index %zu using 1:3:4 with filledcurves fillstyle transparent solid 0.15 "
                              "noborder linecolor rgb '%s' notitle \\",
                              comma, block, colour);
            } else {
                qk_sheet_line(sheet,
                              "%sdata index %zu using 1:2 with lines linewidth %s dashtype %s linecolor rgb '%s' "
                              "notitle \\",
                              comma, block, n <= FEW_LINES ? "1.2" : "0.7", qk_layer_dash(view, l), colour);
            }
            comma = "   , ";
            if (pass == 1 && lines->apart) {
                qk_sheet_line(sheet,
                              "%sdata index %zu every :::0::0 using 1:2 with points pointtype 7 pointsize 0.25 "
                              "linecolor rgb '%s' notitle \\",
                              comma, block, colour);
            }
            block++;
        }
    }
    qk_str_addc(&sheet->body, '\n');
}

enum qk_code qk_layer_lines_plot(struct qk_sheet *sheet, const struct qk_run_view *view,
                                 const struct qk_layer_lines *lines, const struct qk_range *range, struct qk_err *err)
{
    size_t n = qk_layer_lines_count(lines, range->log);
    if (n == 0) {
        qk_sheet_no_data(sheet);
        return QK_OK;
    }
    double *scratch = qk_calloc(lines->values.n_heads, sizeof *scratch);
    if (scratch == NULL) {
        return qk_fail_nomem(err, "heads of a figure");
    }
    size_t first = add_blocks(sheet, view, lines, range->log, scratch);
    qk_free(scratch);
    add_plot(sheet, view, lines, range->log, first, n);
    return QK_OK;
}

/* The bar is a stack of rectangles: gnuplot's own appears only with palette-coloured data. */
static void draw_bar(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_box box)
{
    enum { N_STEPS = 64 };
    double height = box.top - box.bottom;
    for (size_t i = 0; i < N_STEPS; i++) {
        char colour[8];
        qk_palette_colour(((double)i + 0.5) / N_STEPS * palette_share, colour);
        double bottom = box.bottom + height * (double)i / N_STEPS;
        qk_sheet_rectangle(
            sheet,
            (struct qk_box){box.left, bottom, box.right, bottom + height * (i + 1 < N_STEPS ? 1.5 : 1) / N_STEPS},
            colour);
    }
    size_t last = view->n_layers - 1;
    size_t step = last >= 80 ? 20 : last >= 40 ? 10 : last >= 16 ? 5 : 2;
    for (size_t l = 0; l <= last; l += step) {
        char text[32];
        (void)snprintf(text, sizeof text, "%zu", l);
        double y = box.bottom + height * (double)l / (double)last;
        qk_sheet_rule(sheet, box.right, y, box.right + 0.07, y, "linewidth 0.6 linecolor rgb '#333333'");
        qk_sheet_text(sheet, box.right + 0.14, y, "left", text, NULL, "");
    }
}

void qk_layer_lines_legend(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_layer_lines *lines,
                           const struct qk_range *range, struct qk_box box)
{
    size_t n = qk_layer_lines_count(lines, range->log);
    double x = box.right + 0.25, y = box.top - 0.1;
    qk_sheet_text(sheet, x, y, "left", "layer", NULL, "");
    if (n > FEW_LINES) {
        double bottom = box.top - 3.4 > box.bottom ? box.top - 3.4 : box.bottom;
        draw_bar(sheet, view, (struct qk_box){x, bottom, x + 0.22, box.top - 0.4});
        return;
    }
    for (size_t l = 0; l < lines->values.n_layers; l++) {
        if (!has_line(lines, l, range->log)) {
            continue;
        }
        char colour[8], style[96], text[32];
        qk_layer_colour(view, l, colour);
        y -= 0.33;
        (void)snprintf(style, sizeof style, "linewidth 1.2 dashtype %s linecolor rgb '%s'", qk_layer_dash(view, l),
                       colour);
        qk_sheet_rule(sheet, x, y, x + 0.5, y, style);
        (void)snprintf(text, sizeof text, "%zu", l);
        qk_sheet_text(sheet, x + 0.6, y, "left", text, NULL, "");
    }
}
