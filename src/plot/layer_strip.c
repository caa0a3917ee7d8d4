/* Layer kinds on the layer axis: see layer_strip.h. */
#include "layer_strip.h"

#include <stdio.h>
#include <string.h>

#include "palette.h"

struct kind_style {
    const char *name; /* as in /model/layer_kind */
    const char *legend;
    const char *colour; /* lightness falls from none to full, so that the order shows in grey */
    const char *dash;
};

static const struct kind_style kinds[] = {
    {"full", "full attention", "#15305b", "1"}, {"sliding", "sliding window", "#5b8fc7", "(12,4)"},
    {"linear", "linear", "#f2b84b", "(5,3)"},   {"ssm", "state space", "#b0557f", "(10,3,2,3)"},
    {"none", "no Q, K", "#d0d0d0", "(2,4)"},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static const double strip_gap = 0.05, strip_height = 0.13, line_height = 0.38, char_cm = 0.135;

static const struct kind_style *style_of(const struct qk_run_view *view, size_t layer)
{
    const char *name = qk_run_view_kind(view, layer);
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static bool is_present(const struct qk_run_view *view, const struct kind_style *style)
{
    for (size_t l = 0; l < view->n_layers; l++) {
        if (style_of(view, l) == style) {
            return true;
        }
    }
    return false;
}

static bool is_mixed(const struct qk_run_view *view)
{
    for (size_t l = 1; l < view->n_layers; l++) {
        if (style_of(view, l) != style_of(view, 0)) {
            return true;
        }
    }
    return false;
}

double qk_layer_strip_height(const struct qk_run_view *view)
{
    return is_mixed(view) ? strip_gap + strip_height : 0;
}

double qk_head_height(const struct qk_run_view *view)
{
    return 0.1 + line_height * (is_mixed(view) ? 2 : 1);
}

/* The legend of the layer kinds in the second line of the head. */
static void draw_kinds(struct qk_sheet *sheet, const struct qk_run_view *view, enum qk_head_style style)
{
    double y = sheet->height - 0.1 - line_height / 2;
    if (!is_mixed(view) || style == QK_HEAD_PLAIN) {
        return;
    }
    double x = 0.15, sample = style == QK_HEAD_DASH ? 0.6 : 0.32;
    y -= line_height;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (!is_present(view, &kinds[i]) || (style == QK_HEAD_DASH && strcmp(kinds[i].name, "none") == 0)) {
            continue;
        }
        if (style == QK_HEAD_DASH) {
            char line[96];
            (void)snprintf(line, sizeof line, "linewidth 1.2 dashtype %s linecolor rgb '#333333'", kinds[i].dash);
            qk_sheet_rule(sheet, x, y, x + sample, y, line);
        } else {
            qk_sheet_rectangle(sheet, (struct qk_box){x, y - 0.08, x + sample, y + 0.08}, kinds[i].colour);
        }
        qk_sheet_text(sheet, x + sample + 0.1, y, "left", kinds[i].legend, NULL, "");
        x += sample + 0.35 + (double)strlen(kinds[i].legend) * char_cm;
    }
}

void qk_head_draw(struct qk_sheet *sheet, const struct qk_run_view *view, enum qk_head_style style)
{
    const char *names[] = {view->checkpoints[view->current], view->base};
    qk_sheet_text(sheet, 0.15, sheet->height - 0.1 - line_height / 2, "left", "@ against @", names, "");
    draw_kinds(sheet, view, style);
}

void qk_head_draw_all(struct qk_sheet *sheet, const struct qk_run_view *view)
{
    char text[64];
    const char *names[] = {view->base};
    (void)snprintf(text, sizeof text, "%zu checkpoints against @", view->n_checkpoints);
    qk_sheet_text(sheet, 0.15, sheet->height - 0.1 - line_height / 2, "left", text, names, "");
    draw_kinds(sheet, view, QK_HEAD_DASH);
}

void qk_layer_strip_draw(struct qk_sheet *sheet, const struct qk_run_view *view, struct qk_box box)
{
    if (!is_mixed(view)) {
        return;
    }
    double step = (box.right - box.left) / (double)view->n_layers;
    double bottom = box.top + strip_gap;
    for (size_t l = 0; l < view->n_layers;) {
        const struct kind_style *style = style_of(view, l);
        size_t end = l + 1;
        while (end < view->n_layers && style_of(view, end) == style) {
            end++;
        }
        if (style != NULL) {
            struct qk_box run = {box.left + (double)l * step, bottom, box.left + (double)end * step,
                                 bottom + strip_height};
            qk_sheet_rectangle(sheet, run, style->colour);
        }
        l = end;
    }
}

const char *qk_layer_dash(const struct qk_run_view *view, size_t layer)
{
    const struct kind_style *style = style_of(view, layer);
    return style != NULL ? style->dash : "1";
}
