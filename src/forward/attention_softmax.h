/* The row operations of a softmax in pieces. */
#ifndef QK_FORWARD_ATTENTION_SOFTMAX_H
#define QK_FORWARD_ATTENTION_SOFTMAX_H

#include <stddef.h>

/* The largest of most and x; a NaN in x is passed over (qk_row_exp keeps it). */
float qk_row_max(size_t n, const float *x, float most);
struct qk_row_sums {
    double sum;      /* Σ e */
    double weighted; /* Σ e (x − most), 0 for what is 0 */
};
/* x := e = exp(x − most), most ≥ x; 0 below exp(−87). Sums of at most eight floats at a time go into doubles, in an
 * order that depends on n alone. */
void qk_row_exp(size_t n, float *x, float most, struct qk_row_sums *ret);
void qk_row_scale(size_t n, float *x, double factor);
/* x := cap · tanh(x / cap). */
void qk_softcap(size_t n, float *x, float cap);

#endif
