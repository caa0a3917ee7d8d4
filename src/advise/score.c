/* The score of a restore unit: see advise/score.h. */
#include "advise/score.h"

#include <math.h>

static const char *const basis_names[QK_N_SCORE_BASES] = {
    [QK_BASIS_BOTH] = "probe and drift",
    [QK_BASIS_DRIFT] = "drift only",
    [QK_BASIS_PROBE] = "probe only",
    [QK_BASIS_LISTED] = "list of heads and drift",
};

const char *qk_score_basis_name(enum qk_score_basis basis)
{
    return basis_names[basis];
}

static double clip(double x)
{
    return fmin(fmax(x, 0.0), 1.0);
}

double qk_score_routing_loss(double needle_lo, double tail_lo, double tail_hi, double shift_hi,
                             enum qk_loss_kind *ret_kind)
{
    bool far_grew = tail_hi < 0.0;
    const struct {
        bool measured;
        double loss;
        enum qk_loss_kind kind;
    } parts[] = {
        {!isnan(needle_lo), clip(needle_lo), QK_LOST_NEEDLE},
        {!isnan(tail_lo), clip(tail_lo), QK_LOST_FAR},
        {!isnan(shift_hi), far_grew ? 0.0 : clip(1.0 - exp2(shift_hi)), QK_LOST_RANGE},
    };
    double most = NAN;
    enum qk_loss_kind kind = QK_LOST_NOTHING;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].measured && !(parts[i].loss <= most)) {
            most = parts[i].loss;
            kind = most > 0.0 ? parts[i].kind : QK_LOST_NOTHING;
        }
    }
    if (ret_kind != NULL) {
        *ret_kind = kind;
    }
    return most;
}

double qk_score_drift(double rel_drift, double alignable)
{
    if (isnan(rel_drift)) {
        return NAN;
    }
    double share = sqrt(1.0 - (isnan(alignable) ? 0.0 : clip(alignable)));
    double x = share > 0.0 ? fmax(rel_drift, 0.0) * share : 0.0;
    return isinf(x) ? 1.0 : x / (1.0 + x);
}

double qk_score_combine(enum qk_score_basis basis, double routing_loss, double drift)
{
    return basis == QK_BASIS_DRIFT ? drift : basis == QK_BASIS_PROBE ? routing_loss : sqrt(routing_loss * drift);
}

enum qk_score_basis qk_score_basis_of(const struct qk_evidence *e)
{
    if (e->has_probe) {
        return e->has_drift ? QK_BASIS_BOTH : QK_BASIS_PROBE;
    }
    return e->listed.scores != NULL ? QK_BASIS_LISTED : QK_BASIS_DRIFT;
}

/* P from the probes. */
static double probed_loss(const struct qk_evidence *e, size_t layer, size_t head, enum qk_loss_kind *ret_kind)
{
    /* with one probe there is no interval: the value itself */
    double lo = qk_evidence_at(e, QK_DATUM_TAIL_LOSS_LO, layer, head);
    double hi = qk_evidence_at(e, QK_DATUM_TAIL_LOSS_HI, layer, head);
    double shift = qk_evidence_at(e, QK_DATUM_SHIFT_HI, layer, head);
    double tail = qk_evidence_at(e, QK_DATUM_TAIL_LOSS, layer, head);
    return qk_score_routing_loss(qk_evidence_needle_loss(e, layer, head), isnan(lo) ? tail : lo, isnan(hi) ? tail : hi,
                                 isnan(shift) ? qk_evidence_at(e, QK_DATUM_SHIFT, layer, head) : shift, ret_kind);
}

struct qk_head_score qk_score_head(const struct qk_evidence *e, enum qk_score_basis basis, size_t layer, size_t head)
{
    struct qk_head_score s = {.alignable = qk_evidence_alignable(e, layer, head),
                              .at_floor = qk_evidence_at_floor(e, layer, head)};
    if (basis == QK_BASIS_LISTED) {
        s.routing_loss = qk_evidence_listed(e, layer, head);
        s.lost = s.routing_loss > 0.0 ? QK_LOST_LISTED : QK_LOST_NOTHING;
    } else {
        s.routing_loss = probed_loss(e, layer, head, &s.lost);
    }
    s.drift = qk_score_drift(qk_evidence_drift(e, layer, head), s.alignable);
    if (s.at_floor && !isnan(s.drift)) {
        s.drift = 0.0;
    }
    s.score = qk_score_combine(basis, s.routing_loss, s.drift);
    return s;
}
