/* One line per module over depth: see module_lines.h. */
#include "module_lines.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "palette.h"

struct module_style {
    const char *name; /* in the run's scale of modules */
    const char *colour;
    int point; /* shapes tell the lines apart in grey */
};

static const struct module_style modules[] = {
    {"q", QK_INK_Q, 7},          {"k", QK_INK_K, 5},       {"v", "#009e73", 9},         {"o", "#56b4e9", 11},
    {"mlp_gate", "#cc79a7", 13}, {"mlp_up", "#303030", 8}, {"mlp_down", "#999999", 10},
};
const struct qk_legend qk_module_lines_legend[] = {
    {"Q", QK_INK_Q, NULL, 7},          {"K", QK_INK_K, NULL, 5},
    {"V", "#009e73", NULL, 9},         {"O", "#56b4e9", NULL, 11},
    {"MLP gate", "#cc79a7", NULL, 13}, {"up", "#303030", NULL, 8},
    {"down", "#999999", NULL, 10},     {NULL, NULL, NULL, 0},
};

enum { N_MODULES = sizeof modules / sizeof modules[0], NO_MODULE = -1 };

static ptrdiff_t module_index(const struct qk_run_view *view, const struct qk_values *values, const char *name)
{
    const struct qk_node *scale = qk_node_scale(view, values->node, 1);
    for (size_t i = 0; scale != NULL && scale->type == QK_TYPE_STR && i < scale->n_values; i++) {
        if (scale->v.str[i] != NULL && strcmp(scale->v.str[i], name) == 0) {
            return (ptrdiff_t)i;
        }
    }
    return NO_MODULE;
}

struct qk_range qk_module_lines_range(const struct qk_run_view *view)
{
    struct qk_range range = {0};
    for (size_t c = 0; c < view->n_checkpoints; c++) {
        struct qk_values values = qk_run_view_values(view, c, "module_rel_drift");
        for (size_t i = 0; i < N_MODULES; i++) {
            ptrdiff_t m = module_index(view, &values, modules[i].name);
            for (size_t l = 0; m != NO_MODULE && l < values.n_layers; l++) {
                qk_range_add(&range, qk_values_at(&values, l, (size_t)m, 0));
            }
        }
    }
    qk_range_finish(&range, false);
    return range;
}

void qk_module_lines_plot(struct qk_sheet *sheet, const struct qk_run_view *view, const struct qk_range *range)
{
    struct qk_values values = qk_run_view_values(view, view->current, "module_rel_drift");
    const char *comma = "plot ";
    for (size_t i = 0; i < N_MODULES; i++) {
        ptrdiff_t m = module_index(view, &values, modules[i].name);
        size_t n = 0;
        bool gap = false;
        for (size_t l = 0; m != NO_MODULE && l < view->n_layers; l++) {
            double v = qk_values_at(&values, l, (size_t)m, 0);
            if (!isfinite(v) || (range->log && v <= 0)) {
                gap = n > 0;
                continue;
            }
            if (n++ == 0) {
                (void)qk_sheet_block(sheet, modules[i].name, "layer module_rel_drift");
            }
            if (gap) {
                qk_sheet_break(sheet);
                gap = false;
            }
            double row[] = {(double)l, v};
            qk_sheet_row(sheet, row, 2);
        }
        if (n > 0) {
            qk_sheet_line(sheet,
                          "%sdata index %zu using 1:2 with linespoints pointtype %d pointsize 0.35 pointinterval %zu "
                          "linewidth 0.8 linecolor rgb '%s' notitle \\",
                          comma, sheet->n_blocks - 1, modules[i].point, 1 + view->n_layers / 16, modules[i].colour);
            comma = "   , ";
        }
    }
    if (comma[0] == 'p') {
        qk_sheet_no_data(sheet);
    } else {
        qk_str_addc(&sheet->body, '\n');
    }
}
