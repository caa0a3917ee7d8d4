/* What an alignment means for the parts of a layer that it does not change: see repair/align.h. */
#include "repair/align.h"

static bool rotates(const struct qk_layer *layer, const struct qk_plan_unit *unit)
{
    (void)layer;
    return unit->action == QK_PLAN_ALIGN && unit->method == QK_PLAN_ROTATE;
}

static bool rotates_before_norm(const struct qk_layer *layer, const struct qk_plan_unit *unit)
{
    return rotates(layer, unit) && layer->qk_norm_kind != QK_QK_NORM_NONE;
}

static bool rotates_linear(const struct qk_layer *layer, const struct qk_plan_unit *unit)
{
    return rotates(layer, unit) && (layer->kind == QK_LAYER_LINEAR || layer->kind == QK_LAYER_SSM);
}

static bool pro_without_key(const struct qk_layer *layer, const struct qk_plan_unit *unit)
{
    (void)layer;
    return unit->action == QK_PLAN_ALIGN && unit->method == QK_PLAN_QK_PRO && (unit->tensors & QK_PLAN_K) == 0;
}

static const struct {
    bool (*applies)(const struct qk_layer *layer, const struct qk_plan_unit *unit);
    const char *text;
} notices[] = {
    {rotates_before_norm,
     "the q/k norm keeps its weights and meets rotated dimensions: a head's length is unchanged, but a weight per "
     "dimension does not commute with the rotation unless it is the same for all dimensions that turn into each other"},
    {rotates_linear, "what follows the projections of this linear layer (short convolution, activation) works "
                     "dimension by dimension and does not commute with the rotation"},
    {pro_without_key, "qk-pro's Q is the solution for the base's K, and K is left tuned"},
};

void qk_align_notice(const struct qk_layer *layer, const struct qk_plan_unit *unit, struct qk_str *out)
{
    for (size_t i = 0; i < sizeof notices / sizeof notices[0]; i++) {
        if (notices[i].applies(layer, unit)) {
            qk_str_addf(out, "layer %zu: %s\n", layer->index, notices[i].text);
        }
    }
}
