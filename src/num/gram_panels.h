/* The AVX-512 kernel behind num/gram_tile.h: a symmetric rank-n update on panels.
 *
 * A panel is 8 rows of the stacked tile [W0; Δ], column by column: element (row r, column l) of panel p lies at
 * tile[(p·n + l)·8 + r]. Each half is filled up with zero rows to whole panels. The sums are 8 × 8 blocks
 * (column-major) on and above the diagonal, block (p, q), p ≤ q, at sums[(q·(q + 1)/2 + p)·64]. */
#ifndef QK_NUM_GRAM_PANELS_H
#define QK_NUM_GRAM_PANELS_H

#include <stdbool.h>
#include <stddef.h>

enum { QK_PANEL = 8 };

/* Panels of one half. */
static inline size_t qk_panels(size_t k)
{
    return (k + QK_PANEL - 1) / QK_PANEL;
}

/* Whether this CPU runs it; the others may be called only then. */
bool qk_panels_available(void);
void qk_panels_pack(size_t k, size_t n, const double *w0, const double *w1, size_t ld, double *tile);
void qk_panels_scale(size_t k, size_t n, const double *g0, const double *g1, double *tile);
/* The first n_panels panels only. */
void qk_panels_add(size_t n_panels, size_t n, const double *tile, bool first, double *sums);

#endif
