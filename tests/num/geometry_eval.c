/* Runs the geometry of num on pairs of matrices for check_geometry.py.
 *
 * Standard input: cases of int64 {k, d}, then W0 and W1 as row-major (k, d) doubles. Standard output per case, all
 * doubles: method of the delta-Gram way, its k angles (NaN where it declined), method of the QR way, its k angles,
 * Procrustes residual, 1 when the direct way was asked for and taken, σ₁(Δ), ‖RᵀR − I‖_F, ‖R W1 − W0‖_F evaluated
 * directly. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "num/blas.h"
#include "num/gram.h"
#include "num/principal_angles.h"
#include "num/procrustes.h"

enum { TILE = 64 };

static double *doubles(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    assert(p != NULL);
    return p;
}

static void read_exactly(void *p, size_t n)
{
    if (fread(p, 1, n, stdin) != n) {
        fprintf(stderr, "geometry_eval: truncated case\n");
        exit(1);
    }
}

static void put(const double *x, size_t n)
{
    if (fwrite(x, sizeof *x, n, stdout) != n) {
        exit(1);
    }
}

/* The Grams of one pair by tiles, as the drift run forms them. */
static void form_gram(size_t k, size_t d, const double *w0, const double *w1, struct qk_gram *g, double *memory)
{
    double *c = doubles(4 * k * k), *x = doubles(2 * k * TILE);
    qk_gram_init(g, k, memory);
    for (size_t start = 0; start < d; start += TILE) {
        size_t n = d - start < TILE ? d - start : TILE;
        for (size_t i = 0; i < k; i++) {
            for (size_t j = 0; j < n; j++) {
                double base = w0[i * d + start + j];
                x[i * n + j] = base;
                x[(k + i) * n + j] = w1[i * d + start + j] - base;
            }
        }
        qk_gram_add_tile(k, n, x, start == 0, c);
    }
    qk_gram_finish(g, c);
    qk_free(c);
    qk_free(x);
}

static double direct_residual(size_t k, size_t d, const double *r, const double *w0, const double *w1)
{
    double *work = doubles(k * d), sum = 0;
    qk_procrustes_direct_tile(k, d, r, w0, w1, work, &sum);
    qk_free(work);
    return sqrt(sum);
}

static double orthogonality_defect(size_t k, const double *r)
{
    double *m = doubles(k * k);
    qk_gemm(true, false, k, k, k, 1, r, k, r, k, 0, m, k);
    for (size_t i = 0; i < k; i++) {
        m[i + i * k] -= 1;
    }
    double defect = qk_norm2(k * k, m);
    qk_free(m);
    return defect;
}

static void put_angles(size_t k, size_t d, const struct qk_gram *g, double *w0, double *w1)
{
    double *theta = doubles(k), *work = doubles(qk_principal_angles_work(k));
    double method = qk_principal_angles_schur(g, theta, work);
    put(&method, 1);
    put(theta, k);
    qk_free(work);
    work = doubles(qk_principal_angles_qr_work(d, k));
    method = qk_principal_angles_qr(d, k, w0, w1, theta, work);
    put(&method, 1);
    put(theta, k);
    qk_free(work);
    qk_free(theta);
}

static void evaluate(size_t k, size_t d)
{
    double *w0 = doubles(k * d), *w1 = doubles(k * d), *memory = doubles(qk_gram_size(k)), *r = doubles(k * k);
    double *work = doubles(qk_procrustes_work(k));
    read_exactly(w0, k * d * sizeof *w0);
    read_exactly(w1, k * d * sizeof *w1);
    struct qk_gram g;
    form_gram(k, d, w0, w1, &g, memory);
    struct qk_procrustes procrustes;
    qk_procrustes(&g, r, &procrustes, work);
    double direct = direct_residual(k, d, r, w0, w1);
    double residual = procrustes.failed ? NAN : procrustes.needs_direct ? direct : procrustes.residual;
    double needs_direct = procrustes.needs_direct, sigma = qk_spectral_norm_from_gram(k, g.e, work);
    double defect = orthogonality_defect(k, r);
    put_angles(k, d, &g, w0, w1);
    put(&residual, 1);
    put(&needs_direct, 1);
    put(&sigma, 1);
    put(&defect, 1);
    put(&direct, 1);
    qk_free(w0);
    qk_free(w1);
    qk_free(memory);
    qk_free(r);
    qk_free(work);
}

int main(void)
{
    qk_blas_init();
    int64_t size[2];
    while (fread(size, sizeof size, 1, stdin) == 1) {
        evaluate((size_t)size[0], (size_t)size[1]);
    }
    return ferror(stdout) || fflush(stdout) != 0;
}
