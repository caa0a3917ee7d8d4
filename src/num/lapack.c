/* Eigenvalues, singular values and pivoted QR: LAPACK drivers with the caller's workspace.
 *
 * A workspace is one array of doubles; the integer workspace of a driver lies behind its real one. Inputs are tested
 * for NaN and Inf here, since LAPACKE's own test is off and some drivers never return on a NaN. */
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lapack_size.h"
#include "num/blas.h"

/* Block sizes: what ILAENV may ask for at most, and the panel of xGEQRT. */
enum { QR_BLOCK = 64, QR_PANEL = 32 };

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Doubles that hold n lapack_ints. */
static size_t int_doubles(size_t n)
{
    return (n * sizeof(lapack_int) + sizeof(double) - 1) / sizeof(double);
}

static bool all_finite(size_t m, size_t n, const double *a, size_t lda)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < m; i++) {
            if (!isfinite(a[i + j * lda])) {
                return false;
            }
        }
    }
    return true;
}

static enum qk_code fail_not_finite(struct qk_err *err, const char *what)
{
    return qk_fail(err, QK_EFORMAT, "%s: the matrix holds NaN or Inf", what);
}

static enum qk_code fail_driver(struct qk_err *err, const char *driver, lapack_int info)
{
    if (info < 0) {
        return qk_fail(err, QK_EINTERNAL, "%s: argument %d is illegal", driver, (int)-info);
    }
    return qk_fail(err, QK_EFORMAT, "%s did not converge (info %d)", driver, (int)info);
}

/* The reference minimum for 'V' is 1 + 6n + 2n²; for 'N' dsytrd wants n·block, which 2n² covers only for n ≥ block. */
static size_t eig_real_work(size_t n)
{
    return 1 + 6 * n + 2 * n * n + QR_BLOCK * n;
}

size_t qk_eig_work(size_t n)
{
    return eig_real_work(n) + int_doubles(3 + 5 * n);
}

enum qk_code qk_eig_sym(size_t n, double *a, size_t lda, bool vectors, double *w, double *work, struct qk_err *err)
{
    if (n == 0) {
        return QK_OK;
    }
    for (size_t j = 0; j < n; j++) {
        if (!all_finite(j + 1, 1, a + j * lda, lda)) {
            return fail_not_finite(err, "dsyevd");
        }
    }
    size_t lwork = eig_real_work(n);
    lapack_int *iwork = (lapack_int *)(void *)(work + lwork);
    lapack_int info =
        LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'U', qk_lapack_size(n), a, qk_lapack_size(lda), w,
                            work, qk_lapack_size(lwork), iwork, qk_lapack_size(3 + 5 * n));
    return info == 0 ? QK_OK : fail_driver(err, "dsyevd", info);
}

/* Whether no eigenvalue of the tridiagonal matrix (diagonal d, squared off-diagonal e2) lies above x: the pivots of
 * T − x are then all negative (Barth, Martin & Wilkinson 1967). */
static bool none_above(size_t n, const double *d, const double *e2, double tiny, double x)
{
    double pivot = d[0] - x;
    for (size_t i = 1; i < n && pivot <= 0; i++) {
        /* a pivot of zero is moved by less than the rounding of the matrix */
        pivot = (d[i] - x) - e2[i - 1] / (pivot > -tiny ? -tiny : pivot);
    }
    return pivot <= 0;
}

/* d and e are destroyed: scaled by a power of two, so that no square leaves the range, and e squared. */
static double largest_of_tridiagonal(size_t n, double *d, double *e)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fmax(fabs(d[i]), i + 1 < n ? fabs(e[i]) : 0));
    }
    if (most == 0) {
        return 0;
    }
    int exponent = ilogb(most);
    for (size_t i = 0; i < n; i++) {
        d[i] = ldexp(d[i], -exponent);
        e[i] = i + 1 < n ? ldexp(e[i], -exponent) : 0;
    }
    double low = d[0], high = d[0], size = 0;
    for (size_t i = 0; i < n; i++) {
        double radius = (i > 0 ? fabs(e[i - 1]) : 0) + fabs(e[i]);
        low = fmax(low, d[i]);
        high = fmax(high, d[i] + radius);
        size = fmax(size, fabs(d[i]) + radius);
    }
    for (size_t i = 0; i < n; i++) {
        e[i] *= e[i];
    }
    double tiny = DBL_EPSILON * DBL_EPSILON * size, margin = 2 * DBL_EPSILON * size;
    high += margin;
    while (high - low > margin) {
        double middle = low + 0.5 * (high - low);
        if (none_above(n, d, e, tiny, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return ldexp(low + 0.5 * (high - low), exponent);
}

enum qk_code qk_eig_sym_largest(size_t n, double *a, size_t lda, double *ret, double *work, struct qk_err *err)
{
    *ret = 0;
    if (n == 0) {
        return QK_OK;
    }
    for (size_t j = 0; j < n; j++) {
        if (!all_finite(j + 1, 1, a + j * lda, lda)) {
            return fail_not_finite(err, "dsytrd");
        }
    }
    double *d = work, *e = d + n, *tau = e + n, *rest = tau + n;
    lapack_int info = LAPACKE_dsytrd_work(LAPACK_COL_MAJOR, 'U', qk_lapack_size(n), a, qk_lapack_size(lda), d, e, tau,
                                          rest, qk_lapack_size(QR_BLOCK * n));
    if (info != 0) {
        return fail_driver(err, "dsytrd", info);
    }
    if (!all_finite(n, 1, d, n) || !all_finite(n - 1, 1, e, n)) {
        return fail_not_finite(err, "dsytrd"); /* it overflowed */
    }
    *ret = largest_of_tridiagonal(n, d, e);
    return QK_OK;
}

bool qk_invert(size_t n, double *a, size_t lda, double *work)
{
    lapack_int in = qk_lapack_size(n), ilda = qk_lapack_size(lda);
    lapack_int *pivot = (lapack_int *)(void *)(work + QR_BLOCK * n);
    return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, in, in, a, ilda, pivot) == 0 &&
           LAPACKE_dgetri_work(LAPACK_COL_MAJOR, in, a, ilda, pivot, work, qk_lapack_size(QR_BLOCK * n)) == 0;
}

size_t qk_invert_work(size_t n)
{
    return QR_BLOCK * n + int_doubles(n);
}

/* xGESDD with vectors: 4·min² + 7·min or 3·min + max(max, 4·min² + 4·min) by release; xGESVD: max(3·min + max, 5·min).
 * Blocked bidiagonalisation and the QR of a tall matrix want (m + n)·block and min² more. */
static size_t svd_real_work(size_t m, size_t n)
{
    size_t least = min_size(m, n);
    return 6 * least * least + 8 * least + (size_t)QR_BLOCK * (m + n) + max_size(m, n);
}

size_t qk_svd_work(size_t m, size_t n)
{
    return svd_real_work(m, n) + int_doubles(8 * min_size(m, n)) + m * n;
}

enum qk_code qk_svd(size_t m, size_t n, double *a, size_t lda, double *s, double *u, size_t ldu, double *vt,
                    size_t ldvt, double *work, bool *ret_fell_back, struct qk_err *err)
{
    if (ret_fell_back != NULL) {
        *ret_fell_back = false;
    }
    size_t least = min_size(m, n);
    if (least == 0) {
        return QK_OK;
    }
    if (!all_finite(m, n, a, lda)) {
        return fail_not_finite(err, "dgesdd");
    }
    bool vectors = u != NULL;
    char job = vectors ? 'S' : 'N';
    /* both drivers destroy their input: the second needs its own copy */
    double *copy = work, *real = copy + m * n;
    size_t lreal = svd_real_work(m, n);
    lapack_int *iwork = (lapack_int *)(void *)(real + lreal);
    for (size_t j = 0; j < n; j++) {
        memcpy(copy + j * m, a + j * lda, m * sizeof *a);
    }
    lapack_int im = qk_lapack_size(m), in = qk_lapack_size(n), ilda = qk_lapack_size(lda);
    lapack_int ildu = vectors ? qk_lapack_size(ldu) : im, ildvt = vectors ? qk_lapack_size(ldvt) : in;
    lapack_int info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, job, im, in, a, ilda, s, u, ildu, vt, ildvt, real,
                                          qk_lapack_size(lreal), iwork);
    if (info > 0) {
        if (ret_fell_back != NULL) {
            *ret_fell_back = true;
        }
        info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, job, job, im, in, copy, im, s, u, ildu, vt, ildvt, real,
                                   qk_lapack_size(lreal));
    }
    return info == 0 ? QK_OK : fail_driver(err, "dgesvd", info);
}

double qk_rcond_upper(size_t n, const double *u, size_t ldu, double *work)
{
    if (n == 0) {
        return 1.0;
    }
    double rcond = 0.0;
    lapack_int *iwork = (lapack_int *)(void *)(work + 3 * n);
    lapack_int info = LAPACKE_dtrcon_work(LAPACK_COL_MAJOR, '1', 'U', 'N', qk_lapack_size(n), u, qk_lapack_size(ldu),
                                          &rcond, work, iwork);
    return info == 0 ? rcond : 0.0;
}

size_t qk_qr_work(size_t m, size_t n)
{
    size_t least = min_size(m, n);
    size_t blocked = 2 * QR_PANEL * n + m * least;
    size_t pivoted = 2 * n + (n + 1) * QR_BLOCK + least + int_doubles(n);
    return max_size(blocked, pivoted);
}

/* R from where a factorisation left it, on and above the diagonal. */
static void copy_triangle(size_t m, size_t n, const double *a, size_t lda, double *r, size_t ldr)
{
    size_t least = min_size(m, n);
    for (size_t j = 0; j < n; j++) {
        size_t height = min_size(j + 1, least);
        memcpy(r + j * ldr, a + j * lda, height * sizeof *r);
        memset(r + j * ldr + height, 0, (least - height) * sizeof *r);
    }
}

/* xGEQRT's recursive panels run several times faster on tall matrices than xGEQRF's. */
enum qk_code qk_qr(size_t m, size_t n, bool want_q, double *a, size_t lda, double *r, size_t ldr, double *work,
                   struct qk_err *err)
{
    size_t least = min_size(m, n);
    if (least == 0) {
        return QK_OK;
    }
    if (!all_finite(m, n, a, lda)) {
        return fail_not_finite(err, "dgeqrt");
    }
    double *t = work, *scratch = t + QR_PANEL * n, *q = scratch + QR_PANEL * n;
    lapack_int im = qk_lapack_size(m), ileast = qk_lapack_size(least), ilda = qk_lapack_size(lda);
    lapack_int panel = qk_lapack_size(min_size(QR_PANEL, least));
    lapack_int info =
        LAPACKE_dgeqrt_work(LAPACK_COL_MAJOR, im, qk_lapack_size(n), panel, a, ilda, t, QR_PANEL, scratch);
    if (info != 0) {
        return fail_driver(err, "dgeqrt", info);
    }
    copy_triangle(m, n, a, lda, r, ldr);
    if (!want_q) {
        return QK_OK;
    }
    memset(q, 0, m * least * sizeof *q);
    for (size_t j = 0; j < least; j++) {
        q[j + j * m] = 1;
    }
    info = LAPACKE_dgemqrt_work(LAPACK_COL_MAJOR, 'L', 'N', im, ileast, ileast, panel, a, ilda, t, QR_PANEL, q, im,
                                scratch);
    if (info != 0) {
        return fail_driver(err, "dgemqrt", info);
    }
    for (size_t j = 0; j < least; j++) {
        memcpy(a + j * lda, q + j * m, m * sizeof *q);
    }
    return QK_OK;
}

enum qk_code qk_qr_pivot(size_t m, size_t n, double *a, size_t lda, double *r, size_t ldr, size_t *jpvt, double *work,
                         struct qk_err *err)
{
    size_t least = min_size(m, n);
    if (least == 0) {
        return QK_OK;
    }
    if (!all_finite(m, n, a, lda)) {
        return fail_not_finite(err, "dgeqp3");
    }
    size_t lreal = 2 * n + (n + 1) * QR_BLOCK;
    double *tau = work + lreal;
    lapack_int *pivot = (lapack_int *)(void *)(tau + least);
    memset(pivot, 0, n * sizeof *pivot);
    lapack_int im = qk_lapack_size(m), ileast = qk_lapack_size(least), ilda = qk_lapack_size(lda);
    lapack_int info =
        LAPACKE_dgeqp3_work(LAPACK_COL_MAJOR, im, qk_lapack_size(n), a, ilda, pivot, tau, work, qk_lapack_size(lreal));
    if (info != 0) {
        return fail_driver(err, "dgeqp3", info);
    }
    for (size_t j = 0; j < n; j++) {
        jpvt[j] = (size_t)(pivot[j] - 1);
    }
    copy_triangle(m, n, a, lda, r, ldr);
    info = LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, im, ileast, ileast, a, ilda, tau, work, qk_lapack_size(lreal));
    return info == 0 ? QK_OK : fail_driver(err, "dorgqr", info);
}
