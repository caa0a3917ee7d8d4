/* Moves of the made pair's weights that some metrics must not see. */
#include "gauge_moves.h"

#include <math.h>

#include "made_run.h"

/* rows := m · rows, n rows of MADE_D. */
static void multiply(const double *m, size_t n, double (*rows)[MADE_D])
{
    for (size_t c = 0; c < MADE_D; c++) {
        double column[MADE_K] = {0};
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                column[i] += m[i * n + j] * rows[j][c];
            }
        }
        for (size_t i = 0; i < n; i++) {
            rows[i][c] = column[i];
        }
    }
}

/* A well-conditioned (n, n) matrix g and its inverse transpose: products of shears and scalings. */
static void gauge(struct qk_rng *rng, size_t n, double *g, double *inverse_t)
{
    for (size_t i = 0; i < n * n; i++) {
        g[i] = inverse_t[i] = i % (n + 1) == 0 ? 1.0 : 0.0;
    }
    for (size_t step = 0; step < 3 * n; step++) {
        size_t a = (size_t)qk_rng_below(rng, n), b = (size_t)qk_rng_below(rng, n);
        double s = 0.3 * qk_rng_normal(rng);
        for (size_t c = 0; c < n && a != b; c++) {
            g[a * n + c] += s * g[b * n + c];
            inverse_t[b * n + c] -= s * inverse_t[a * n + c];
        }
    }
}

/* A random orthogonal matrix: Givens rotations. */
static void rotation(struct qk_rng *rng, double *r)
{
    for (size_t i = 0; i < MADE_K * MADE_K; i++) {
        r[i] = i % (MADE_K + 1) == 0 ? 1.0 : 0.0;
    }
    for (size_t a = 0; a < MADE_K; a++) {
        for (size_t b = a + 1; b < MADE_K; b++) {
            double angle = 6.0 * qk_rng_uniform(rng), c = cos(angle), s = sin(angle);
            for (size_t i = 0; i < MADE_K; i++) {
                double x = r[a * MADE_K + i], y = r[b * MADE_K + i];
                r[a * MADE_K + i] = c * x - s * y;
                r[b * MADE_K + i] = s * x + c * y;
            }
        }
    }
}

/* q_m on the query heads of group g in layer l, k_m on its key head. */
static void apply(struct made_weights *w, size_t l, size_t g, const double *q_m, const double *k_m)
{
    size_t group = MADE_HEADS / MADE_KV;
    for (size_t h = g * group; h < (g + 1) * group; h++) {
        multiply(q_m, MADE_K, &w->q[l][h * MADE_K]);
    }
    multiply(k_m, MADE_K, &w->k[l][g * MADE_K]);
}

void move_gl_k(struct qk_rng *rng, size_t l)
{
    double m[MADE_K * MADE_K], inverse_t[MADE_K * MADE_K];
    for (size_t g = 0; g < MADE_KV; g++) {
        gauge(rng, MADE_K, m, inverse_t);
        apply(&tuned_weights, l, g, m, inverse_t);
    }
}

/* One complex scalar per frequency pair (p, p + K/2), its inverse conjugate on K: as real matrices, M and M⁻ᵀ. */
void move_rope_scalar(struct qk_rng *rng, size_t l)
{
    for (size_t g = 0; g < MADE_KV; g++) {
        double m[MADE_K * MADE_K] = {0}, inverse_t[MADE_K * MADE_K] = {0};
        for (size_t p = 0; p < MADE_K / 2; p++) {
            size_t i = p, j = p + MADE_K / 2;
            double re = 0.5 + qk_rng_uniform(rng), im = qk_rng_normal(rng), n = re * re + im * im;
            m[i * MADE_K + i] = m[j * MADE_K + j] = re;
            m[i * MADE_K + j] = -im;
            m[j * MADE_K + i] = im;
            inverse_t[i * MADE_K + i] = inverse_t[j * MADE_K + j] = re / n;
            inverse_t[i * MADE_K + j] = -im / n;
            inverse_t[j * MADE_K + i] = im / n;
        }
        apply(&tuned_weights, l, g, m, inverse_t);
    }
}

void move_norm_scale(struct qk_rng *rng, size_t l)
{
    for (size_t h = 0; h < MADE_HEADS + MADE_KV; h++) {
        double f = 0.2 + 3.0 * qk_rng_uniform(rng);
        double(*rows)[MADE_D] =
            h < MADE_HEADS ? &tuned_weights.q[l][h * MADE_K] : &tuned_weights.k[l][(h - MADE_HEADS) * MADE_K];
        for (size_t i = 0; i < MADE_K; i++) {
            for (size_t c = 0; c < MADE_D; c++) {
                rows[i][c] *= f;
            }
        }
    }
}

void move_symmetric(struct qk_rng *rng, size_t l)
{
    (void)rng;
    if (l == 0) {
        struct made_weights keep = base_weights;
        base_weights = tuned_weights;
        tuned_weights = keep;
    }
}

void move_basis(struct qk_rng *rng, size_t l)
{
    double r[MADE_K * MADE_K];
    for (size_t g = 0; g < MADE_KV; g++) {
        rotation(rng, r);
        apply(&base_weights, l, g, r, r);
        apply(&tuned_weights, l, g, r, r);
    }
}

void move_common_scale(struct qk_rng *rng, size_t l)
{
    (void)rng;
    struct made_weights *const both[] = {&base_weights, &tuned_weights};
    size_t n = (sizeof(base_weights) - offsetof(struct made_weights, q)) / sizeof(double);
    for (size_t s = 0; s < 2 && l == 0; s++) {
        double *x = (double *)(void *)both[s]->q;
        for (size_t i = 0; i < n; i++) {
            x[i] *= 3.1;
        }
    }
}
