/* A pair of small heads and everything num measures of it, for test_geometry.c. */
#ifndef QK_TESTS_NUM_HEAD_PAIR_H
#define QK_TESTS_NUM_HEAD_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "num/principal_angles.h"
#include "num/procrustes.h"

enum { MOST_K = 24, MOST_D = 96 };

struct head_pair {
    size_t k, d;
    double w0[MOST_K * MOST_D], w1[MOST_K * MOST_D]; /* row-major (k, d) */
};

struct geometry {
    enum qk_angle_method method, qr_method;
    double theta[MOST_K], qr_theta[MOST_K]; /* theta: the Gram way's, or the fallback's where that declined */
    struct qk_procrustes procrustes;
    double residual; /* by the way that was asked for */
    double r[MOST_K * MOST_K];
    double sigma, delta;
};

/* The pair under test; one at a time. */
extern struct head_pair head;

/* Random base, and w1 = base. */
void start(size_t k, size_t d, uint64_t seed);
/* w1 += normal noise of the given size. */
void add_noise(uint64_t seed, double size);
/* n normal numbers. */
void draw(size_t n, uint64_t seed, double size, double *w);
/* w := m w, m (k, k) row-major. */
void mix(const double *m, double *w);
/* A random orthogonal (n, n) matrix. */
void draw_rotation(size_t n, uint64_t seed, double *q);
double norm_base(void);
/* Everything, from workspaces full of NaN: nothing may depend on what they hold. */
void measure(struct geometry *ret);

#endif
