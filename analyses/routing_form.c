/* The routing form M = W_Qᵀ W_K through Gram matrices, and through thin QR factors where the Grams cancel. */
#include <math.h>
#include <string.h>

#include "analyses/drift.h"
#include "num/blas.h"

/* A sum of squares whose terms are this much larger than itself has lost too many digits for 1e-9 of relative accuracy:
 * its rounding is a few times 1e-15 of the terms. */
static const double direct_threshold = 1e-5;

bool qk_form_needs_direct(double delta2, double terms)
{
    return terms > 0.0 && !(delta2 > direct_threshold * terms);
}

/* A sum of squares without the rounding below zero; NaN (an overflow of float64 weights) stays NaN, unlike with fmax.
 */
static double not_negative(double x)
{
    return x < 0.0 ? 0.0 : x;
}

void qk_form_from_grams(const struct qk_gram *q, const struct qk_gram *k, struct qk_form *ret)
{
    size_t n = q->k;
    double base2 = 0.0, moved_q = 0.0, moved_k = 0.0, mixed = 0.0, cross = 0.0;
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < n; i++) {
            size_t ij = i + j * n, ji = j + i * n;
            double ek = k->e[ij], fk = k->f[ij], fk_t = k->f[ji], ak = k->a[ij];
            base2 += q->a[ij] * ak;
            moved_q += q->e[ij] * (ak + (fk + fk_t + ek));
            moved_k += q->a[ij] * ek;
            mixed += q->f[ij] * (fk_t + ek);
            cross += q->f[ij] * (ak + fk) + q->a[ij] * fk;
        }
    }
    ret->base2 = base2;
    ret->cross = cross;
    ret->delta2 = not_negative(moved_q + 2.0 * mixed + moved_k);
    ret->terms = fabs(moved_q) + 2.0 * fabs(mixed) + fabs(moved_k);
}

double qk_cosine_from_change(double base2, double cross, double delta2)
{
    double change2 = 2.0 * cross + delta2, n0 = sqrt(base2), n1 = sqrt(base2 + change2), cosine;
    if (n1 > 2.0 * n0) { /* the loss would be the small difference of two numbers of size n1² */
        cosine = (base2 + cross) / n0 / n1;
    } else {
        double growth = change2 / (n0 + n1);
        cosine = 1.0 - not_negative((delta2 - growth * growth) / (2.0 * n0 * n1));
    }
    if (!isfinite(n1) || isnan(cosine)) {
        return NAN;
    }
    return cosine < -1.0 ? -1.0 : cosine > 1.0 ? 1.0 : cosine;
}

static double weight_at(const double *w, size_t i)
{
    return w == NULL ? 1.0 : w[i];
}

void qk_gram_scale_rows(const struct qk_gram *g, const struct qk_row_weights *w, struct qk_gram *out)
{
    size_t n = g->k;
    out->identical = g->identical;
    out->finite = g->finite;
    for (size_t j = 0; j < n; j++) {
        double b_j = weight_at(w->base, j), t_j = weight_at(w->tuned, j), d_j = t_j - b_j;
        for (size_t i = 0; i < n; i++) {
            size_t ij = i + j * n, ji = j + i * n;
            double b_i = weight_at(w->base, i), t_i = weight_at(w->tuned, i), d_i = t_i - b_i;
            double a = g->a[ij];
            out->a[ij] = b_i * a * b_j;
            out->f[ij] = d_i * a * b_j + t_i * g->f[ij] * b_j;
            out->e[ij] = d_i * a * d_j + d_i * g->f[ji] * t_j + t_i * g->f[ij] * d_j + t_i * g->e[ij] * t_j;
            out->identical = out->identical && d_i == 0.0;
        }
    }
}

double qk_form_relative2(const struct qk_form *form, double log_ratio, double *ret_terms)
{
    double r = exp(log_ratio), growth = expm1(log_ratio);
    double moved = r * r * (form->delta2 / form->base2);
    double mixed = 2.0 * r * growth * (form->cross / form->base2);
    *ret_terms = r * r * (form->terms / form->base2) + fabs(mixed) + growth * growth;
    return not_negative(moved + mixed + growth * growth);
}

/* ---- from the matrices ------------------------------------------------------------------------------------------ */

size_t qk_stack_rows(size_t d, size_t k)
{
    return d > 2 * k ? d : 2 * k;
}

size_t qk_stack_work(size_t d, size_t k)
{
    return qk_qr_work(qk_stack_rows(d, k), 2 * k) + 4 * k * k + 2 * k;
}

enum qk_code qk_stack_factor(size_t d, size_t k, double *stack, double *r, double *work, struct qk_err *err)
{
    size_t rows = qk_stack_rows(d, k), n = 2 * k;
    double *pivoted = work, *rest = work + n * n + n;
    size_t *jpvt = (size_t *)(void *)(work + n * n);
    _Static_assert(sizeof(size_t) <= sizeof(double), "pivots share the workspace");
    QK_TRY(qk_qr_pivot(rows, n, stack, rows, pivoted, n, jpvt, rest, err));
    for (size_t c = 0; c < n; c++) {
        memcpy(r + jpvt[c] * n, pivoted + c * n, n * sizeof(*r));
    }
    return QK_OK;
}

/* Column c of half h, after turning by the pairs: into dst (n). */
static void copy_column(size_t n, const double *r, size_t column, double *dst)
{
    memcpy(dst, r + column * n, n * sizeof(*dst));
}

/* Turns both halves' columns of r (n, n) in place. */
static void turn_columns(size_t k, double *r, const struct qk_pairs *pairs, double tau)
{
    size_t n = 2 * k;
    for (size_t half = 0; half < 2; half++) {
        for (size_t p = 0; p < pairs->n_rotary; p++) {
            double c = cos(tau * pairs->freq[p]), s = sin(tau * pairs->freq[p]);
            double *x = r + (half * k + pairs->i[p]) * n, *y = r + (half * k + pairs->j[p]) * n;
            for (size_t row = 0; row < n; row++) {
                double old = x[row];
                x[row] = c * old - s * y[row];
                y[row] = s * old + c * y[row];
            }
        }
    }
}

double qk_stack_norm(size_t k, const double *rq, const double *rk, const struct qk_pairs *pairs, double tau,
                     const size_t *only, size_t n_only, double *work)
{
    size_t n = 2 * k, used = only == NULL ? k : n_only;
    double *x = work, *y = work + n * n, *product = work + 2 * n * n;
    memcpy(y, rk, n * n * sizeof(*y));
    if (pairs != NULL && tau != 0.0) {
        turn_columns(k, y, pairs, tau);
    }
    for (size_t half = 0; half < 2; half++) {
        for (size_t c = 0; c < used; c++) {
            size_t from = half * k + (only == NULL ? c : only[c]), to = half * used + c;
            copy_column(n, rq, from, x + to * n);
            memmove(y + to * n, y + from * n, n * sizeof(*y));
        }
    }
    qk_gemm(false, true, n, n, 2 * used, 1.0, x, n, y, n, 0.0, product, n);
    return qk_norm2(n * n, product);
}
