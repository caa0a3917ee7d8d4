/* y = down( function(gate x) ⊙ (up x) ), or down( function(up x) ). */
#include "mlp.h"

#include "mixer.h"

enum qk_code qk_mlp_run(struct qk_weights *w, struct qk_scratch *scratch, const struct qk_mlp_spec *mlp, size_t n,
                        const float *x, float *y, struct qk_err *err)
{
    size_t mark = scratch->n, inner = mlp->up.n_out;
    enum qk_activation act = qk_activation_of(mlp->function);
    float *up = NULL, *gate = NULL;
    QK_TRY(qk_scratch_take(scratch, n, inner, &up, err));
    QK_TRY(qk_weights_project(w, &mlp->up, n, x, up, err));
    if (mlp->gate.n_blocks > 0) {
        QK_TRY(qk_scratch_take(scratch, n, inner, &gate, err));
        QK_TRY(qk_weights_project(w, &mlp->gate, n, x, gate, err));
        qk_activate_mul(act, n * inner, gate, up);
    } else {
        qk_activate(act, n * inner, up);
    }
    QK_TRY(qk_weights_project(w, &mlp->down, n, gate ? gate : up, y, err));
    scratch->n = mark;
    return QK_OK;
}

size_t qk_mlp_floats(const struct qk_mlp_spec *mlp)
{
    return mlp->up.n_out + mlp->gate.n_out;
}
