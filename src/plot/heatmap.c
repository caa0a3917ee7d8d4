/* Cells in colour: see heatmap.h. */
#include "heatmap.h"

#include "palette.h"

/* Cells reach a little under their neighbours: anti-aliased edges would else leave light seams. */
static const double half_cell = 0.51;

void qk_heatmap_scan(const struct qk_heatmap *map, struct qk_heatmap_seen *seen)
{
    for (size_t x = 0; x < map->n_x; x++) {
        for (size_t y = 0; y < map->n_y; y++) {
            struct qk_cell cell = map->cell(map->ctx, x, y);
            seen->voids |= cell.kind == QK_CELL_VOID;
            seen->marks |= cell.kind == QK_CELL_VALUE && cell.mark;
        }
    }
}

enum which { CELLS, VOIDS, MARKS };

/* An exact zero has no place on a logarithmic scale: it stays white under its cross. */
static bool belongs(struct qk_cell cell, enum which which, const struct qk_range *range)
{
    return which == VOIDS   ? cell.kind == QK_CELL_VOID
           : which == MARKS ? cell.kind == QK_CELL_VALUE && cell.mark
                            : cell.kind == QK_CELL_VALUE && !(range->log && cell.value <= 0);
}

/* Number of rows; a block is started only when there is a row. */
static size_t add_block(struct qk_sheet *sheet, const struct qk_heatmap *map, const struct qk_range *range,
                        enum which which, const char *columns, size_t *ret_block)
{
    size_t n = 0;
    for (size_t x = 0; x < map->n_x; x++) {
        for (size_t y = 0; y < map->n_y; y++) {
            struct qk_cell cell = map->cell(map->ctx, x, y);
            if (!belongs(cell, which, range)) {
                continue;
            }
            if (n == 0) {
                *ret_block = qk_sheet_block(sheet, map->title, columns);
            }
            double row[] = {(double)x, (double)y, cell.value};
            qk_sheet_row(sheet, row, which == CELLS ? 3 : 2);
            n++;
        }
    }
    return n;
}

void qk_heatmap_plot(struct qk_sheet *sheet, const struct qk_heatmap *map, const struct qk_range *range, double width,
                     double height)
{
    size_t cells = 0, voids = 0, marks = 0;
    size_t n_cells =
        add_block(sheet, map, range, CELLS, map->columns != NULL ? map->columns : "layer row value", &cells);
    size_t n_voids = add_block(sheet, map, range, VOIDS, "layer row (exists, has no value)", &voids);
    size_t n_marks = add_block(sheet, map, range, MARKS, "layer row (marked)", &marks);
    if (n_cells + n_marks == 0) {
        qk_sheet_no_data(sheet);
        return;
    }
    const char *comma = "plot ";
    if (n_voids > 0) {
        qk_sheet_line(sheet, "%sdata index %zu using 1:2:(%g):(%g) with boxxyerror linecolor rgb '%s' notitle \\",
                      comma, voids, half_cell, half_cell, QK_INK_VOID);
        comma = "   , ";
    }
    if (n_cells > 0) {
        qk_sheet_line(sheet, "%sdata index %zu using 1:2:(%g):(%g):3 with boxxyerror linecolor palette notitle \\",
                      comma, cells, half_cell, half_cell);
        comma = "   , ";
    }
    if (n_marks > 0) {
        double side =
            width / (double)map->n_x < height / (double)map->n_y ? width / (double)map->n_x : height / (double)map->n_y;
        double size = side * 1.6 < 0.08 ? 0.08 : side * 1.6 > 0.4 ? 0.4 : side * 1.6;
        qk_sheet_line(sheet,
                      "%sdata index %zu using 1:2 with points pointtype 2 pointsize %.2f linewidth 0.5 "
                      "linecolor rgb '#b0b0b0' notitle \\",
                      comma, marks, size);
    }
    qk_str_addc(&sheet->body, 0x0a);
}
