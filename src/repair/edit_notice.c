/* Sentences with their layers: see edit_notice.h. */
#include "edit_notice.h"

#include <string.h>

static struct qk_notice_row *add_row(struct qk_notices *notices, const char *text)
{
    if (notices->n == notices->cap) {
        size_t cap = notices->cap == 0 ? 8 : 2 * notices->cap;
        struct qk_notice_row *rows = qk_arena_alloc(notices->arena, cap, sizeof *rows);
        if (rows == NULL) {
            return NULL;
        }
        memcpy(rows, notices->rows == NULL ? rows : notices->rows, notices->n * sizeof *rows);
        notices->rows = rows;
        notices->cap = cap;
    }
    struct qk_notice_row *row = &notices->rows[notices->n];
    row->text = qk_arena_strdup(notices->arena, text);
    row->layers = qk_arena_alloc(notices->arena, notices->n_layers, sizeof *row->layers);
    if (row->text == NULL || row->layers == NULL) {
        return NULL;
    }
    notices->n++;
    return row;
}

void qk_notices_add(struct qk_notices *notices, size_t layer, const char *text)
{
    struct qk_notice_row *row = NULL;
    for (size_t i = 0; i < notices->n && row == NULL; i++) {
        row = strcmp(notices->rows[i].text, text) == 0 ? &notices->rows[i] : NULL;
    }
    row = row == NULL ? add_row(notices, text) : row;
    notices->failed = notices->failed || row == NULL;
    if (row != NULL) {
        row->layers[layer] = true;
    }
}

static size_t count(const bool *layers, size_t n)
{
    size_t n_set = 0;
    for (size_t l = 0; l < n; l++) {
        n_set += layers[l];
    }
    return n_set;
}

void qk_notices_text(const struct qk_notices *notices, struct qk_str *out)
{
    for (size_t i = 0; i < notices->n; i++) {
        const bool *layers = notices->rows[i].layers;
        const char *between = count(layers, notices->n_layers) == 1 ? "layer " : "layers ";
        for (size_t l = 0; l < notices->n_layers; l++) {
            size_t last = l;
            while (layers[l] && last + 1 < notices->n_layers && layers[last + 1]) {
                last++;
            }
            if (layers[l]) {
                qk_str_addf(out, last > l ? "%s%zu-%zu" : "%s%zu", between, l, last);
                between = ", ";
            }
            l = last;
        }
        qk_str_addf(out, ": %s\n", notices->rows[i].text);
    }
}
