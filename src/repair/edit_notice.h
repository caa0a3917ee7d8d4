/* Sentences about layers, each told once with the layers it holds for. Private to the layer. */
#ifndef QK_REPAIR_EDIT_NOTICE_H
#define QK_REPAIR_EDIT_NOTICE_H

#include "base/arena.h"
#include "base/str.h"

struct qk_notices {
    struct qk_arena *arena;
    size_t n_layers, n, cap;
    struct qk_notice_row {
        const char *text;
        bool *layers; /* (n_layers) */
    } * rows;
    bool failed;
};

/* Sticks in .failed when out of memory. */
void qk_notices_add(struct qk_notices *notices, size_t layer, const char *text);
/* "layers 0-3, 7: text" a line. */
void qk_notices_text(const struct qk_notices *notices, struct qk_str *out);

#endif
