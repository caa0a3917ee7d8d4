/* Fixtures of test_geometry.c. */
#include "head_pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "num/blas.h"
#include "num/gram.h"

struct head_pair head;

enum { TILE = 32 };

static void *scratch(size_t n)
{
    double *p = qk_alloc_aligned(n + 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i <= n; i++) {
        p[i] = NAN; /* nothing may depend on what the workspace holds */
    }
    return p;
}

void draw(size_t n, uint64_t seed, double size, double *w)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        w[i] = size * qk_rng_normal(&rng);
    }
}

void start(size_t k, size_t d, uint64_t seed)
{
    head.k = k;
    head.d = d;
    draw(k * d, seed, 1, head.w0);
    memcpy(head.w1, head.w0, sizeof head.w1);
}

void add_noise(uint64_t seed, double size)
{
    static double noise[MOST_K * MOST_D];
    draw(head.k * head.d, seed, size, noise);
    for (size_t i = 0; i < head.k * head.d; i++) {
        head.w1[i] += noise[i];
    }
}

void mix(const double *m, double *w)
{
    static double out[MOST_K * MOST_D];
    for (size_t i = 0; i < head.k; i++) {
        for (size_t l = 0; l < head.d; l++) {
            long double sum = 0;
            for (size_t j = 0; j < head.k; j++) {
                sum += (long double)m[i * head.k + j] * w[j * head.d + l];
            }
            out[i * head.d + l] = (double)sum;
        }
    }
    memcpy(w, out, head.k * head.d * sizeof *w);
}

void draw_rotation(size_t n, uint64_t seed, double *q)
{
    double *r = scratch(n * n), *work = scratch(qk_qr_work(n, n));
    draw(n * n, seed, 1, q);
    assert_int_equal(qk_qr(n, n, true, q, n, r, n, work, NULL), QK_OK);
    qk_free(r);
    qk_free(work);
}

static void form_gram(struct qk_gram *g, double *memory)
{
    size_t k = head.k;
    double *x = scratch(2 * k * TILE), *c = scratch(4 * k * k);
    qk_gram_init(g, k, memory);
    for (size_t begin = 0; begin < head.d; begin += TILE) {
        size_t n = head.d - begin < TILE ? head.d - begin : TILE;
        for (size_t i = 0; i < k; i++) {
            for (size_t j = 0; j < n; j++) {
                size_t at = i * head.d + begin + j;
                x[i * n + j] = head.w0[at];
                x[(k + i) * n + j] = head.w1[at] - head.w0[at];
            }
        }
        qk_gram_add_tile(k, n, x, begin == 0, c);
    }
    qk_gram_finish(g, c);
    qk_free(x);
    qk_free(c);
}

void measure(struct geometry *ret)
{
    size_t k = head.k, d = head.d;
    struct qk_gram g;
    double *memory = scratch(qk_gram_size(k)), *work = scratch(qk_procrustes_work(k) + k * d);
    double *angles = scratch(qk_principal_angles_work(k)), *qr = scratch(qk_principal_angles_qr_work(d, k));
    double *w0 = scratch(k * d), *w1 = scratch(k * d);
    form_gram(&g, memory);
    memcpy(w0, head.w0, k * d * sizeof *w0);
    memcpy(w1, head.w1, k * d * sizeof *w1);
    memset(ret, 0, sizeof *ret);
    ret->method = qk_principal_angles_schur(&g, ret->theta, angles);
    ret->qr_method = qk_principal_angles_qr(d, k, w0, w1, ret->qr_theta, qr);
    if (ret->method == QK_ANGLES_QR) {
        memcpy(ret->theta, ret->qr_theta, k * sizeof ret->theta[0]);
    }
    qk_procrustes(&g, ret->r, &ret->procrustes, work);
    ret->residual = ret->procrustes.residual;
    if (ret->procrustes.needs_direct) {
        double sum = 0;
        qk_procrustes_direct_tile(k, d, ret->r, head.w0, head.w1, work, &sum);
        ret->residual = sqrt(sum);
    }
    ret->sigma = qk_spectral_norm_from_gram(k, g.e, work);
    ret->delta = 0;
    for (size_t i = 0; i < k; i++) {
        ret->delta += g.finite ? g.e[i + i * k] : 0;
    }
    ret->delta = sqrt(ret->delta);
    double *all[] = {memory, work, angles, qr, w0, w1};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        qk_free(all[i]);
    }
}

double norm_base(void)
{
    return qk_norm2(head.k * head.d, head.w0);
}
