/* Attention on the needle, a row per head: how much of it the heads that read the needle in the base give it in every
 * checkpoint of the run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "axis.h"
#include "base/alloc.h"
#include "distance_panels.h"
#include "figure.h"
#include "grid.h"
#include "look.h"

static const char metric[] = "retrieval_mass";

enum { MAX_ROWS = 12, MAX_ROWS_WIDE = 24, MAX_CHECKPOINTS = 4 };
/* Heads that nowhere give the needle as much are not shown while others do. */
static const double least_shown = 0.05;

struct head {
    size_t layer, head;
    double mass;
};

/* Checkpoints in the order drawn: the base first. n_checkpoints when there are no more. */
static size_t checkpoint_at(const struct qk_run_view *view, size_t i)
{
    size_t base = qk_distance_base(view);
    return i == 0 ? base : i <= base ? i - 1 : i;
}

static size_t n_drawn(const struct qk_run_view *view)
{
    return view->n_checkpoints < MAX_CHECKPOINTS ? view->n_checkpoints : MAX_CHECKPOINTS;
}

static struct qk_look look_at(const struct qk_run_view *view, size_t i)
{
    return qk_look_of(view, view->checkpoints[checkpoint_at(view, i)]);
}

static int by_mass(const void *a, const void *b)
{
    const struct head *x = a, *y = b;
    if (x->mass != y->mass) {
        return x->mass < y->mass ? 1 : -1;
    }
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->head > y->head) - (x->head < y->head);
}

/* The base's heads, most attention on the needle first; gives how many are to be shown. */
static size_t choose(const struct qk_run_view *view, struct head *heads, size_t most)
{
    struct qk_values base = qk_run_view_values(view, checkpoint_at(view, 0), metric);
    size_t n = 0, n_shown = 0;
    for (size_t i = 0; i < base.n_layers * base.n_heads; i++) {
        double v = qk_values_at(&base, i / base.n_heads, i % base.n_heads, 0);
        if (isfinite(v)) {
            heads[n++] = (struct head){i / base.n_heads, i % base.n_heads, v};
        }
    }
    qsort(heads, n, sizeof *heads, by_mass);
    while (n_shown < n && n_shown < most && (n_shown == 0 || heads[n_shown].mass >= least_shown)) {
        n_shown++;
    }
    return n_shown;
}

static bool is_implied(const struct qk_run_view *view, const struct head *head)
{
    return qk_run_view_is_implied(view->table, view->checkpoints[checkpoint_at(view, 0)], head->layer);
}

static void draw_legend(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    size_t columns = qk_distance_name_columns(view, sheet->wide);
    for (size_t i = 0; i < n_drawn(view); i++) {
        double x = 0.15 + (double)(i % columns) * (sheet->width - 0.2) / (double)columns;
        double y = sheet->height - 0.28 - 0.36 * (double)(i / columns);
        char style[96];
        struct qk_look look = look_at(view, i);
        (void)snprintf(style, sizeof style, "point pointtype %d pointsize 0.6 linecolor rgb '%s'", look.point,
                       look.colour);
        qk_sheet_text(sheet, x + 0.08, y, "left", "", NULL, style);
        qk_sheet_text(sheet, x + 0.26, y, "left", "@", &view->checkpoints[checkpoint_at(view, i)], "");
    }
}

static void set_rows(struct qk_sheet *sheet, const struct qk_run_view *view, const struct head *heads, size_t n)
{
    qk_sheet_line(sheet, "set yrange [-%zu.6:0.6]; unset mytics", n - 1);
    qk_str_add(&sheet->body, "set ytics (");
    for (size_t i = 0; i < n; i++) {
        qk_str_addf(&sheet->body, "%s'%zu.%zu%s' -%zu", i == 0 ? "" : ", ", heads[i].layer, heads[i].head,
                    is_implied(view, &heads[i]) ? "*" : "", i);
    }
    qk_str_add(&sheet->body, ")\n");
}

/* A block per checkpoint; a line joins each point with the base's. */
static void plot_heads(struct qk_sheet *sheet, const struct qk_run_view *view, const struct head *heads, size_t n)
{
    const char *comma = "plot ";
    for (size_t i = 0; i < n_drawn(view); i++) {
        size_t checkpoint = checkpoint_at(view, i), n_rows = 0;
        struct qk_look look = look_at(view, i);
        struct qk_values values = qk_run_view_values(view, checkpoint, metric);
        for (size_t r = 0; r < n; r++) {
            double v = qk_values_at(&values, heads[r].layer, heads[r].head, 0);
            if (!isfinite(v)) {
                continue;
            }
            if (n_rows++ == 0) {
                char title[32];
                (void)snprintf(title, sizeof title, "checkpoint %zu", checkpoint);
                (void)qk_sheet_block(sheet, title, "mass row layer head base");
            }
            double row[] = {v, -(double)r, (double)heads[r].layer, (double)heads[r].head, heads[r].mass};
            qk_sheet_row(sheet, row, 5);
        }
        if (n_rows == 0) {
            continue;
        }
        if (i > 0) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 5:2:($1-$5):(0) with vectors nohead linewidth 0.8 linecolor rgb '%s' "
                          "notitle \\",
                          comma, sheet->n_blocks - 1, look.colour);
            comma = "   , ";
        }
        qk_sheet_line(sheet,
                      "%sdata index %zu using 1:2 with points pointtype %d pointsize 0.6 linewidth 1 linecolor rgb "
                      "'%s' notitle \\",
                      comma, sheet->n_blocks - 1, look.point, look.colour);
        comma = "   , ";
    }
    qk_str_addc(&sheet->body, '\n');
}

static void draw_panel(struct qk_sheet *sheet, const struct qk_run_view *view, const struct head *heads, size_t n)
{
    size_t columns = qk_distance_name_columns(view, sheet->wide), rows = (n_drawn(view) + columns - 1) / columns;
    bool any_implied = false, cut = view->n_checkpoints > MAX_CHECKPOINTS;
    for (size_t i = 0; i < n; i++) {
        any_implied = any_implied || is_implied(view, &heads[i]);
    }
    struct qk_grid grid = {.n = 1,
                           .cols = 1,
                           .panel_height = fmax(0.4 + 0.4 * (double)n, 1.5), /* the title of the axis */
                           .left = 1.5,
                           .right = 0.4,
                           .title = 0.1,
                           .foot = QK_GRID_FOOT + QK_GRID_NOTE * (double)(any_implied + cut)};
    qk_grid_place(sheet, &grid, 0.1 + 0.36 * (double)rows);
    struct qk_box box = qk_grid_box(&grid, 0);
    struct qk_range range = {.lo = 0, .hi = 1, .n = 1, .n_zero = 1};
    qk_range_lift_zero(&range);
    qk_sheet_panel(sheet, box);
    draw_legend(sheet, view);
    if (any_implied) {
        qk_grid_note(sheet, 0, "*: linear layer, mixing that its recurrence implies");
    }
    if (cut) {
        char text[64];
        (void)snprintf(text, sizeof text, "%d of %zu checkpoints shown", MAX_CHECKPOINTS, view->n_checkpoints);
        qk_grid_note(sheet, any_implied, text);
    }
    qk_grid_x_title(sheet, box, "attention on the needle at the answer");
    qk_grid_y_title(sheet, box, 1.2, "layer.head");
    qk_axis_set(sheet, "x", &range, box.right - box.left);
    set_rows(sheet, view, heads, n);
    plot_heads(sheet, view, heads, n);
}

static void draw_empty(struct qk_sheet *sheet)
{
    struct qk_box box = {1.5, 1, sheet->width - 0.4, 3.6};
    sheet->height = 4;
    qk_sheet_panel(sheet, box);
    qk_sheet_no_data(sheet);
}

static enum qk_code draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_err *err)
{
    struct qk_values base = qk_run_view_values(view, checkpoint_at(view, 0), metric);
    struct head *heads = qk_calloc(base.n_layers * base.n_heads + 1, sizeof *heads);
    if (heads == NULL) {
        return qk_fail_nomem(err, "heads of a figure");
    }
    size_t n = choose(view, heads, sheet->wide ? MAX_ROWS_WIDE : MAX_ROWS);
    if (n > 0) {
        draw_panel(sheet, view, heads, n);
    } else {
        draw_empty(sheet);
    }
    qk_free(heads);
    return QK_OK;
}

static const char *const metrics[] = {"retrieval_mass", NULL};

const struct qk_figure qk_figure_retrieval_heads = {
    .name = "retrieval-heads",
    .title = "Attention on the needle of the heads that read it, every checkpoint in one picture",
    .reading = "A row is a head that reads the needle in the base, a mark its share of attention on it when the answer "
               "is due. A tuned mark far to the left lost the fact; the restored one should stand nearer to the base.",
    .caution = "Only heads that read it in the base are rows; heads that learnt to read it are missing. A low share "
               "need not cost the answer when another head still has it.",
    .group = "probe",
    .metrics = metrics,
    .together = 1,
    .draw = draw,
};
