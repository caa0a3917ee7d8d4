/* Delta Grams of one head: everything the drift metrics need of two (K, D) matrices, in one streaming pass.
 *
 *   A = W0 W0ᵀ    F = Δ W0ᵀ    E = Δ Δᵀ,    Δ = W1 − W0 formed element by element in double (exact up to one rounding)
 *
 * all (K, K), symmetric ones full (both triangles). F(i, j) = ⟨Δ_i, W0_j⟩ at f[i + j·K] (column-major).
 * Then W1W0ᵀ = A + F and W1W1ᵀ = A + F + Fᵀ + E: nothing cancels for small drifts. Tiles of columns are added in order,
 * so the result does not depend on who computes it. */
#ifndef QK_NUM_GRAM_H
#define QK_NUM_GRAM_H

#include <stdbool.h>
#include <stddef.h>

struct qk_gram {
    size_t k; /* rows of the head, K */
    double *a, *f, *e;
    bool identical; /* Δ is exactly zero everywhere (byte-identical storage): f = e = 0 */
    bool finite;    /* no NaN or Inf in either matrix; when false the rest is unspecified */
};

/* Doubles needed for a, f and e together. */
size_t qk_gram_size(size_t k);
/* Lays g out in memory (qk_gram_size doubles) and zeroes it. Borrows memory. */
void qk_gram_init(struct qk_gram *g, size_t k, double *memory);
/* The same without zeroing, for a Gram that is written as a whole before it is read. */
void qk_gram_place(struct qk_gram *g, size_t k, double *memory);
/* Adds one tile of n columns. x holds [W0; Δ] stacked as 2K rows of n contiguous values (row i at x + i·n), that is the
 * column-major (n, 2K) matrix. c is scratch of (2K)² doubles that must be the same and untouched between the tiles of
 * one head (first = true starts it). */
void qk_gram_add_tile(size_t k, size_t n, const double *x, bool first, double *c);
/* After the last tile: copies c's blocks into g and sets identical/finite from g's values (e all zero; all finite). */
void qk_gram_finish(struct qk_gram *g, const double *c);

/* W1W1ᵀ = A + F + Fᵀ + E into b (K, K), and W1W0ᵀ = A + F into x (K, K). */
void qk_gram_tuned(const struct qk_gram *g, double *b);
void qk_gram_cross(const struct qk_gram *g, double *x);

#endif
