/* Contrast with the rest of the layer: did routing (Q, K) move, or extraction (V, O), or everything? */
#include <math.h>
#include <string.h>

#include "analyses/drift.h"
#include "analyses/metric.h"
#include "model/model.h"

static const char *const module_names[] = {"q",      "k",        "v",       "o",     "gate", "mlp_gate",
                                           "mlp_up", "mlp_down", "norms",   "decay", "beta", "conv",
                                           "router", "ssm",      "qk_bias", "other"};
enum { N_MODULES = sizeof(module_names) / sizeof(module_names[0]) };

static const char *const outer_names[] = {"embedding", "final_norm", "lm_head", "other"};
enum { N_OUTER = sizeof(outer_names) / sizeof(outer_names[0]) };

/* Both kinds of norm weights are one module; every other role is the module of its name. */
static const char *module_of(enum qk_role role)
{
    return role == QK_ROLE_QK_NORM || role == QK_ROLE_NORM ? "norms" : qk_role_name(role);
}

size_t qk_module_count(void)
{
    return N_MODULES;
}

const char *qk_module_name(size_t module)
{
    return module_names[module];
}

size_t qk_module_of_role(unsigned role)
{
    const char *name = module_of((enum qk_role)role);
    size_t i = 0;
    while (i + 1 < N_MODULES && strcmp(module_names[i], name) != 0) {
        i++;
    }
    return i;
}

size_t qk_outer_count(void)
{
    return N_OUTER;
}

const char *qk_outer_name(size_t outer)
{
    return outer_names[outer];
}

size_t qk_outer_of_role(const char *role)
{
    size_t i = 0;
    while (i + 1 < N_OUTER && strcmp(outer_names[i], role) != 0) {
        i++;
    }
    return i;
}

static enum qk_state rel_drift(const struct qk_drift_unit *unit, double *dst)
{
    const struct qk_module_sum *sum = unit->module;
    if (!sum->present) {
        return QK_STATE_NOT_APPLICABLE;
    }
    if (!sum->finite || !(sum->base2 > 0.0)) {
        return QK_STATE_UNDEFINED;
    }
    *dst = sqrt(sum->delta2) / sqrt(sum->base2);
    return QK_STATE_DEFINED;
}

static const struct qk_metric rows[] = {
    {.name = "module_rel_drift",
     .group = "drift",
     .title = "Relative drift by module",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"layer", "module"},
     .definition =
         "‖ΔW‖_F / ‖W0‖_F over all tensors of the layer that play the module's role (fused tensors cut by row)",
     .meaning = "Tells whether routing (q, k) or extraction (v, o) moved, and what else in the layer did.",
     .source = "arXiv:2606.11052, section on routing and extraction",
     .invariances = QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_MODULE,
     .needs = QK_NEED_MODULE | QK_NEED_GRAM, /* sums of Q and K are those of the heads, alone as among others */
     .value = rel_drift},
    {.name = "outer_rel_drift",
     .group = "drift",
     .title = "Relative drift outside the layers",
     .units = "1",
     .lo = 0.0,
     .hi = INFINITY,
     .dims = {"outer"},
     .definition = "‖ΔW‖_F / ‖W0‖_F over all tensors outside the layers that play the role",
     .meaning = "Drift of embedding, final norm and head, for comparison with the layers.",
     .source = "arXiv:2606.11052, section on routing and extraction",
     .invariances = QK_INV_COMMON_SCALE,
     .scope = QK_SCOPE_OUTER,
     .needs = QK_NEED_OUTER,
     .value = rel_drift},
};

const struct qk_analysis qk_analysis_module_drift = {
    .name = "module_drift",
    .title = "Contrast with the rest of the layer",
    .n_metrics = sizeof(rows) / sizeof(rows[0]),
    .metrics = rows,
};
