/* y = down( function(gate x) ⊙ (up x) ), or down( function(up x) ). */
#include "mlp.h"

#include "mixer.h"
#include "row_blocks.h"

struct activation {
    enum qk_activation act;
    size_t inner;
    float *x;
    const float *y; /* NULL: no gate */
};

static void activate_rows(const void *ctx, size_t first, size_t n)
{
    const struct activation *a = ctx;
    size_t at = first * a->inner;
    if (a->y) {
        qk_activate_mul(a->act, n * a->inner, a->x + at, a->y + at);
    } else {
        qk_activate(a->act, n * a->inner, a->x + at);
    }
}

enum qk_code qk_mlp_run(struct qk_weights *w, struct qk_scratch *scratch, const struct qk_mlp_spec *mlp, size_t n,
                        const float *x, float *y, struct qk_err *err)
{
    size_t mark = scratch->n, inner = mlp->up.n_out;
    float *up = NULL, *gate = NULL;
    QK_TRY(qk_scratch_take(scratch, n, inner, &up, err));
    QK_TRY(qk_weights_project(w, &mlp->up, n, x, up, err));
    if (mlp->gate.n_blocks > 0) {
        QK_TRY(qk_scratch_take(scratch, n, inner, &gate, err));
        QK_TRY(qk_weights_project(w, &mlp->gate, n, x, gate, err));
    }
    struct activation a = {qk_activation_of(mlp->function), inner, gate ? gate : up, gate ? up : NULL};
    QK_TRY(qk_row_blocks(w->pool, n, inner, activate_rows, &a, err));
    QK_TRY(qk_weights_project(w, &mlp->down, n, gate ? gate : up, y, err));
    scratch->n = mark;
    return QK_OK;
}

size_t qk_mlp_floats(const struct qk_mlp_spec *mlp)
{
    return mlp->up.n_out + mlp->gate.n_out;
}
