/* Coverage of stored rows by slices; see coverage.h. */
#include "coverage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct span {
    const struct qk_tensor *tensor;
    uint64_t first, count;
    enum qk_role role;
};

static int compare_spans(const void *x, const void *y)
{
    const struct span *a = x, *b = y;
    if (a->tensor != b->tensor) {
        return a->tensor < b->tensor ? -1 : 1;
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

static size_t collect(const struct qk_model *m, struct span *spans)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_layers; i++) {
        const struct qk_layer *l = &m->layers[i];
        for (size_t s = 0; s < l->n_slices; s++) {
            const struct qk_slice *slice = &l->slices[s];
            if (s > 0 && slice->role < l->slices[s - 1].role) {
                fail_msg("layer %zu: slices are not ordered by role", i);
            }
            if (spans) {
                spans[n] = (struct span){slice->rows.tensor, slice->rows.first, slice->rows.count, slice->role};
            }
            n++;
        }
    }
    for (size_t i = 0; i < m->n_outer; i++, n++) {
        if (spans) {
            struct qk_rows all = {.tensor = m->outer[i].tensor};
            uint64_t rows = 0, cols = 0;
            qk_rows_shape(&all, &rows, &cols);
            spans[n] = (struct span){m->outer[i].tensor, 0, rows, QK_N_ROLES};
        }
    }
    return n;
}

/* Rows of t as its slices count them: transposed where they are. */
static uint64_t rows_of(const struct qk_model *m, const struct qk_tensor *t)
{
    struct qk_rows all = {.tensor = t};
    uint64_t rows = 0, cols = 0;
    for (size_t i = 0; i < m->n_layers; i++) {
        for (size_t s = 0; s < m->layers[i].n_slices; s++) {
            if (m->layers[i].slices[s].rows.tensor == t) {
                all.transposed = m->layers[i].slices[s].rows.transposed;
                qk_rows_shape(&all, &rows, &cols);
                return rows;
            }
        }
    }
    qk_rows_shape(&all, &rows, &cols);
    return rows;
}

static void check_role(const struct span *spans, size_t n, const struct qk_rows *rows, enum qk_role role)
{
    for (size_t i = 0; rows->tensor && i < n; i++) {
        const struct span *s = &spans[i];
        if (s->tensor == rows->tensor && s->first <= rows->first && s->first + s->count >= rows->first + rows->count) {
            if (s->role != role) {
                fail_msg("%s: rows of role %s are sliced as %s", s->tensor->name, qk_role_name(role),
                         s->role < QK_N_ROLES ? qk_role_name(s->role) : "outer");
            }
            return;
        }
    }
    if (rows->tensor) {
        fail_msg("%s: rows %llu + %llu are in no slice", rows->tensor->name, (unsigned long long)rows->first,
                 (unsigned long long)rows->count);
    }
}

static void check_heads(const struct qk_model *m, const struct span *spans, size_t n)
{
    size_t step = m->n_layers > 8 ? m->n_layers / 4 : 1; /* the search is linear */
    for (size_t i = 0; i < m->n_layers; i += step) {
        const struct qk_layer *l = &m->layers[i];
        for (size_t h = 0; h < l->n_heads * l->n_q_parts; h++) {
            check_role(spans, n, &l->q[h].rows, QK_ROLE_Q);
            check_role(spans, n, &l->q[h].inner, QK_ROLE_Q);
            check_role(spans, n, &l->q[h].up, QK_ROLE_Q);
            check_role(spans, n, &l->q[h].down, QK_ROLE_Q);
        }
        for (size_t g = 0; g < l->n_kv_heads * l->n_k_parts; g++) {
            check_role(spans, n, &l->k[g].rows, QK_ROLE_K);
            check_role(spans, n, &l->k[g].inner, QK_ROLE_K);
            check_role(spans, n, &l->k[g].up, QK_ROLE_K);
            check_role(spans, n, &l->k[g].down, QK_ROLE_K);
        }
    }
}

void check_coverage(const struct qk_model *m)
{
    size_t n = collect(m, NULL), at = 0;
    struct span *spans = calloc(n + 1, sizeof *spans);
    assert_non_null(spans);
    collect(m, spans);
    qsort(spans, n, sizeof *spans, compare_spans);
    for (size_t i = 0; i < m->ckpt->n_tensors; i++) {
        const struct qk_tensor *t = &m->ckpt->tensors[i];
        uint64_t next = 0;
        size_t pieces = 0;
        for (; at < n && spans[at].tensor == t; at++, pieces++) {
            if (spans[at].first != next) {
                fail_msg("%s: row %llu is covered not at all or twice", t->name, (unsigned long long)next);
            }
            next += spans[at].count;
        }
        uint64_t rows = m->ckpt->n_tensors > 5000 && pieces == 1 ? next : rows_of(m, t);
        if (pieces == 0 || next != rows) {
            fail_msg("%s: %llu of %llu rows covered", t->name, (unsigned long long)next, (unsigned long long)rows);
        }
    }
    assert_int_equal(at, n);
    check_heads(m, spans, n);
    free(spans);
}
