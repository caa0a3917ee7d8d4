/* Which part of the weights the lost recall comes from: a row per control of `recommend --measure`, recall (and
 * reasoning) of the tuned checkpoint with that part of the base put back, with intervals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "figure.h"
#include "grid.h"
#include "palette.h"
#include "recall_view.h"

enum { MAX_ROWS = 24 };
static const double row_cm = 0.38;

struct rows {
    struct qk_measured m;
    size_t n;
    size_t variant[MAX_ROWS];
    bool reasoning;
};

static bool rows_of(const struct qk_table *table, struct rows *ret)
{
    memset(ret, 0, sizeof *ret);
    if (!qk_measured_of(table, &ret->m)) {
        return false;
    }
    size_t n_restored = 0;
    for (size_t i = 0; i < ret->m.n && ret->n < MAX_ROWS; i++) {
        if (ret->m.stage[i] == QK_MEASURED_CONTROL && isfinite(qk_measured_recall_at(&ret->m, i).rate)) {
            enum qk_measured_role role = qk_measured_role_of(&ret->m, i);
            n_restored += role != QK_MEASURED_BASE && role != QK_MEASURED_TUNED;
            ret->variant[ret->n++] = i;
            ret->reasoning = ret->reasoning || isfinite(qk_measured_reasoning_at(&ret->m, i).rate);
        }
    }
    return n_restored > 0;
}

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    struct rows rows;
    (void)checkpoint;
    return rows_of(table, &rows);
}

static struct qk_rate rate_at(const struct rows *rows, size_t row, bool reasoning)
{
    size_t variant = rows->variant[row];
    return reasoning ? qk_measured_reasoning_at(&rows->m, variant) : qk_measured_recall_at(&rows->m, variant);
}

/* A control that was chosen is a control here. */
static const struct qk_look *look_of(const struct rows *rows, size_t row)
{
    enum qk_measured_role role = qk_measured_role_of(&rows->m, rows->variant[row]);
    bool end = role == QK_MEASURED_BASE || role == QK_MEASURED_TUNED;
    return qk_measured_look(end ? role : QK_MEASURED_RULE);
}

static void name_rows(struct qk_sheet *sheet, const struct rows *rows, struct qk_box box)
{
    for (size_t r = 0; r < rows->n; r++) {
        const char *const *label = &rows->m.label[rows->variant[r]];
        enum qk_measured_role role = qk_measured_role_of(&rows->m, rows->variant[r]);
        double y = box.top - (box.top - box.bottom) * ((double)r + 0.5) / (double)rows->n;
        bool end = role == QK_MEASURED_BASE || role == QK_MEASURED_TUNED;
        qk_sheet_text(sheet, box.left - 0.15, y, "right", end ? "@" : "+ @", label, "");
    }
}

/* A dotted line at what the tuned checkpoint has, so that gains show. */
static void mark_tuned(struct qk_sheet *sheet, const struct rows *rows, bool reasoning)
{
    for (size_t r = 0; r < rows->n; r++) {
        if (qk_measured_role_of(&rows->m, rows->variant[r]) == QK_MEASURED_TUNED) {
            double v = rate_at(rows, r, reasoning).rate;
            if (isfinite(v)) {
                qk_sheet_line(sheet,
                              "set arrow from first %.9g, graph 0 to first %.9g, graph 1 nohead back linewidth 0.7 "
                              "dashtype (4,5) linecolor rgb '%s'",
                              v, v, QK_INK_TUNED);
            }
        }
    }
}

static void plot_panel(struct qk_sheet *sheet, const struct rows *rows, bool reasoning)
{
    const char *comma = "plot ";
    for (size_t r = 0; r < rows->n; r++) {
        struct qk_rate rate = rate_at(rows, r, reasoning);
        const struct qk_look *look = look_of(rows, r);
        if (!isfinite(rate.rate)) {
            continue;
        }
        char title[64];
        (void)snprintf(title, sizeof title, "%s of variant %zu", reasoning ? "reasoning" : "recall", rows->variant[r]);
        (void)qk_sheet_block(sheet, title, "rate row lo hi");
        double row[] = {rate.rate, -(double)r, rate.lo, rate.hi};
        qk_sheet_row(sheet, row, 4);
        qk_sheet_line(sheet,
                      "%sdata index %zu using 3:2:($4-$3):(0) with vectors nohead linewidth 0.9 linecolor rgb '%s' "
                      "notitle \\",
                      comma, sheet->n_blocks - 1, look->colour);
        qk_sheet_line(sheet,
                      "   , data index %zu using 1:2 with points pointtype %d pointsize 0.55 linewidth 0.9 linecolor "
                      "rgb '%s' notitle \\",
                      sheet->n_blocks - 1, look->point, look->colour);
        comma = "   , ";
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

static size_t longest_label(const struct rows *rows)
{
    size_t longest = 0;
    for (size_t r = 0; r < rows->n; r++) {
        size_t n = strlen(rows->m.label[rows->variant[r]]) + 2;
        longest = n > longest ? n : longest;
    }
    return longest < 28 ? longest : 28;
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct rows rows;
    (void)err;
    (void)rows_of(view->table, &rows); /* has_data has seen it */
    struct qk_grid grid = {.n = rows.reasoning ? 2 : 1,
                           .cols = rows.reasoning ? 2 : 1,
                           .panel_height = row_cm * (double)rows.n,
                           .left = 0.4 + 0.135 * (double)longest_label(&rows),
                           .right = 0.35,
                           .gap_x = sheet->wide ? 0.6 : 0.35,
                           .title = 0.2,
                           .foot = QK_GRID_FOOT + 2 * QK_GRID_NOTE};
    qk_grid_place(sheet, &grid, 0.1);
    for (size_t p = 0; p < grid.n; p++) {
        struct qk_box box = qk_grid_box(&grid, p);
        qk_sheet_panel(sheet, box);
        if (p == 0) {
            name_rows(sheet, &rows, box);
            qk_grid_note(sheet, 1, "tuned with a part of the base put back (+)");
            qk_grid_note(sheet, 0, "dotted: tuned; bars: Wilson 95 % intervals");
        }
        qk_grid_x_title(sheet, box, p == 0 ? "recall (%)" : "reasoning (%)");
        mark_tuned(sheet, &rows, p == 1);
        qk_sheet_line(sheet, "set bars 0; unset mytics; unset ytics; set yrange [-%zu.5:0.5]", rows.n - 1);
        qk_axis_set_percent(sheet, "x", -0.03, 1.03, box.right - box.left, true);
        plot_panel(sheet, &rows, p == 1);
    }
    return QK_OK;
}

const struct qk_figure qk_figure_recall_controls = {
    .name = "recall-controls",
    .title = "Recall and reasoning with one part of the base's weights put back: where the loss comes from",
    .reading = "Each row is the tuned checkpoint with one part of the base put back. The row that regains recall names "
               "the cause; how far its reasoning falls is the price.",
    .caution = "Causes can share a loss: when Q/K and everything but Q/K both regain it, what was lost is their fit.",
    .group = "checkpoints",
    .has_data = has_data,
    .needs = "controls in /recommend/measured, which recommend --measure --store adds",
    .together = 1,
    .draw = draw,
};
