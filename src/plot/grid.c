/* Panels in rows and columns: see grid.h. */
#include "grid.h"

#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "palette.h"

void qk_grid_place(struct qk_sheet *sheet, struct qk_grid *grid, double head)
{
    grid->rows = (grid->n + grid->cols - 1) / grid->cols;
    double gaps = grid->gap_x * (double)(grid->cols - 1);
    grid->panel_width = (sheet->width - grid->left - grid->right - gaps) / (double)grid->cols;
    double rows = (double)grid->rows;
    sheet->height = head + rows * (grid->title + grid->panel_height) + (rows - 1) * grid->axis + grid->foot;
    grid->top = sheet->height - head;
}

struct qk_box qk_grid_box(const struct qk_grid *grid, size_t i)
{
    double row = (double)(i / grid->cols), col = (double)(i % grid->cols);
    double left = grid->left + col * (grid->panel_width + grid->gap_x);
    double top = grid->top - row * (grid->panel_height + grid->title + grid->axis) - grid->title;
    return (struct qk_box){left, top - grid->panel_height, left + grid->panel_width, top};
}

bool qk_grid_is_lowest(const struct qk_grid *grid, size_t i)
{
    return i + grid->cols >= grid->n;
}

void qk_grid_layer_axis(struct qk_sheet *sheet, const struct qk_grid *grid, size_t i, const struct qk_run_view *view)
{
    struct qk_box box = qk_grid_box(grid, i);
    qk_axis_set_count(sheet, "x", 0, view->n_layers, box.right - box.left);
    if (qk_grid_is_lowest(grid, i)) {
        qk_grid_x_title(sheet, box, "layer");
    } else {
        qk_sheet_line(sheet, "set format x ''");
    }
}

void qk_grid_title(struct qk_sheet *sheet, struct qk_box box, double strip, const char *markup)
{
    qk_sheet_text(sheet, box.left, box.top + strip + 0.22, "left", markup, NULL, "");
}

void qk_grid_y_title(struct qk_sheet *sheet, struct qk_box box, double x, const char *markup)
{
    qk_sheet_text(sheet, box.left - x, (box.bottom + box.top) / 2, "center", markup, NULL, "rotate by 90");
}

void qk_grid_x_title(struct qk_sheet *sheet, struct qk_box box, const char *markup)
{
    qk_sheet_text(sheet, (box.left + box.right) / 2, box.bottom - 0.7, "center", markup, NULL, "");
}

double qk_grid_legend(struct qk_sheet *sheet, double x, double y, const struct qk_legend *entries)
{
    for (; entries->label != NULL; entries++) {
        double sample = entries->dash != NULL ? 0.42 : 0.16;
        if (entries->dash != NULL) {
            char line[96];
            (void)snprintf(line, sizeof line, "linewidth 1 dashtype %s linecolor rgb '%s'", entries->dash,
                           entries->colour);
            qk_sheet_rule(sheet, x, y, x + sample, y, line);
        } else if (entries->point != 0) {
            char style[96];
            (void)snprintf(style, sizeof style, "point pointtype %d pointsize 0.5 linecolor rgb '%s'", entries->point,
                           entries->colour);
            qk_sheet_text(sheet, x + sample / 2, y, "left", "", NULL, style);
        } else {
            qk_sheet_rectangle(sheet, (struct qk_box){x, y - 0.08, x + sample, y + 0.08}, entries->colour);
        }
        qk_sheet_text(sheet, x + sample + 0.08, y, "left", entries->label, NULL, "");
        x += sample + 0.28 + (double)strlen(entries->label) * 0.15;
    }
    return x;
}

void qk_grid_note(struct qk_sheet *sheet, size_t line, const char *markup)
{
    qk_sheet_text(sheet, 0.15, 0.2 + QK_GRID_NOTE * (double)line, "left", markup, NULL,
                  "textcolor rgb '" QK_INK_FAINT "'");
}
