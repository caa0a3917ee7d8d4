/* A sheet of paper: see sheet.h. */
#include "sheet.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "label.h"

/* Print size of all text; a column of most journals is 8.5 cm wide, a page 17.5 cm. */
static const double font_pt = 8, single_cm = 8.5, double_cm = 17.5;
static const double png_dpi = 300, svg_dpi = 96, cm_per_inch = 2.54;

void qk_sheet_init(struct qk_sheet *sheet, const char *stem, const char *title, const char *format, bool wide)
{
    *sheet = (struct qk_sheet){.stem = stem, .title = title, .format = format, .wide = wide};
    sheet->width = wide ? double_cm : single_cm;
    sheet->height = 6;
    qk_str_addf(&sheet->data, "# data of %s.gp\n", stem);
}

void qk_sheet_release(struct qk_sheet *sheet)
{
    qk_str_release(&sheet->body);
    qk_str_release(&sheet->data);
}

void qk_sheet_line(struct qk_sheet *sheet, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line) {
        sheet->body.failed = true;
        return;
    }
    qk_str_add(&sheet->body, line);
    qk_str_addc(&sheet->body, '\n');
}

void qk_sheet_labelled(struct qk_sheet *sheet, const char *before, const char *markup, const char *after)
{
    qk_str_add(&sheet->body, before);
    qk_label_add(&sheet->body, markup, NULL);
    qk_str_add(&sheet->body, after);
    qk_str_addc(&sheet->body, '\n');
}

static double fx(const struct qk_sheet *sheet, double x)
{
    return x / sheet->width;
}

static double fy(const struct qk_sheet *sheet, double y)
{
    return y / sheet->height;
}

void qk_sheet_text(struct qk_sheet *sheet, double x, double y, const char *align, const char *markup,
                   const char *const *names, const char *more)
{
    qk_str_add(&sheet->body, "set label ");
    qk_label_add(&sheet->body, markup, names);
    qk_str_addf(&sheet->body, " at screen %.5f, screen %.5f %s %s\n", fx(sheet, x), fy(sheet, y), align, more);
}

void qk_sheet_rectangle(struct qk_sheet *sheet, struct qk_box box, const char *colour)
{
    qk_sheet_line(sheet,
                  "set object rectangle from screen %.5f, screen %.5f to screen %.5f, screen %.5f "
                  "fillcolor rgb '%s' fillstyle solid 1 noborder front",
                  fx(sheet, box.left), fy(sheet, box.bottom), fx(sheet, box.right), fy(sheet, box.top), colour);
}

void qk_sheet_rule(struct qk_sheet *sheet, double x0, double y0, double x1, double y1, const char *style)
{
    qk_sheet_line(sheet, "set arrow from screen %.5f, screen %.5f to screen %.5f, screen %.5f nohead %s", fx(sheet, x0),
                  fy(sheet, y0), fx(sheet, x1), fy(sheet, y1), style);
}

void qk_sheet_panel(struct qk_sheet *sheet, struct qk_box box)
{
    qk_sheet_line(sheet, "\nunset label; unset arrow; unset object; unset logscale; unset key; unset colorbox");
    qk_sheet_line(sheet,
                  "unset xlabel; unset ylabel; unset cblabel; set format '%%g'; set xtics; set ytics; set cbtics");
    qk_sheet_line(sheet, "set lmargin at screen %.5f; set rmargin at screen %.5f", fx(sheet, box.left),
                  fx(sheet, box.right));
    qk_sheet_line(sheet, "set bmargin at screen %.5f; set tmargin at screen %.5f", fy(sheet, box.bottom),
                  fy(sheet, box.top));
}

void qk_sheet_colour_bar(struct qk_sheet *sheet, struct qk_box box)
{
    qk_sheet_line(sheet, "set colorbox vertical user origin screen %.5f, screen %.5f size screen %.5f, screen %.5f",
                  fx(sheet, box.left), fy(sheet, box.bottom), fx(sheet, box.right - box.left),
                  fy(sheet, box.top - box.bottom));
}

void qk_sheet_no_data(struct qk_sheet *sheet)
{
    qk_sheet_line(sheet, "set label 'no data' at graph 0.5, graph 0.5 center textcolor rgb '#777777'");
    qk_sheet_line(sheet, "unset colorbox");
    qk_sheet_line(sheet, "plot NaN notitle");
}

size_t qk_sheet_block(struct qk_sheet *sheet, const char *title, const char *columns)
{
    qk_str_addf(&sheet->data, "%s# index %zu: %s\n# %s\n", sheet->n_blocks > 0 ? "\n\n" : "", sheet->n_blocks, title,
                columns);
    return sheet->n_blocks++;
}

void qk_sheet_row(struct qk_sheet *sheet, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            qk_str_addc(&sheet->data, ' ');
        }
        qk_str_add_double(&sheet->data, v[i]);
    }
    qk_str_addc(&sheet->data, '\n');
}

void qk_sheet_break(struct qk_sheet *sheet)
{
    qk_str_addc(&sheet->data, '\n');
}

/* Pictures of one page must not share their ids: the svg terminal takes letters, digits and '_' for that. */
static void add_identifier(struct qk_str *out, const char *stem)
{
    for (const char *s = stem; *s != '\0'; s++) {
        bool keep = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        qk_str_addc(out, keep ? *s : '_');
    }
}

/* The terminals. Cairo counts 96 points to the inch, so 0.75 makes them points of print: 8 pt text in a figure that is
 * included at its natural width. Marks are as large in every format; the svg terminal, which knows no font metrics,
 * sets the labels of x axes too low. */
static void add_terminals(const struct qk_sheet *sheet, struct qk_str *out)
{
    double w = sheet->width, h = sheet->height;
    double png = png_dpi / cm_per_inch, svg = svg_dpi / cm_per_inch;
    qk_str_addf(out,
                "if (format eq 'pdf') {\n"
                "    set terminal pdfcairo enhanced color font font.',%g' fontscale 0.75 linewidth 1 size %gcm, %gcm\n"
                "}\n",
                font_pt, w, h);
    qk_str_addf(out,
                "if (tex) {\n"
                "    set terminal cairolatex pdf input color font ',%g' fontscale 0.75 linewidth 1 size %gcm, %gcm\n"
                "}\n",
                font_pt, w, h);
    qk_str_addf(out,
                "if (format eq 'svg') {\n"
                "    set terminal svg enhanced font font.',%.2f' linewidth 0.67 size %.0f, %.0f name '",
                font_pt * svg_dpi / 72, w * svg, h * svg);
    add_identifier(out, sheet->stem);
    qk_str_add(out, "' background '#ffffff'\n}\n");
    qk_str_addf(out,
                "if (format eq 'png') {\n"
                "    set terminal pngcairo enhanced color font font.',%g' fontscale %.4f linewidth %.2f pointscale "
                "%.2f size %.0f, %.0f background '#ffffff'\n"
                "}\n",
                font_pt, png_dpi / 96, png_dpi / 150, png_dpi / 72, w * png, h * png);
}

enum qk_code qk_sheet_script(const struct qk_sheet *sheet, struct qk_str *ret, struct qk_err *err)
{
    qk_str_addf(ret,
                "# %s\n"
                "# Draws %s.%s from %s.dat; another format: gnuplot -e \"format='svg'\" %s.gp  (pdf, svg, png, tex)\n"
                "reset\n"
                "set decimalsign '.'\n"
                "if (!exists('format')) { format = '%s' }\n"
                "if (!exists('font')) { font = 'Helvetica' }\n"
                "tex = (format eq 'tex')\n",
                sheet->title, sheet->stem, sheet->format, sheet->stem, sheet->stem, sheet->format);
    add_terminals(sheet, ret);
    qk_str_addf(ret,
                "data = '%s.dat'\n"
                "set output tex ? '%s-inc.tex' : '%s.'.format\n"
                "set border 15 linewidth 0.6 linecolor rgb '#333333'\n"
                "set tics out nomirror scale 0.4 textcolor rgb '#000000'\n"
                "if (format eq 'svg') { set xtics offset 0, 0.4 }\n"
                "set style fill solid 1 noborder\n"
                "set multiplot\n",
                sheet->stem, sheet->stem, sheet->stem);
    qk_str_addn(ret, sheet->body.s != NULL ? sheet->body.s : "", sheet->body.len);
    qk_str_addf(ret,
                "\nunset multiplot\n"
                "unset output\n"
                "if (tex) { set print '%s.tex'; print "
                "'\\begingroup\\fontsize{%g}{%g}\\selectfont\\input{%s-inc}\\endgroup'; set print }\n",
                sheet->stem, font_pt, font_pt * 1.2, sheet->stem);
    if (ret->failed || sheet->body.failed || sheet->data.failed) {
        return qk_fail_nomem(err, "script of a figure");
    }
    return QK_OK;
}
