/* Colours: see palette.h. */
#include "palette.h"

#include <math.h>
#include <stdio.h>

/* viridis at 0, 1/8, … 1; linear interpolation in between. */
static const unsigned char viridis[9][3] = {
    {0x44, 0x01, 0x54}, {0x47, 0x2c, 0x7a}, {0x3b, 0x51, 0x8b}, {0x2c, 0x71, 0x8e}, {0x21, 0x90, 0x8d},
    {0x27, 0xad, 0x81}, {0x5c, 0xc8, 0x63}, {0xaa, 0xdc, 0x32}, {0xfd, 0xe7, 0x25},
};

void qk_palette_colour(double p, char ret[8])
{
    double at = (p < 0 ? 0 : p > 1 ? 1 : p) * 8;
    size_t i = at >= 8 ? 7 : (size_t)at;
    unsigned rgb[3];
    for (size_t c = 0; c < 3; c++) {
        double x = viridis[i][c] + (at - (double)i) * ((double)viridis[i + 1][c] - viridis[i][c]);
        rgb[c] = (unsigned)lround(x) & 0xff;
    }
    (void)snprintf(ret, 8, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
}

void qk_palette_set(struct qk_sheet *sheet, double share)
{
    qk_str_add(&sheet->body, "set palette defined (");
    for (size_t i = 0; i <= 8; i++) {
        char colour[8];
        qk_palette_colour((double)i / 8 * share, colour);
        qk_str_addf(&sheet->body, "%s%zu '%s'", i > 0 ? ", " : "", i, colour);
    }
    qk_str_add(&sheet->body, ")\n");
}

void qk_palette_set_diverging(struct qk_sheet *sheet, bool reversed)
{
    /* the middle is not white: white is where there is no head */
    static const char *const colours[] = {"#1b4f8f", "#6fa3d0", "#f6f0dc", "#e08a63", "#9c1f2e"};
    qk_str_add(&sheet->body, "set palette defined (");
    for (size_t i = 0; i < 5; i++) {
        qk_str_addf(&sheet->body, "%s%zu '%s'", i > 0 ? ", " : "", i, colours[reversed ? 4 - i : i]);
    }
    qk_str_add(&sheet->body, ")\n");
}
