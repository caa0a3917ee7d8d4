/* Delta Grams: see num/gram.h. */
#include "num/gram.h"

#include <math.h>
#include <string.h>

#include "num/blas.h"

size_t qk_gram_size(size_t k)
{
    return 3 * k * k;
}

void qk_gram_place(struct qk_gram *g, size_t k, double *memory)
{
    *g = (struct qk_gram){.k = k, .a = memory, .f = memory + k * k, .e = memory + 2 * k * k};
}

void qk_gram_init(struct qk_gram *g, size_t k, double *memory)
{
    qk_gram_place(g, k, memory);
    memset(memory, 0, qk_gram_size(k) * sizeof *memory);
}

void qk_gram_add_tile(size_t k, size_t n, const double *x, bool first, double *c)
{
    /* one rank-n update gives all three blocks: A above left, Fᵀ above right, E below right */
    qk_syrk_t(2 * k, n, x, n, first ? 0.0 : 1.0, c, 2 * k);
}

void qk_gram_finish(struct qk_gram *g, const double *c)
{
    size_t k = g->k, ld = 2 * k;
    bool identical = true;
    double probe = 0;
    for (size_t j = 0; j < k; j++) {
        const double *left = c + j * ld, *right = c + (k + j) * ld;
        for (size_t i = 0; i <= j; i++) {
            g->a[i + j * k] = g->a[j + i * k] = left[i];
            g->e[i + j * k] = g->e[j + i * k] = right[k + i];
            probe += 0 * left[i] + 0 * right[k + i];
        }
        for (size_t i = 0; i < k; i++) {
            g->f[j + i * k] = right[i];
            probe += 0 * right[i];
        }
        identical = identical && right[k + j] == 0;
    }
    g->finite = probe == 0;
    g->identical = g->finite && identical;
    if (g->identical) {
        memset(g->f, 0, k * k * sizeof *g->f);
        memset(g->e, 0, k * k * sizeof *g->e);
    }
}

void qk_gram_tuned(const struct qk_gram *g, double *b)
{
    size_t k = g->k;
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i <= j; i++) {
            size_t ij = i + j * k, ji = j + i * k;
            /* the small terms first: they would drown one by one in A */
            b[ij] = b[ji] = g->a[ij] + ((g->f[ij] + g->f[ji]) + g->e[ij]);
        }
    }
}

void qk_gram_cross(const struct qk_gram *g, double *x)
{
    for (size_t i = 0; i < g->k * g->k; i++) {
        x[i] = g->a[i] + g->f[i];
    }
}
