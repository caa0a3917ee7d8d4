/* Recall over context length and depth of the needle: a panel per task and checkpoint, the classic picture of a
 * needle-in-a-haystack test. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "figure.h"
#include "grid.h"
#include "heatmap.h"
#include "palette.h"
#include "recall_view.h"

enum { MAX_CHECKPOINTS = 12, MAX_TASKS = 4 };
/* margins and the room between panels, cm */
static const double left = 1.15, right = 1.6, gap = 0.3;

/* The checkpoints that have scores, and how they are laid out: for each task rows of `cols` panels. */
struct layout {
    size_t n, n_left_out;
    struct qk_recall recall[MAX_CHECKPOINTS];
    const char *name[MAX_CHECKPOINTS];
    size_t n_tasks, most_tasks, most_depths;
    size_t cols, rows_per_task;
    bool is_matrix; /* one row per task: names stand above the columns, tasks above the rows */
    struct qk_case_count count;
    bool voids;
};

struct panel {
    const struct qk_recall *recall;
    size_t task;
};

static bool has_data(const struct qk_table *table, const char *checkpoint)
{
    struct qk_recall recall;
    return qk_recall_of(table, checkpoint, &recall);
}

/* Depth 0, the beginning of the document, is on top. */
static struct qk_cell cell_at(const void *ctx, size_t x, size_t y)
{
    const struct panel *panel = ctx;
    struct qk_rate rate = qk_recall_at(panel->recall, panel->task, x, panel->recall->n_depths - 1 - y);
    return (struct qk_cell){isfinite(rate.rate) ? QK_CELL_VALUE : QK_CELL_VOID, rate.rate, false};
}

static struct qk_heatmap map_of(const struct panel *panel)
{
    return (struct qk_heatmap){panel->recall->n_lengths,
                               panel->recall->n_depths,
                               panel->recall->tasks[panel->task],
                               cell_at,
                               panel,
                               "length (index) depth (index, from the end) recall"};
}

/* Panels beside each other, by the longest of their titles. */
static size_t columns_that_fit(const struct layout *layout, double width, bool with_task)
{
    size_t longest = 0;
    for (size_t c = 0; c < layout->n; c++) {
        for (size_t t = 0; t < layout->n_tasks && t < layout->recall[c].n_tasks; t++) {
            size_t n = strlen(layout->name[c]) + (with_task ? strlen(layout->recall[c].tasks[t]) + 2 : 0);
            longest = n > longest ? n : longest;
        }
    }
    double title = fmin(fmax(0.145 * (double)(longest < 30 ? longest : 30), 1.4), width - left - right);
    size_t fit = (size_t)((width - left - right + gap) / (title + gap));
    return fit < 1 ? 1 : fit > 6 ? 6 : fit;
}

static void lay_out(const struct qk_run_view *view, double width, struct layout *ret)
{
    struct qk_heatmap_seen seen = {0};
    memset(ret, 0, sizeof *ret);
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_recall recall;
        if (!qk_recall_of(view->table, view->checkpoints[c], &recall)) {
            continue;
        }
        if (ret->n == MAX_CHECKPOINTS) {
            ret->n_left_out++;
            continue;
        }
        ret->most_tasks = recall.n_tasks > ret->most_tasks ? recall.n_tasks : ret->most_tasks;
        ret->most_depths = recall.n_depths > ret->most_depths ? recall.n_depths : ret->most_depths;
        qk_recall_count(&recall, false, &ret->count);
        ret->name[ret->n] = view->checkpoints[c];
        ret->recall[ret->n++] = recall;
    }
    ret->n_tasks = ret->most_tasks < MAX_TASKS ? ret->most_tasks : MAX_TASKS;
    for (size_t c = 0; c < ret->n; c++) {
        for (size_t t = 0; t < ret->n_tasks && t < ret->recall[c].n_tasks; t++) {
            struct panel panel = {&ret->recall[c], t};
            struct qk_heatmap map = map_of(&panel);
            qk_heatmap_scan(&map, &seen);
        }
    }
    ret->voids = seen.voids;
    size_t fit = columns_that_fit(ret, width, false);
    ret->is_matrix = ret->n <= fit;
    fit = ret->is_matrix ? fit : columns_that_fit(ret, width, true);
    ret->rows_per_task = (ret->n + fit - 1) / fit;
    ret->cols = (ret->n + ret->rows_per_task - 1) / ret->rows_per_task;
}

static void set_axes(struct qk_sheet *sheet, const struct qk_recall *recall, struct qk_box box, bool x_labels,
                     bool y_labels)
{
    double width = box.right - box.left, height = box.top - box.bottom;
    struct qk_ticks ticks;
    qk_sheet_line(sheet, "set xrange [-0.5:%zu.5]; set yrange [-0.5:%zu.5]", recall->n_lengths - 1,
                  recall->n_depths - 1);
    qk_ticks_begin(&ticks, sheet, "x");
    for (size_t i = 0; i < recall->n_lengths; i++) {
        char text[24];
        qk_token_text(recall->lengths[i], text);
        qk_ticks_add(&ticks, (double)i, ((double)i + 0.5) / (double)recall->n_lengths * width, x_labels ? text : NULL);
    }
    qk_ticks_end(&ticks);
    qk_ticks_begin(&ticks, sheet, "y");
    for (size_t i = 0; i < recall->n_depths; i++) {
        char text[24];
        double depth = recall->depths[recall->n_depths - 1 - i];
        (void)snprintf(text, sizeof text, isfinite(depth) ? "%.0f" : "?", 100 * depth);
        qk_ticks_add(&ticks, (double)i, ((double)i + 0.5) / (double)recall->n_depths * height, y_labels ? text : NULL);
    }
    qk_ticks_end(&ticks);
}

static size_t add_notes(struct qk_sheet *sheet, const struct layout *layout)
{
    char text[96], count[48];
    size_t line = 0;
    qk_case_count_text(&layout->count, count, sizeof count);
    (void)snprintf(text, sizeof text, "%s per cell%s", count, layout->voids ? "; grey: none" : "");
    if (sheet != NULL) {
        qk_grid_note(sheet, line, text);
    }
    line++;
    if (layout->n_left_out > 0 || layout->most_tasks > MAX_TASKS) {
        (void)snprintf(text, sizeof text, "%zu of %zu checkpoints, %zu of %zu tasks shown", layout->n,
                       layout->n + layout->n_left_out, layout->n_tasks, layout->most_tasks);
        if (sheet != NULL) {
            qk_grid_note(sheet, line, text);
        }
        line++;
    }
    return line;
}

static void draw_shared(struct qk_sheet *sheet, const struct qk_grid *grid, const struct layout *layout)
{
    double bottom = qk_grid_box(grid, grid->n - 1).bottom, top = qk_grid_box(grid, 0).top;
    double middle = (top + bottom) / 2, half = fmin((top - bottom) / 2, 1.6);
    double x = sheet->width - grid->right + 0.15;
    struct qk_box whole = {grid->left, bottom, sheet->width - grid->right, top};
    qk_sheet_text(sheet, 0.22, middle, "center", "depth of the needle (%)", NULL, "rotate by 90");
    qk_grid_x_title(sheet, whole, "context length (tokens)");
    (void)add_notes(sheet, layout);
    qk_sheet_colour_bar(sheet, (struct qk_box){x, middle - half, x + 0.22, middle + half});
    qk_sheet_text(sheet, sheet->width - 0.2, middle, "center", "recall (%)", NULL, "rotate by 90");
}

static void draw_panel(struct qk_sheet *sheet, const struct qk_grid *grid, const struct layout *layout, size_t task,
                       size_t c, bool first)
{
    size_t row = task * layout->rows_per_task + c / layout->cols, col = c % layout->cols;
    struct qk_box box = qk_grid_box(grid, row * layout->cols + col);
    const struct qk_recall *recall = &layout->recall[c];
    struct panel panel = {recall, task};
    struct qk_heatmap map = map_of(&panel);
    struct qk_range range = {.lo = 0, .hi = 1, .n = 1};
    const char *names[] = {recall->tasks[task], layout->name[c]};
    bool named = !layout->is_matrix || c == 0;
    bool lowest = task + 1 == layout->n_tasks && c + layout->cols >= layout->n;
    qk_sheet_panel(sheet, box);
    if (first) {
        draw_shared(sheet, grid, layout);
    }
    qk_axis_set_percent(sheet, "cb", 0, 1, 3, true);
    if (named) {
        qk_sheet_text(sheet, box.left, box.top + 0.2, "left", layout->is_matrix ? "@" : "@: @", names, "");
    }
    if (layout->is_matrix && task == 0) {
        qk_sheet_text(sheet, (box.left + box.right) / 2, box.top + 0.58, "center", "@", names + 1, "");
    }
    set_axes(sheet, recall, box, lowest, col == 0);
    qk_heatmap_plot(sheet, &map, &range, box.right - box.left, box.top - box.bottom);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct layout *layout = qk_calloc(1, sizeof *layout);
    if (layout == NULL) {
        return qk_fail_nomem(err, "panels of a figure");
    }
    lay_out(view, sheet->width, layout);
    double cell = sheet->wide ? 0.3 : 0.22, height = cell * (double)layout->most_depths + 0.7;
    double least = layout->n_tasks * layout->rows_per_task == 1 ? 2.6 : 1.3; /* the title of the axis */
    struct qk_grid grid = {.n = layout->n_tasks * layout->rows_per_task * layout->cols,
                           .cols = layout->cols,
                           .panel_height = fmin(fmax(height, least), sheet->wide ? 4 : 3),
                           .left = left,
                           .right = right,
                           .gap_x = gap,
                           .title = 0.42,
                           .axis = 0.14,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)add_notes(NULL, layout)};
    qk_grid_place(sheet, &grid, layout->is_matrix ? 0.45 : 0.1);
    qk_palette_set(sheet, 1);
    bool first = true;
    for (size_t t = 0; t < layout->n_tasks; t++) {
        for (size_t c = 0; c < layout->n; c++) {
            if (t < layout->recall[c].n_tasks) {
                draw_panel(sheet, &grid, layout, t, c, first);
                first = false;
            }
        }
    }
    qk_free(layout);
    return QK_OK;
}

const struct qk_figure qk_figure_niah_heatmap = {
    .name = "niah-heatmap",
    .title = "Recall over context length and depth of the needle, per task and checkpoint",
    .reading = "A cell is recall at a length and a depth of the needle, depth downwards. Dark columns on the right are "
               "lost length, a dark middle is what is lost between beginning and end.",
    .caution =
        "With one case per cell every cell is 0 or 100: patterns of single cells are chance. The line below says "
        "how many there are.",
    .group = "niah",
    .has_data = has_data,
    .needs = "score in /niah/NAME, which niah adds when all cases are done",
    .together = 1,
    .draw = draw,
};
