/* Drift of the routing form M = W_Qᵀ W_K per query head: what the attention logits depend on, free of the freedom to
 * choose a basis inside the head. */
#include <math.h>

#include "analyses/drift.h"
#include "analyses/metric.h"

/* Of ‖M0‖²: what is below this is the rounding of a tuned form that (almost) vanished. */
static const double vanished = 1e-13;

static enum qk_state rel_drift(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_routing *r = unit->routing;
    if (!r->finite || !(r->raw.base2 > 0.0)) {
        return QK_STATE_UNDEFINED;
    }
    double value = r->identical ? 0.0 : sqrt(r->raw.delta2) / sqrt(r->raw.base2);
    if (!isfinite(value)) {
        return QK_STATE_NOT_CONVERGED;
    }
    *dst = value;
    return QK_STATE_DEFINED;
}

static enum qk_state cosine(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_routing *r = unit->routing;
    const struct qk_form *m = &r->raw;
    double change2 = 2.0 * m->cross + m->delta2;
    if (!r->finite || !(m->base2 > 0.0)) {
        return QK_STATE_UNDEFINED;
    }
    if (r->identical) {
        *dst = 1.0;
        return QK_STATE_DEFINED;
    }
    if (m->base2 + change2 <= vanished * m->base2) {
        return QK_STATE_UNDEFINED;
    }
    *dst = qk_cosine_from_change(m->base2, m->cross, m->delta2);
    return isnan(*dst) ? QK_STATE_NOT_CONVERGED : QK_STATE_DEFINED;
}

static enum qk_state effective(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_routing *r = unit->routing;
    if (!r->finite || !isfinite(r->effective)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = r->effective;
    return QK_STATE_DEFINED;
}

static const struct qk_metric rows[] = {
    {.name = "qk_rel_drift",
     .group = "drift",
     .title = "Relative drift of the routing form",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition = "‖M1 − M0‖_F / ‖M0‖_F, M_h = W_Q[h]ᵀ W_K[g(h)]",
     .meaning = "Large: the head scores pairs of tokens differently; 0: only its inner basis may have changed.",
     .source = "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (QK circuit)",
     .invariances = QK_INV_GL_K | QK_INV_ROPE_SCALAR | QK_INV_BASIS | QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_QK,
     .needs = QK_NEED_GRAM | QK_NEED_ROUTING,
     .value = rel_drift},
    {.name = "qk_cosine",
     .group = "drift",
     .title = "Cosine between base and tuned routing form",
     .units = "1",
     .lo = -1.0,
     .hi = 1.0,
     .dims = {"layer", "head"},
     .definition = "⟨M0, M1⟩ / (‖M0‖ ‖M1‖); undefined where one of them vanishes",
     .meaning = "1: the same routing up to temperature; 0: unrelated; −1: attends to what it used to avoid.",
     .source = "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (QK circuit)",
     .invariances = QK_INV_GL_K | QK_INV_ROPE_SCALAR | QK_INV_BASIS | QK_INV_COMMON_SCALE | QK_INV_SYMMETRIC,
     .scope = QK_SCOPE_QK,
     .needs = QK_NEED_GRAM | QK_NEED_ROUTING,
     .value = cosine},
    {.name = "qk_eff_rel_drift",
     .group = "drift",
     .title = "Relative drift of the effective routing form",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "head"},
     .definition =
         "‖M̂1 − M̂0‖_F / ‖M̂0‖_F, M̂ = Q̂ᵀ K̂; with the input norm weight g of the own checkpoint Q̂ = W_Q diag(g), "
         "and with a q/k norm Q̂ = √K · diag(w_q) W_Q diag(g) / ‖W_Q diag(g)‖_F, K̂ likewise (a norm over all "
         "heads: w sliced per head, ‖·‖ over all heads, √(H K) and √(G K))",
     .meaning = "Drift of what the model really multiplies; differs from qk_rel_drift where norm weights moved.",
     .source = "Zhang & Sennrich 2019 (RMSNorm); Henry et al. 2020 (query-key normalisation)",
     .invariances = QK_INV_GL_K | QK_INV_ROPE_SCALAR | QK_INV_NORM_SCALE | QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_QK,
     .needs = QK_NEED_GRAM | QK_NEED_ROUTING | QK_NEED_EFFECTIVE,
     .value = effective},
};

const struct qk_analysis qk_analysis_routing_drift = {
    .name = "routing_drift",
    .title = "Drift of the routing form per query head",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
