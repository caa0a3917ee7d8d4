/* The logical matrix that a tensor stores. */
#include "model/builder.h"

void qk_tensor_matrix(const struct qk_tensor *t, bool transposed, uint64_t *ret_rows, uint64_t *ret_cols)
{
    uint64_t cols = t->n_dims >= 2 ? t->shape[t->n_dims - 1] : 1, rows = 1;
    size_t n_outer = t->n_dims >= 2 ? t->n_dims - 1 : t->n_dims;
    for (size_t i = 0; i < n_outer && t->n_elements > 0; i++) {
        rows *= t->shape[i]; /* divides n_elements, so it cannot overflow */
    }
    rows = t->n_elements > 0 ? rows : 0;
    *ret_rows = transposed ? cols : rows;
    *ret_cols = transposed ? rows : cols;
}

void qk_rows_shape(const struct qk_rows *r, uint64_t *ret_rows, uint64_t *ret_cols)
{
    qk_tensor_matrix(r->tensor, r->transposed, ret_rows, ret_cols);
}
