/* The vectorised exponential: see exp_value.h for the method. */
#include "exp_value.h"
#include "forward/kernels.h"

QK_BODY void qk_exp_body(size_t n, float *x)
{
    size_t i = 0;
    for (; i + QK_LANES <= n; i += QK_LANES) {
        for (size_t j = 0; j < QK_LANES; j++) {
            x[i + j] = qk_exp_value(x[i + j]);
        }
    }
    for (; i < n; i++) {
        x[i] = qk_exp_value(x[i]);
    }
}

QK_KERNEL(, qk_exp, (size_t n, float *x), (n, x))
