/* Findings from the weights: what moved, by how much against rounding, against the rest of the model, and in what way.
 */
#include <math.h>
#include <string.h>

#include "finding_table.h"

/* Mean over the layers in which a value exists; NaN when it exists in none. */
typedef double (*layer_value)(const struct qk_evidence *e, size_t layer);

static double mean_over_layers(const struct qk_evidence *e, layer_value value)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t l = 0; l < e->n_layers; l++) {
        double v = value(e, l);
        if (isfinite(v)) {
            sum += v;
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* a / b; NaN where b is 0 or missing. */
static double ratio(double a, double b)
{
    return b > 0.0 ? a / b : (double)NAN;
}

static double larger_module(const struct qk_evidence *e, size_t layer, const char *a, const char *b)
{
    return fmax(qk_evidence_module(e, layer, a), qk_evidence_module(e, layer, b));
}

static double mean_module(const struct qk_evidence *e, size_t layer, const char *a, const char *b)
{
    return 0.5 * (qk_evidence_module(e, layer, a) + qk_evidence_module(e, layer, b));
}

static double layer_qk(const struct qk_evidence *e, size_t layer)
{
    return mean_module(e, layer, "q", "k");
}

static double softmax_qk(const struct qk_evidence *e, size_t layer)
{
    return qk_evidence_is_full(e, layer) ? layer_qk(e, layer) : (double)NAN;
}

static double softmax_vo(const struct qk_evidence *e, size_t layer)
{
    return qk_evidence_is_full(e, layer) ? mean_module(e, layer, "v", "o") : (double)NAN;
}

static double recurrent_qk(const struct qk_evidence *e, size_t layer)
{
    enum qk_layer_kind kind = e->layers[layer].kind;
    return kind == QK_LAYER_LINEAR || kind == QK_LAYER_SSM ? layer_qk(e, layer) : (double)NAN;
}

static double layer_mlp(const struct qk_evidence *e, size_t layer)
{
    return larger_module(e, layer, "mlp_up", "mlp_down");
}

static double outer(const struct qk_evidence *e, const char *name)
{
    const struct qk_cells *cells = &e->data[QK_DATUM_OUTER];
    const struct qk_node *names = cells->node != NULL ? qk_table_find(e->table, cells->node->dims[0]) : NULL;
    for (size_t i = 0; names != NULL && names->type == QK_TYPE_STR && i < names->n_values; i++) {
        if (names->v.str[i] != NULL && strcmp(names->v.str[i], name) == 0) {
            return qk_cells_at(cells, i, 0, 0);
        }
    }
    return NAN;
}

/* ---- the numbers ------------------------------------------------------------------------------------------------ */

static double undefined(const struct qk_evidence *e, size_t layer, size_t head)
{
    return qk_evidence_at(e, QK_DATUM_QK_STATE, layer, head) == (double)QK_STATE_UNDEFINED;
}

static double share_at_floor(const struct qk_evidence *e, size_t layer, size_t head)
{
    size_t n = 0, at_floor = 0;
    (void)head;
    for (size_t h = 0; h < e->layers[layer].n_heads; h++) {
        n += isfinite(qk_evidence_at(e, QK_DATUM_Q_FLOOR, layer, h));
        at_floor += qk_evidence_at_floor(e, layer, h);
    }
    return n > 0 ? (double)at_floor / (double)n : (double)NAN;
}

static double layers_at_floor(const struct qk_evidence *e, size_t layer, size_t head)
{
    size_t n = 0, at_floor = 0;
    (void)layer;
    (void)head;
    for (size_t l = 0; l < e->n_layers; l++) {
        double share = share_at_floor(e, l, 0);
        n += isfinite(share);
        at_floor += share >= 1.0;
    }
    return n > 0 ? (double)at_floor / (double)n : (double)NAN;
}

static double routing_over_extraction(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return ratio(mean_over_layers(e, softmax_qk), mean_over_layers(e, softmax_vo));
}

static double extraction_over_routing(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return ratio(mean_over_layers(e, softmax_vo), mean_over_layers(e, softmax_qk));
}

static double recurrent_over_softmax(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return ratio(mean_over_layers(e, recurrent_qk), mean_over_layers(e, softmax_qk));
}

static double rest_over_routing(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    double rest = fmax(mean_over_layers(e, layer_mlp), outer(e, "embedding"));
    return ratio(rest, mean_over_layers(e, layer_qk));
}

static double layer_alignable(const struct qk_evidence *e, size_t layer, size_t head)
{
    double sum = 0.0;
    size_t n = 0;
    (void)head;
    for (size_t h = 0; h < e->layers[layer].n_heads; h++) {
        double share = qk_evidence_alignable(e, layer, h);
        if (isfinite(share) && !qk_evidence_at_floor(e, layer, h)) {
            sum += share;
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* Mean over the coordinates of a third axis on either side of a border; low: up to it, else from it on. */
static double mean_beyond(const struct qk_evidence *e, const struct qk_cells *cells, const double *coordinate,
                          size_t layer, size_t head, bool low, double border)
{
    double sum = 0.0;
    size_t n = 0;
    (void)e;
    for (size_t i = 0; i < cells->depth; i++) {
        double v = qk_cells_at(cells, layer, head, i), x = coordinate[i];
        if (isfinite(v) && isfinite(x) && (low ? x <= border : x >= border)) {
            sum += v;
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

enum { MOST_COORDINATES = 512 };
static const double near_tokens = 16.0, far_tokens = 512.0;

static double far_over_near(const struct qk_evidence *e, size_t layer, size_t head)
{
    const struct qk_cells *cells = &e->data[QK_DATUM_DISTANCE];
    const struct qk_node *tau = cells->node != NULL ? qk_table_find(e->table, cells->node->dims[2]) : NULL;
    double x[MOST_COORDINATES];
    bool usable = e->layers[layer].has_rope && tau != NULL && tau->type == QK_TYPE_I64 &&
                  tau->n_values == cells->depth && cells->depth <= MOST_COORDINATES &&
                  !qk_evidence_at_floor(e, layer, head);
    for (size_t i = 0; usable && i < cells->depth; i++) {
        x[i] = (double)tau->v.i64[i];
    }
    return usable ? ratio(mean_beyond(e, cells, x, layer, head, false, far_tokens),
                          mean_beyond(e, cells, x, layer, head, true, near_tokens))
                  : (double)NAN;
}

static double slow_over_fast(const struct qk_evidence *e, size_t layer, size_t head)
{
    const struct qk_cells *cells = &e->data[QK_DATUM_BAND];
    const struct qk_node *waves = qk_table_find(e->table, "/model/qk_band_wavelength");
    bool usable = e->layers[layer].has_rope && waves != NULL && waves->type == QK_TYPE_F64 && waves->n_dims == 2 &&
                  waves->shape[0] == e->n_layers && waves->shape[1] == cells->depth &&
                  !qk_evidence_at_floor(e, layer, head);
    const double *x = usable ? waves->v.f64 + layer * cells->depth : NULL;
    return usable ? ratio(mean_beyond(e, cells, x, layer, head, false, far_tokens),
                          mean_beyond(e, cells, x, layer, head, true, near_tokens))
                  : (double)NAN;
}

static double qk_norms(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)head;
    return e->layers[layer].has_qk_norm ? qk_evidence_module(e, layer, "norms") : (double)NAN;
}

static double other_norms(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)head;
    bool relevant = qk_evidence_has_qk(e, layer) && !e->layers[layer].has_qk_norm;
    return relevant ? qk_evidence_module(e, layer, "norms") : (double)NAN;
}

static double biases(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)head;
    return qk_evidence_module(e, layer, "qk_bias");
}

static double pure_softmax(const struct qk_evidence *e, size_t layer, size_t head)
{
    size_t n_softmax = 0;
    (void)layer;
    (void)head;
    for (size_t l = 0; l < e->n_layers; l++) {
        if (e->layers[l].kind == QK_LAYER_LINEAR || e->layers[l].kind == QK_LAYER_SSM) {
            return 0.0;
        }
        n_softmax += e->layers[l].n_heads > 0;
    }
    return n_softmax > 0;
}

static double no_drift(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return !e->has_drift;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

const struct qk_finding_rule qk_drift_findings[] = {
    {.id = "weights-undefined",
     .severity = QK_SEVERITY_ALARM,
     .scope = QK_FINDING_HEAD,
     .metrics = "qk_rel_drift_state",
     .rule = "1 where the drift of a head's routing form is undefined",
     .threshold = 1.0,
     .basis = "state of the metric, no choice",
     .title = "NaN or infinity in W_Q or W_K, or a base of norm zero",
     .advice = "One of the two checkpoints is damaged here; check the files before anything else.",
     .value = undefined},
    {.id = "nothing-drifted",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "q_at_noise_floor, k_at_noise_floor",
     .rule = "share of layers in which W_Q and W_K of all heads are unchanged or within 3 rounding floors",
     .threshold = 1.0,
     .basis = "noise floor: what storing the weights in their type gives by itself",
     .title = "W_Q and W_K did not move beyond rounding in any layer",
     .advice = "There is nothing to restore: look for the cause elsewhere.",
     .value = layers_at_floor},
    {.id = "layer-at-rounding-floor",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_LAYER,
     .metrics = "q_at_noise_floor, k_at_noise_floor",
     .rule = "share of a layer's heads whose W_Q and W_K are unchanged or within 3 rounding floors",
     .threshold = 1.0,
     .basis = "noise floor: what storing the weights in their type gives by itself",
     .title = "layers whose W_Q and W_K did not move beyond rounding",
     .advice = "Restoring these layers changes nothing; the plan keeps them.",
     .value = share_at_floor},
    {.id = "routing-moved-more",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "module_rel_drift",
     .rule = "mean drift of q and k over mean drift of v and o, softmax layers",
     .threshold = 1.25,
     .basis = "convention: a quarter more; arXiv:2606.11052 explains why routing is hit first",
     .title = "in softmax layers W_Q and W_K moved more than W_V and W_O",
     .advice = "The drift is where QK-Restore works.",
     .value = routing_over_extraction},
    {.id = "extraction-moved-more",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "module_rel_drift",
     .rule = "mean drift of v and o over mean drift of q and k, softmax layers",
     .threshold = 1.25,
     .basis = "convention: a quarter more",
     .title = "in softmax layers W_V and W_O moved more than W_Q and W_K",
     .advice = "What is brought back from a position changed more than where to look; restoring W_Q and W_K alone may "
               "bring back little.",
     .value = extraction_over_routing},
    {.id = "rest-moved-too",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "module_rel_drift, outer_rel_drift",
     .rule = "the larger of mean MLP drift and embedding drift, over mean drift of q and k, all layers",
     .threshold = 0.5,
     .basis = "convention: half as much; in a full fine-tune it is near 1, in an adapter on attention 0",
     .title = "MLP or embedding moved about as much as W_Q and W_K",
     .advice = "Weights alone cannot say whether routing is the cause of a loss; run recommend --measure, which tries "
               "it, before promising a rescue.",
     .value = rest_over_routing},
    {.id = "linear-layers-moved",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "module_rel_drift",
     .rule = "mean drift of q and k in linear and state-space layers over that in softmax layers",
     .threshold = 0.5,
     .basis = "convention: half as much",
     .title = "W_Q and W_K of the linear layers moved too",
     .advice = "Restoring the softmax layers, the paper's set, leaves that drift in place; --units all considers the "
               "linear layers as well, and only a measurement tells what it costs in reasoning.",
     .value = recurrent_over_softmax},
    {.id = "mostly-rotation",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_LAYER,
     .metrics = "q_alignable, k_alignable, q_norm_delta, k_norm_delta",
     .rule = "mean over heads of the share of the drift that rotations of the heads' bases explain",
     .threshold = 0.5,
     .basis = "convention: more than the rest",
     .title = "most of the drift is a rotation of the heads' own bases",
     .advice = "Turning the bases back (align, method rotate) undoes it with less change than restoring.",
     .value = layer_alignable},
    {.id = "far-drift",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_HEAD,
     .metrics = "qk_distance_drift",
     .rule = "mean drift at distances of 512 tokens and more over that at 16 and less, layers with RoPE",
     .threshold = 1.5,
     .basis = "convention: half as much again",
     .title = "the routing form moved more at long distances than at short ones",
     .advice = "From the weights alone these heads are the likeliest to have lost range; probes confirm it.",
     .value = far_over_near},
    {.id = "slow-bands-drift",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_HEAD,
     .metrics = "qk_band_drift",
     .rule = "mean drift of frequency pairs with wavelengths of 512 tokens and more over that of 16 and less",
     .threshold = 1.5,
     .basis = "convention: half as much again",
     .title = "the slow frequency pairs of RoPE moved more than the fast ones",
     .advice = "The slow pairs tell far positions apart and carry content; look at the figure qk-band-drift.",
     .value = slow_over_fast},
    {.id = "qk-norms-changed",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_LAYER,
     .metrics = "module_rel_drift (norms)",
     .rule = "drift of the norm weights of layers with q/k norms",
     .above = true,
     .threshold = 0.0,
     .basis = "exact comparison",
     .title = "norm weights changed in layers that normalise queries and keys",
     .advice = "Restored W_Q and W_K would meet tuned norm weights: add --with q_norm,k_norm, or compare both.",
     .value = qk_norms},
    {.id = "input-norms-changed",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_LAYER,
     .metrics = "module_rel_drift (norms)",
     .rule = "drift of the norm weights of layers without q/k norms",
     .above = true,
     .threshold = 0.0,
     .basis = "exact comparison",
     .title = "norm weights changed, among them those in front of W_Q and W_K",
     .advice =
         "Restored weights will see inputs of another scale; qk_eff_rel_drift, which the score uses, counts this.",
     .value = other_norms},
    {.id = "qk-biases-changed",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_LAYER,
     .metrics = "module_rel_drift (qk_bias)",
     .rule = "drift of the biases of Q and K",
     .above = true,
     .threshold = 0.0,
     .basis = "exact comparison",
     .title = "biases of Q and K changed",
     .advice = "restore puts them back together with their matrices; nothing needs to be asked for.",
     .value = biases},
    {.id = "pure-softmax-model",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "layer_kind",
     .rule = "1 for a model without linear or state-space layers",
     .threshold = 1.0,
     .basis = "arXiv:2606.11052: Mistral-7B on NIAH-S3 at 64K went from 81.0 to 4.8 % by fine-tuning and to 5.4 % by "
              "QK-Restore",
     .title = "all layers are softmax attention, where the method rarely helps",
     .advice = "Do not promise a rescue: in the paper's pure softmax model almost nothing came back.",
     .value = pure_softmax},
    {.id = "no-drift-data",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "qk_rel_drift, qk_eff_rel_drift",
     .rule = "1 for a run without /drift of this checkpoint",
     .threshold = 1.0,
     .basis = "what the run holds",
     .title = "weights were not compared",
     .advice = "Whether W_Q and W_K moved where attention was lost is not known; qkscope drift BASE TUNED tells, and "
               "merge joins it with this run.",
     .value = no_drift},
};
const size_t qk_n_drift_findings = sizeof qk_drift_findings / sizeof qk_drift_findings[0];
