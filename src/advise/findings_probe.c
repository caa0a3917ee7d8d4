/* Findings from probes: which heads lost the needle, far attention or range, and whether the model still speaks. */
#include <math.h>

#include "finding_table.h"

/* What makes a head a retrieval head: Wu et al. 2024 take heads from a retrieval score of 0.1 on. */
static const double retrieval_head = 0.1;

static double needle_loss(const struct qk_evidence *e, size_t layer, size_t head)
{
    double base =
        fmax(qk_evidence_at(e, QK_DATUM_BASE_NEEDLE, layer, head), qk_evidence_at(e, QK_DATUM_BASE_SCORE, layer, head));
    return base >= retrieval_head ? qk_evidence_needle_loss(e, layer, head) : (double)NAN;
}

static double far_lost(const struct qk_evidence *e, size_t layer, size_t head)
{
    return qk_evidence_at(e, QK_DATUM_TAIL_LOSS_LO, layer, head);
}

/* Not where the attention beyond the sink grew: there the mean distance fell because the sink did. */
static double range_lost(const struct qk_evidence *e, size_t layer, size_t head)
{
    bool far_grew = qk_evidence_at(e, QK_DATUM_TAIL_LOSS_HI, layer, head) < 0.0;
    return far_grew ? (double)NAN : -qk_evidence_at(e, QK_DATUM_SHIFT_HI, layer, head);
}

static double sink_growth(const struct qk_evidence *e, size_t layer, size_t head)
{
    return qk_evidence_at(e, QK_DATUM_TUNED_SINK, layer, head) - qk_evidence_at(e, QK_DATUM_BASE_SINK, layer, head);
}

static double over_guessing(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return e->vocab_size > 1.0 ? qk_evidence_nll(e, false) / log(e->vocab_size) : (double)NAN;
}

/* Weights that are no numbers, or overflow: no probe of two tokens or more has a loss. */
static double base_broken(const struct qk_evidence *e, size_t layer, size_t head)
{
    const struct qk_cells *nll = &e->data[QK_DATUM_BASE_NLL];
    size_t n_finite = 0;
    (void)layer;
    (void)head;
    for (size_t i = 0; i < nll->n_rows; i++) {
        n_finite += isfinite(qk_cells_at(nll, i, 0, 0)) ? 1u : 0u;
    }
    return nll->n_rows > 0 && n_finite == 0 && e->longest_probe > 1.0;
}

static double nll_growth(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return qk_evidence_nll(e, false) - qk_evidence_nll(e, true);
}

static double no_probe(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return !e->has_probe;
}

static double no_needle(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return e->has_probe && !e->has_needle;
}

static double context_over_probe(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return e->has_probe && e->longest_probe > 0.0 ? e->max_position / e->longest_probe : (double)NAN;
}

static double one_probe(const struct qk_evidence *e, size_t layer, size_t head)
{
    (void)layer;
    (void)head;
    return e->has_probe && e->n_probes == 1;
}

const struct qk_finding_rule qk_probe_findings[] = {
    {.id = "model-broken",
     .severity = QK_SEVERITY_ALARM,
     .scope = QK_FINDING_RUN,
     .metrics = "nll, vocab_size",
     .rule = "mean nll of the tuned checkpoint on the probes over ln(vocabulary), infinite where it is not a number",
     .threshold = 2.0,
     .basis = "twice the loss of uniform guessing",
     .title = "the tuned checkpoint does not predict the probes at all",
     .advice = "A damaged file, another tokenizer, or numbers that overflow: nothing else here means anything until "
               "that is found.",
     .value = over_guessing},
    {.id = "base-broken",
     .severity = QK_SEVERITY_ALARM,
     .scope = QK_FINDING_RUN,
     .metrics = "nll",
     .rule = "1 where the nll of the base is a number on none of the probes",
     .threshold = 1.0,
     .basis = "what the run holds",
     .title = "the base predicts none of the probes: its forward pass gives no numbers",
     .advice =
         "A damaged file, or weights that overflow: there is nothing to compare with and nothing to restore from.",
     .value = base_broken},
    {.id = "needle-lost",
     .severity = QK_SEVERITY_ALARM,
     .scope = QK_FINDING_HEAD,
     .metrics = "retrieval_mass, retrieval_score",
     .rule = "fall of the attention on the needle (or of the retrieval score) against the base, at the lower end of "
             "its 95 % interval over the probes, heads with at least 0.1 in the base",
     .threshold = 0.1,
     .basis = "interval over the probes; arXiv:2404.15574: heads from a retrieval score of 0.1 on are retrieval heads",
     .title = "retrieval heads lost attention on the needle",
     .advice = "These heads bring facts back from far away; their layers are the first to restore.",
     .value = needle_loss},
    {.id = "far-attention-lost",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_HEAD,
     .metrics = "tail_loss_lo",
     .rule = "lower end of the 95 % interval of the share of far attention that is gone",
     .threshold = 0.1,
     .basis = "interval over the probes, and at least a tenth",
     .title = "heads lost far attention",
     .advice = "Routing was retrained on short range here; restore the layers that the plan names.",
     .value = far_lost},
    {.id = "range-lost",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_HEAD,
     .metrics = "distance_shift_hi, tail_loss_hi",
     .rule = "minus the upper end of the 95 % interval of the distance shift, log2 tokens; not where far attention "
             "beyond the sink grew",
     .threshold = 0.1,
     .basis = "interval over the probes, and at least 7 % of the distance",
     .title = "heads look less far back",
     .advice = "Routing was retrained on short range here; restore the layers that the plan names.",
     .value = range_lost},
    {.id = "sink-grew",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_HEAD,
     .metrics = "sink_mass",
     .rule = "growth of the attention on the first keys against the base",
     .threshold = 0.1,
     .basis = "convention: a tenth of a head's attention",
     .title = "heads moved attention to the sink",
     .advice = "A head on the sink brings nothing back; plain mean distances of these heads are inflated.",
     .value = sink_growth},
    {.id = "worse-than-guessing",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "nll, vocab_size",
     .rule = "mean nll of the tuned checkpoint on the probes over ln(vocabulary)",
     .above = true,
     .threshold = 1.0,
     .basis = "uniform guessing",
     .title = "the tuned checkpoint predicts the probes worse than guessing",
     .advice = "Either it is damaged or it was tuned far away from such text; qkscope generate on a prompt of its "
               "own kind shows which.",
     .value = over_guessing},
    {.id = "nll-jumped",
     .severity = QK_SEVERITY_WARNING,
     .scope = QK_FINDING_RUN,
     .metrics = "nll",
     .rule = "growth of the mean nll on the probes against the base, nats per token",
     .threshold = 1.0,
     .basis = "convention: perplexity times e",
     .title = "the tuned checkpoint predicts the probes much worse than the base",
     .advice = "Fine-tuning moved it away from this kind of text as a whole; routing is at most a part of the loss.",
     .value = nll_growth},
    {.id = "no-probe-data",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "distance_shift, retrieval_mass",
     .rule = "1 for a run without probes of this checkpoint against its base",
     .threshold = 1.0,
     .basis = "what the run holds",
     .title = "attention was not measured",
     .advice = "Which heads lost range, and whether any did, cannot be known from weights; qkscope probe BASE TUNED "
               "tells, and merge joins it with this run.",
     .value = no_probe},
    {.id = "no-needle",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "retrieval_mass",
     .rule = "1 for probes without a marked needle",
     .threshold = 1.0,
     .basis = "what the run holds",
     .title = "the probes have no needle",
     .advice = "Retrieval heads cannot be told from others; probes with needle spans show them.",
     .value = no_needle},
    {.id = "one-probe",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "distance_shift_lo, distance_shift_hi",
     .rule = "1 for a run with a single probe",
     .threshold = 1.0,
     .basis = "an interval needs two",
     .title = "there is only one probe, so losses have no interval",
     .advice = "Scores take the values as they are; more probes tell loss from chance.",
     .value = one_probe},
    {.id = "short-probes",
     .severity = QK_SEVERITY_INFO,
     .scope = QK_FINDING_RUN,
     .metrics = "max_position, lengths",
     .rule = "the model's context over the longest probe",
     .threshold = 4.0,
     .basis = "convention; arXiv:2606.11052 finds the loss to grow with the context",
     .title = "the probes are much shorter than the model's context",
     .advice = "Losses at long range are not seen; longer probes may rank other layers first.",
     .value = context_over_probe},
};
const size_t qk_n_probe_findings = sizeof qk_probe_findings / sizeof qk_probe_findings[0];
