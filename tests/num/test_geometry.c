/* Principal angles and Procrustes on heads whose answer is known: identical, scaled, negated, mixed, rotated, turned by
 * given angles, rank-deficient, of odd shapes; invariances; the same bits every time. scipy's word is in
 * check_geometry.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "head_pair.h"
#include "num/blas.h"

static struct geometry result, other;

static void assert_angles(const double *theta, size_t n, double expected, double tolerance)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(fabs(theta[i] - expected) <= tolerance);
    }
}

static void assert_orthogonal(const double *r, size_t k)
{
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < k; i++) {
            double sum = i == j ? -1 : 0;
            for (size_t l = 0; l < k; l++) {
                sum += r[l + i * k] * r[l + j * k];
            }
            assert_true(fabs(sum) <= 8 * (double)k * DBL_EPSILON);
        }
    }
}

static const size_t shapes[][2] = {{1, 1}, {1, 9}, {2, 2}, {3, 40}, {16, 16}, {16, 96}, {24, 25}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void test_identical(void **state)
{
    (void)state;
    for (size_t s = 0; s < N_SHAPES; s++) {
        start(shapes[s][0], shapes[s][1], 1);
        measure(&result);
        assert_int_equal(result.method, QK_ANGLES_IDENTICAL);
        assert_int_equal(result.qr_method, QK_ANGLES_IDENTICAL);
        assert_angles(result.theta, head.k, 0, 0);
        assert_angles(result.qr_theta, head.k, 0, 0);
        assert_true(result.residual == 0 && result.sigma == 0 && !result.procrustes.needs_direct);
        for (size_t i = 0; i < head.k * head.k; i++) {
            assert_true(result.r[i] == (i % (head.k + 1) == 0 ? 1 : 0));
        }
    }
}

/* Scaling keeps the span and leaves Procrustes |1 − c| ‖W0‖ with R = I (or −I when negated, where R W1 = |c| W0). */
static void test_scaled(void **state)
{
    (void)state;
    static const double factors[] = {2, 0.5, 1 + 1e-6, 1e-3, -1, -3};
    for (size_t s = 0; s < N_SHAPES; s++) {
        for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
            start(shapes[s][0], shapes[s][1], 2);
            for (size_t i = 0; i < head.k * head.d; i++) {
                head.w1[i] = factors[f] * head.w0[i];
            }
            measure(&result);
            /* 1e-7 rad is the floor of the Gram way, which may answer when the drift is small */
            assert_angles(result.theta, head.k, 0, 1e-7);
            assert_angles(result.qr_theta, head.k, 0, 1e-12);
            double expected = fabs(fabs(factors[f]) - 1) * norm_base();
            assert_true(fabs(result.residual - expected) <= 1e-14 * norm_base());
            assert_orthogonal(result.r, head.k);
            double sign = factors[f] < 0 ? -1 : 1;
            for (size_t i = 0; i < head.k; i++) {
                assert_true(fabs(result.r[i + i * head.k] - sign) < 1e-10);
            }
        }
    }
}

static void test_zeroed(void **state)
{
    (void)state;
    start(8, 40, 3);
    memset(head.w1, 0, sizeof head.w1);
    measure(&result);
    assert_int_equal(result.qr_method, QK_ANGLES_FAILED);
    assert_true(result.method == QK_ANGLES_QR && isnan(result.theta[0]));
    assert_true(fabs(result.residual / norm_base() - 1) < 1e-14);
    assert_true(!result.procrustes.failed);
    memcpy(head.w1, head.w0, sizeof head.w1);
    memset(head.w0, 0, sizeof head.w0);
    measure(&result);
    assert_int_equal(result.method, QK_ANGLES_FAILED);
    assert_int_equal(result.qr_method, QK_ANGLES_FAILED);
    assert_true(isnan(result.theta[0]) && isnan(result.qr_theta[7]));
    assert_true(!result.procrustes.failed && result.residual > 0);
}

/* W1 = R W0: no angle, no residual, R found back. Any rotation, large or tiny. */
static void test_rotated(void **state)
{
    (void)state;
    double q[MOST_K * MOST_K];
    for (size_t s = 0; s < N_SHAPES; s++) {
        start(shapes[s][0], shapes[s][1], 4);
        size_t k = head.k;
        draw_rotation(k, 5, q);
        mix(q, head.w1);
        measure(&result);
        assert_angles(result.theta, k, 0, 1e-7);
        assert_angles(result.qr_theta, k, 0, 1e-12);
        assert_true(result.residual <= 1e-13 * norm_base());
        assert_orthogonal(result.r, k);
        for (size_t j = 0; j < k && head.d >= 2 * k; j++) {
            for (size_t i = 0; i < k; i++) {
                /* R undoes q: R = qᵀ; q is row-major and r column-major, so the entries agree in place */
                assert_true(fabs(result.r[i + j * k] - q[i + j * k]) < 1e-11);
            }
        }
    }
}

/* A Givens turn of two rows by a tiny angle: the residual stays at rounding of the base, far below ‖Δ‖. */
static void test_slightly_rotated(void **state)
{
    (void)state;
    for (double turn = 1e-1; turn > 1e-11; turn /= 10) {
        start(12, 80, 6);
        double q[12 * 12] = {0}, base = norm_base();
        for (size_t i = 0; i < 12; i++) {
            q[i * 12 + i] = 1;
        }
        q[0] = q[13] = cos(turn);
        q[1] = sin(turn);
        q[12] = -sin(turn);
        mix(q, head.w1);
        measure(&result);
        assert_angles(result.theta, 12, 0, 1e-7);
        assert_true(result.residual <= 1e-15 * base);
        assert_true(result.residual <= result.delta);
    }
}

/* Rows turned out of the span by known angles: W0 = G [I 0], W1 = H [cos θ, sin θ] with any invertible G, H. */
static void turn_by(const double *theta, size_t k, uint64_t seed)
{
    double g[MOST_K * MOST_K], h[MOST_K * MOST_K];
    memset(head.w0, 0, sizeof head.w0);
    memset(head.w1, 0, sizeof head.w1);
    head.k = k;
    head.d = 3 * k;
    for (size_t i = 0; i < k; i++) {
        head.w0[i * head.d + i] = 1;
        head.w1[i * head.d + i] = cos(theta[i]);
        head.w1[i * head.d + k + i] = sin(theta[i]);
    }
    draw(k * k, seed, 0.2, g);
    draw(k * k, seed + 1, 0.2, h);
    for (size_t i = 0; i < k; i++) {
        g[i * k + i] += 2;
        h[i * k + i] += 2;
    }
    mix(g, head.w0);
    mix(h, head.w1);
}

static void test_known_angles(void **state)
{
    (void)state;
    const double half_pi = acos(-1) / 2;
    const double theta[] = {half_pi, half_pi - 1e-5, 1.2, 0.7854, 0.5, 1e-1, 1e-3, 1e-5, 1e-7, 0};
    enum { K = sizeof theta / sizeof theta[0] };
    turn_by(theta, K, 7);
    measure(&result);
    for (size_t i = 0; i < K; i++) {
        assert_true(fabs(result.qr_theta[i] - theta[i]) <= 1e-13);
        assert_true(fabs(result.theta[i] - theta[i]) <= fmax(1e-6 * theta[i], 1e-7));
    }
}

static void test_symmetry(void **state)
{
    (void)state;
    static double keep[MOST_K * MOST_D];
    for (double drift = 2; drift > 1e-9; drift /= 7) {
        start(16, 90, 8);
        add_noise(9, drift);
        measure(&result);
        memcpy(keep, head.w0, sizeof keep);
        memcpy(head.w0, head.w1, sizeof keep);
        memcpy(head.w1, keep, sizeof keep);
        measure(&other);
        for (size_t i = 0; i < 16; i++) {
            assert_true(fabs(result.theta[i] - other.theta[i]) <= 1e-6 * result.theta[i]);
            assert_true(result.theta[i] >= 0 && result.theta[i] <= acos(-1) / 2);
            assert_true(i == 0 || result.theta[i] <= result.theta[i - 1]);
        }
        assert_true(fabs(result.residual - other.residual) <= 1e-12 * result.residual);
    }
}

/* Angles do not see a change of basis inside either head; Procrustes does not see a rotation of the common space. */
static void test_invariance(void **state)
{
    (void)state;
    for (double drift = 1; drift > 1e-5; drift /= 10) {
        double m[MOST_K * MOST_K];
        start(10, 70, 10);
        add_noise(11, drift);
        measure(&result);
        draw(100, 12, 1, m);
        mix(m, head.w1);
        draw(100, 13, 1, m);
        mix(m, head.w0);
        measure(&other);
        for (size_t i = 0; i < 10; i++) {
            assert_true(fabs(result.theta[i] - other.theta[i]) <= 1e-7 * result.theta[i] + 1e-12);
        }
        start(10, 70, 10);
        add_noise(11, drift);
        draw_rotation(10, 14, m);
        mix(m, head.w0);
        mix(m, head.w1);
        measure(&other);
        assert_true(fabs(result.residual - other.residual) <= 1e-10 * result.residual);
    }
}

/* What any R gives is an upper bound, and R = I gives ‖Δ‖; the residual belongs to the R that is returned. */
static void test_residual_is_least(void **state)
{
    (void)state;
    static double work[MOST_K * MOST_D];
    for (double drift = 3; drift > 1e-12; drift /= 10) {
        double q[MOST_K * MOST_K], sum = 0, rotated = 0;
        start(14, 64, 15);
        add_noise(16, drift);
        measure(&result);
        assert_true(!result.procrustes.failed);
        assert_true(result.residual <= result.delta * (1 + 1e-12));
        qk_procrustes_direct_tile(14, 64, result.r, head.w0, head.w1, work, &sum);
        /* forming R W1 rounds at ε of W1 */
        assert_true(fabs(sqrt(sum) - result.residual) <= 64 * DBL_EPSILON * norm_base());
        assert_orthogonal(result.r, 14);
        draw_rotation(14, 17, q);
        qk_procrustes_direct_tile(14, 64, q, head.w0, head.w1, work, &rotated);
        assert_true(result.residual < sqrt(rotated));
    }
}

/* The last rows are combinations of the first: rank r0 in the base, r1 in the tuned head. */
static void make_dependent(double *w, size_t rank)
{
    for (size_t i = rank; i < head.k; i++) {
        for (size_t l = 0; l < head.d; l++) {
            w[i * head.d + l] = 2 * w[(i % rank) * head.d + l] - w[((i + 1) % rank) * head.d + l];
        }
    }
}

static void test_rank_deficient(void **state)
{
    (void)state;
    static const size_t ranks[][2] = {{5, 5}, {5, 8}, {8, 5}, {1, 3}, {7, 8}};
    for (size_t c = 0; c < sizeof ranks / sizeof ranks[0]; c++) {
        start(8, 50, 18);
        add_noise(19, 0.1);
        make_dependent(head.w0, ranks[c][0]);
        make_dependent(head.w1, ranks[c][1]);
        measure(&result);
        assert_int_equal(result.method, QK_ANGLES_QR);
        assert_int_equal(result.qr_method, QK_ANGLES_RANK_DEFICIENT);
        size_t least = ranks[c][0] < ranks[c][1] ? ranks[c][0] : ranks[c][1];
        memcpy(other.theta, result.theta, sizeof other.theta);
        for (size_t i = 0; i < 8; i++) {
            assert_true(i < least ? result.theta[i] > 0.01 && result.theta[i] < 1 : isnan(result.theta[i]));
        }
        assert_true(!result.procrustes.failed && result.residual <= result.delta * (1 + 1e-12));
        assert_orthogonal(result.r, 8);
        /* the independent rows alone have the same span */
        if (ranks[c][0] == ranks[c][1]) {
            head.k = least;
            measure(&result);
            assert_int_equal(result.qr_method, QK_ANGLES_QR);
            for (size_t i = 0; i < least; i++) {
                assert_true(fabs(result.qr_theta[i] - other.theta[i]) <= 1e-12);
            }
        }
    }
}

/* K > D: both heads span everything, min(rank) = D angles of zero. */
static void test_more_rows_than_columns(void **state)
{
    (void)state;
    start(12, 5, 20);
    add_noise(21, 0.3);
    measure(&result);
    assert_int_equal(result.method, QK_ANGLES_QR);
    assert_int_equal(result.qr_method, QK_ANGLES_RANK_DEFICIENT);
    assert_angles(result.theta, 5, 0, 1e-13);
    for (size_t i = 5; i < 12; i++) {
        assert_true(isnan(result.theta[i]));
    }
    assert_orthogonal(result.r, 12);
    assert_true(!result.procrustes.failed && result.residual <= result.delta);
}

static void test_one_row(void **state)
{
    (void)state;
    /* the angle between two vectors, and ‖w1‖ − ‖w0‖ after turning by ±1 */
    head.k = 1;
    head.d = 2;
    for (double angle = 1.5; angle > 1e-12; angle /= 10) {
        head.w0[0] = 2;
        head.w0[1] = 0;
        head.w1[0] = 3 * cos(angle);
        head.w1[1] = 3 * sin(angle);
        measure(&result);
        assert_true(fabs(result.theta[0] / angle - 1) < 1e-6 || fabs(result.theta[0] - angle) < 1e-7);
        assert_true(fabs(result.qr_theta[0] - angle) < 1e-15 + 1e-14 * angle);
        double expected = hypot(head.w1[0] - 2, head.w1[1]);
        assert_true(fabs(result.residual / expected - 1) < 1e-13);
        assert_true(fabs(result.sigma / expected - 1) < 1e-13);
    }
}

static void test_extreme_sizes(void **state)
{
    (void)state;
    static const double scales[] = {1e-60, 1e60, 0x1p-130, 0x1p120};
    start(9, 60, 22);
    add_noise(23, 0.05);
    measure(&other);
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
        start(9, 60, 22);
        add_noise(23, 0.05);
        for (size_t i = 0; i < 9 * 60; i++) {
            head.w0[i] *= scales[s];
            head.w1[i] *= scales[s];
        }
        measure(&result);
        assert_int_equal(result.method, QK_ANGLES_SCHUR);
        assert_int_equal(result.qr_method, QK_ANGLES_QR);
        for (size_t i = 0; i < 9; i++) {
            assert_true(fabs(result.theta[i] / other.theta[i] - 1) < 1e-11);
            assert_true(fabs(result.qr_theta[i] / other.theta[i] - 1) < 1e-11);
        }
        assert_true(fabs(result.residual / scales[s] / other.residual - 1) < 1e-11);
        assert_true(fabs(result.sigma / scales[s] / other.sigma - 1) < 1e-11);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    start(6, 30, 24);
    add_noise(25, 0.1);
    head.w1[17] = NAN;
    measure(&result);
    assert_int_equal(result.method, QK_ANGLES_FAILED);
    assert_int_equal(result.qr_method, QK_ANGLES_FAILED);
    assert_true(result.procrustes.failed && isnan(result.procrustes.residual));
    assert_true(isnan(result.sigma) && isnan(result.theta[0]));
}

static void test_same_bits(void **state)
{
    (void)state;
    start(20, 90, 26);
    add_noise(27, 1e-3);
    measure(&result);
    measure(&other);
    assert_memory_equal(result.theta, other.theta, sizeof result.theta);
    assert_memory_equal(result.qr_theta, other.qr_theta, sizeof result.qr_theta);
    assert_memory_equal(result.r, other.r, sizeof result.r);
    assert_true(result.residual == other.residual && result.sigma == other.sigma);
}

static int set_up(void **state)
{
    (void)state;
    qk_blas_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identical),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_rotated),
        cmocka_unit_test(test_slightly_rotated),
        cmocka_unit_test(test_known_angles),
        cmocka_unit_test(test_symmetry),
        cmocka_unit_test(test_invariance),
        cmocka_unit_test(test_residual_is_least),
        cmocka_unit_test(test_rank_deficient),
        cmocka_unit_test(test_more_rows_than_columns),
        cmocka_unit_test(test_one_row),
        cmocka_unit_test(test_extreme_sizes),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
