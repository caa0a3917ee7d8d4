/* Looks of checkpoints: see look.h. */
#include "look.h"

#include <stdio.h>
#include <string.h>

#include "palette.h"

static const struct qk_look looks[] = {
    {QK_INK_TUNED, "1", 7, false},
    {QK_INK_RESTORED, "1", 5, false},
    {QK_INK_OTHER, "(9,3)", 9, false},
    {QK_INK_FOURTH, "(9,3,2,3)", 13, false},
};
enum { N_LOOKS = sizeof looks / sizeof looks[0] };

struct qk_look qk_look_of(const struct qk_run_view *view, const char *name)
{
    static const struct qk_look base = {QK_INK_BASE, "(6,4)", 6, true};
    const char *other;
    size_t rank = 0, n = 0;
    if (strcmp(name, view->base) == 0) {
        return base;
    }
    for (size_t at = 0; (other = qk_run_view_next(view->table, "checkpoints", &at)) != NULL;) {
        if (strcmp(other, view->base) != 0) {
            rank = strcmp(other, name) == 0 ? n : rank;
            n++;
        }
    }
    struct qk_look look = looks[rank < N_LOOKS ? rank : 0];
    if (n > N_LOOKS) {
        qk_palette_colour(0.85 * (double)rank / (double)(n - 1), look.colour);
        look.dash = "1";
        look.point = 7;
    }
    return look;
}

void qk_look_line(const struct qk_look *look, char *out, size_t cap)
{
    (void)snprintf(out, cap, "linewidth %s dashtype %s linecolor rgb '%s'", look->is_base ? "0.9" : "1.2", look->dash,
                   look->colour);
}
