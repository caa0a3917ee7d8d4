/* Attention by distance in small panels: see distance_panels.h. */
#include "distance_panels.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "look.h"
#include "palette.h"

static const char metric[] = "distance_histogram";

/* Bands of more checkpoints than these would only cover each other. */
enum { MAX_BANDS = 3, MAX_NAMED = 12 };

/* cm: the strip of differences, and its distance from the panel above it */
static const double strip_height = 0.9, strip_gap = 0.2;

size_t qk_distance_base(const struct qk_run_view *view)
{
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        if (strcmp(view->checkpoints[c], view->base) == 0) {
            return c;
        }
    }
    return 0;
}

void qk_distance_extent(const struct qk_run_view *view, size_t *ret_n_heads, size_t *ret_n_bins)
{
    *ret_n_heads = *ret_n_bins = 1;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, metric);
        *ret_n_heads = values.n_heads > *ret_n_heads ? values.n_heads : *ret_n_heads;
        *ret_n_bins = values.n_depth > *ret_n_bins ? values.n_depth : *ret_n_bins;
    }
}

bool qk_distance_exists(const struct qk_run_view *view, size_t layer, size_t head)
{
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, metric);
        size_t from = head == QK_ALL_HEADS ? 0 : head, to = head == QK_ALL_HEADS ? values.n_heads : head + 1;
        for (size_t h = from; h < to; h++) {
            for (size_t b = 0; b < values.n_depth; b++) {
                if (isfinite(qk_values_at(&values, layer, h, b))) {
                    return true;
                }
            }
        }
    }
    return false;
}

size_t qk_distance_fit(bool wide)
{
    return wide ? 48 : 36;
}

static bool is_implied(const struct qk_run_view *view, size_t layer)
{
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        if (qk_run_view_is_implied(view->table, view->checkpoints[c], layer)) {
            return true;
        }
    }
    return false;
}

/* Mass in a bin: the head's own, or the spread over the layer's heads. */
static bool spread_at(const struct qk_distance_panels *panels, const struct qk_distance_panel *panel,
                      const struct qk_values *values, size_t bin, struct qk_spread *ret)
{
    if (panel->head == QK_ALL_HEADS) {
        return qk_values_spread(values, panel->layer, bin, panels->scratch, ret);
    }
    double v = qk_values_at(values, panel->layer, panel->head, bin);
    *ret = (struct qk_spread){v, v, v, v, v, 1};
    return isfinite(v);
}

/* What the checkpoint has more than the base: of the head, or the spread of that over the layer's heads. */
static bool difference_at(const struct qk_distance_panels *panels, const struct qk_distance_panel *panel,
                          const struct qk_values *values, const struct qk_values *base, size_t bin, double *ret)
{
    if (panel->head != QK_ALL_HEADS) {
        *ret =
            qk_values_at(values, panel->layer, panel->head, bin) - qk_values_at(base, panel->layer, panel->head, bin);
        return isfinite(*ret);
    }
    struct qk_spread s;
    for (size_t h = 0; h < values->n_heads; h++) {
        panels->scratch[h] = qk_values_at(values, panel->layer, h, bin) - qk_values_at(base, panel->layer, h, bin);
    }
    bool any = qk_spread_of(panels->scratch, values->n_heads, &s);
    *ret = any ? s.median : NAN;
    return any;
}

static bool has_bands(const struct qk_distance_panels *panels)
{
    return panels->view->n_checkpoints <= MAX_BANDS && panels->panels[0].head == QK_ALL_HEADS;
}

/* From 0 to the largest mass shown, linear: what a head lost must show as what it was. */
static void find_range(struct qk_distance_panels *panels)
{
    double most = 0;
    for (size_t c = 0; c < panels->view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(panels->view, c, metric);
        for (size_t i = 0; i < panels->n; i++) {
            for (size_t b = 0; b < values.n_depth; b++) {
                struct qk_spread s;
                if (spread_at(panels, &panels->panels[i], &values, b, &s)) {
                    most = fmax(most, has_bands(panels) ? s.q75 : s.median);
                }
            }
        }
    }
    qk_range_add(&panels->range, 0);
    qk_range_add(&panels->range, most);
    qk_range_finish(&panels->range, false);
}

static void find_difference_range(struct qk_distance_panels *panels)
{
    double most = 0;
    struct qk_values base = qk_run_view_values(panels->view, qk_distance_base(panels->view), metric);
    for (size_t c = 0; c < panels->view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(panels->view, c, metric);
        for (size_t i = 0; i < panels->n; i++) {
            for (size_t b = 0; b < values.n_depth; b++) {
                double v;
                if (difference_at(panels, &panels->panels[i], &values, &base, b, &v)) {
                    most = fmax(most, fabs(v));
                }
            }
        }
    }
    panels->difference = qk_range_symmetric(most);
    /* the labels of the largest ticks must not touch those of the panel above */
    panels->difference.hi *= 1.5;
    panels->difference.lo *= 1.5;
}

static void line_style(const struct qk_run_view *view, size_t checkpoint, char *out, size_t cap)
{
    struct qk_look look = qk_look_of(view, view->checkpoints[checkpoint]);
    qk_look_line(&look, out, cap);
}

size_t qk_distance_name_columns(const struct qk_run_view *view, bool wide)
{
    size_t longest = 0, most = wide ? 6 : 3;
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        size_t n = strlen(view->checkpoints[c]);
        longest = n > longest ? n : longest;
    }
    return longest <= 9 ? most : longest <= 14 ? (wide ? 4 : 2) : wide ? 3 : 1;
}

static size_t n_named(const struct qk_run_view *view)
{
    return view->n_checkpoints < MAX_NAMED ? view->n_checkpoints : MAX_NAMED;
}

static double head_height(const struct qk_run_view *view, bool wide)
{
    size_t columns = qk_distance_name_columns(view, wide);
    return 0.1 + 0.36 * (double)((n_named(view) + columns - 1) / columns);
}

/* Which line is which checkpoint. */
static void draw_head(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    size_t columns = qk_distance_name_columns(view, sheet->wide);
    for (size_t c = 0; c < n_named(view); c++) {
        double x = 0.15 + (double)(c % columns) * (sheet->width - 0.2) / (double)columns;
        double y = sheet->height - 0.28 - 0.36 * (double)(c / columns);
        bool cut = c + 1 == MAX_NAMED && view->n_checkpoints > MAX_NAMED;
        char style[96];
        line_style(view, c, style, sizeof style);
        qk_sheet_rule(sheet, x, y, x + 0.5, y, style);
        qk_sheet_text(sheet, x + 0.58, y, "left", cut ? "@ …" : "@", &view->checkpoints[c], "");
    }
}

/* Ticks at every so many bins, labelled with the shortest distance in them. */
static void set_bins(struct qk_sheet *sheet, const struct qk_distance_panels *panels, double length, bool labels)
{
    const struct qk_node *low = qk_table_find(panels->view->table, "/model/bin_low");
    bool known = low != NULL && !low->is_group && low->type == QK_TYPE_I64 && low->n_values >= panels->n_bins;
    qk_sheet_line(sheet, "set xrange [-0.5:%zu.5]", panels->n_bins - 1);
    struct qk_ticks ticks;
    qk_ticks_begin(&ticks, sheet, "x");
    for (size_t b = 1 < panels->n_bins ? 1 : 0; b < panels->n_bins; b++) {
        char text[24];
        qk_token_text(known ? low->v.i64[b] : (int64_t)b, text);
        qk_ticks_add(&ticks, (double)b, ((double)b + 0.5) / (double)panels->n_bins * length, labels ? text : NULL);
    }
    qk_ticks_end(&ticks);
}

/* Rows of one checkpoint; returns their number. */
static size_t add_rows(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i, size_t checkpoint)
{
    const struct qk_distance_panel *panel = &panels->panels[i];
    struct qk_values values = qk_run_view_values(panels->view, checkpoint, metric);
    bool median = panel->head == QK_ALL_HEADS;
    size_t n = 0;
    for (size_t b = 0; b < values.n_depth; b++) {
        struct qk_spread s;
        if (!spread_at(panels, panel, &values, b, &s)) {
            continue;
        }
        if (n++ == 0) {
            char title[128], head[32];
            (void)snprintf(head, sizeof head, " head %zu", panel->head);
            (void)snprintf(title, sizeof title, "layer %zu%s checkpoint %zu", panel->layer, median ? "" : head,
                           checkpoint);
            (void)qk_sheet_block(sheet, title, median ? "bin median q25 q75 (over the heads)" : "bin mass");
        }
        double row[] = {(double)b, s.median, s.q25, s.q75};
        qk_sheet_row(sheet, row, median ? 4 : 2);
    }
    return n;
}

/* The lines of one checkpoint; *comma: what joins them to those before. */
static void plot_checkpoint(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i,
                            size_t checkpoint, const char **comma)
{
    char style[96];
    if (add_rows(sheet, panels, i, checkpoint) == 0) {
        return;
    }
    line_style(panels->view, checkpoint, style, sizeof style);
    if (has_bands(panels)) {
        qk_sheet_line(sheet,
                      "%sdata index %zu using 1:3:4 with filledcurves fillstyle transparent solid 0.18 noborder %s "
                      "notitle \\",
                      *comma, sheet->n_blocks - 1, strstr(style, "linecolor"));
        *comma = "   , ";
    }
    qk_sheet_line(sheet, "%sdata index %zu using 1:2 with lines %s notitle \\", *comma, sheet->n_blocks - 1, style);
    *comma = "   , ";
}

static size_t add_difference_rows(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i,
                                  size_t checkpoint)
{
    const struct qk_distance_panel *panel = &panels->panels[i];
    struct qk_values values = qk_run_view_values(panels->view, checkpoint, metric);
    struct qk_values base = qk_run_view_values(panels->view, qk_distance_base(panels->view), metric);
    size_t n = 0;
    for (size_t b = 0; b < values.n_depth; b++) {
        double row[2] = {(double)b, 0};
        if (!difference_at(panels, panel, &values, &base, b, &row[1])) {
            continue;
        }
        if (n++ == 0) {
            char title[128], head[32];
            (void)snprintf(head, sizeof head, " head %zu", panel->head);
            (void)snprintf(title, sizeof title, "layer %zu%s checkpoint %zu minus base", panel->layer,
                           panel->head == QK_ALL_HEADS ? "" : head, checkpoint);
            (void)qk_sheet_block(sheet, title,
                                 panel->head == QK_ALL_HEADS ? "bin median (of the heads' differences)"
                                                             : "bin difference");
        }
        qk_sheet_row(sheet, row, 2);
    }
    return n;
}

/* The strip of a panel: each checkpoint minus the base. */
static void plot_differences(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i)
{
    size_t base = qk_distance_base(panels->view), n_bins = panels->n_bins;
    qk_str_addf(&sheet->body,
                "set arrow from -0.5, 0 to %zu.5, 0 nohead linewidth 0.5 linecolor rgb '" QK_INK_PLAIN "'\n",
                n_bins - 1);
    const char *comma = "plot ";
    for (size_t c = 0; c < panels->view->n_checkpoints; c++) {
        if (c != base && add_difference_rows(sheet, panels, i, c) > 0) {
            char style[96];
            line_style(panels->view, c, style, sizeof style);
            qk_sheet_line(sheet, "%sdata index %zu using 1:2 with lines %s notitle \\", comma, sheet->n_blocks - 1,
                          style);
            comma = "   , ";
        }
    }
    if (comma[0] == 'p') {
        qk_sheet_line(sheet, "plot NaN notitle");
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

/* The broken line of the base comes last, so that an equal one does not hide it. */
static void plot_lines(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i)
{
    const char *comma = "plot ";
    size_t base = qk_distance_base(panels->view);
    for (size_t c = 0; c < panels->view->n_checkpoints; c++) {
        if (c != base) {
            plot_checkpoint(sheet, panels, i, c, &comma);
        }
    }
    plot_checkpoint(sheet, panels, i, base, &comma);
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}

static void draw_title(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i, struct qk_box box)
{
    char title[64], marked[80];
    bool implied = is_implied(panels->view, panels->panels[i].layer);
    panels->title(panels, i, title, sizeof title);
    (void)snprintf(marked, sizeof marked, "%s%s", title, implied ? "*" : "");
    qk_sheet_text(sheet, box.left, box.top + 0.18, "left", marked, NULL,
                  implied ? "textcolor rgb '" QK_INK_FAINT "'" : "");
}

static void draw_strip(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i, struct qk_box box)
{
    const struct qk_grid *grid = &panels->grid;
    qk_sheet_panel(sheet, box);
    qk_axis_set(sheet, "y", &panels->difference, box.top - box.bottom);
    if (i % grid->cols != 0) {
        qk_sheet_line(sheet, "set format y ''");
    }
    set_bins(sheet, panels, box.right - box.left, qk_grid_is_lowest(grid, i));
    plot_differences(sheet, panels, i);
}

static void draw_panel(struct qk_sheet *sheet, const struct qk_distance_panels *panels, size_t i)
{
    const struct qk_grid *grid = &panels->grid;
    struct qk_box box = qk_grid_box(grid, i), strip = box;
    bool lowest = qk_grid_is_lowest(grid, i);
    if (panels->has_strips) {
        box.bottom += strip_height + strip_gap;
        strip.top = strip.bottom + strip_height;
    }
    qk_sheet_panel(sheet, box);
    if (i == 0) {
        double bottom = qk_grid_box(grid, grid->n - 1).bottom, middle = (grid->top + bottom) / 2;
        size_t line = 0;
        draw_head(sheet, panels->view);
        qk_sheet_text(sheet, 0.22, middle, "center", "attention per bin", NULL, "rotate by 90");
        qk_sheet_text(sheet, (grid->left + sheet->width - grid->right) / 2, bottom - 0.68, "center",
                      "distance in tokens, lower end of bin", NULL, "");
        if (panels->any_implied) {
            qk_grid_note(sheet, line++, "*: linear layer, mixing that its recurrence implies");
        }
        if (panels->note != NULL) {
            qk_grid_note(sheet, line++, panels->note);
        }
        if (panels->more != NULL) {
            qk_grid_note(sheet, line++, panels->more);
        }
        if (panels->has_strips) {
            qk_grid_note(sheet, line,
                         panels->panels[0].head == QK_ALL_HEADS ? "lower strips: minus base, median over the heads"
                                                                : "lower strips: minus base");
        }
    }
    draw_title(sheet, panels, i, box);
    qk_axis_set(sheet, "y", &panels->range, box.top - box.bottom);
    if (i % grid->cols != 0) {
        qk_sheet_line(sheet, "set format y ''");
    }
    set_bins(sheet, panels, box.right - box.left, lowest && !panels->has_strips);
    plot_lines(sheet, panels, i);
    if (panels->has_strips) {
        draw_strip(sheet, panels, i, strip);
    }
}

void qk_distance_panels_draw(struct qk_sheet *sheet, struct qk_distance_panels *panels)
{
    size_t most = sheet->wide ? 6 : 3, rows = (panels->n + most - 1) / most, notes = 0;
    for (size_t i = 0; i < panels->n; i++) {
        panels->any_implied |= is_implied(panels->view, panels->panels[i].layer);
    }
    panels->has_strips = panels->view->n_checkpoints > 1 && panels->n <= 4 * most;
    notes = (size_t)panels->any_implied + (panels->note != NULL) + (panels->more != NULL) + panels->has_strips;
    find_range(panels);
    if (panels->has_strips) {
        find_difference_range(panels);
    }
    panels->grid = (struct qk_grid){.n = panels->n,
                                    .cols = (panels->n + rows - 1) / rows, /* rows of about equal length */
                                    .panel_height = panels->n <= most       ? 2.6
                                                    : panels->n <= 4 * most ? 1.6
                                                                            : 1.2,
                                    .left = panels->has_strips ? 1.35 : 1.1,
                                    .right = 0.35,
                                    .gap_x = 0.25,
                                    .title = 0.36,
                                    .axis = 0.12,
                                    .foot = QK_GRID_FOOT + 0.1 + QK_GRID_NOTE * (double)notes};
    panels->grid.panel_height += panels->has_strips ? strip_height + strip_gap : 0;
    qk_grid_place(sheet, &panels->grid, head_height(panels->view, sheet->wide));
    for (size_t i = 0; i < panels->n; i++) {
        draw_panel(sheet, panels, i);
    }
}
