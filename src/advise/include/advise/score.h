/* The score of a restore unit: how much measured routing loss sits on drift that can be put back.
 *
 * Per query head h, from the run's datasets:
 *
 *   routing loss  P = max(needle, far, shift), each clipped to [0, 1], each at the cautious end of its interval:
 *     needle = fall of retrieval_mass (or of retrieval_score), lower end (qk_evidence_needle_loss)
 *     far    = tail_loss_lo, the share of far attention that is gone
 *     shift  = 1 − 2^distance_shift_hi, the share of the mean distance that is gone; 0 where the whole interval
 *              of tail_loss is below 0 (far attention grew: it is the sink that shrank)
 *
 *   drift  D = x / (1 + x), x = r · sqrt(1 − a), r = qk_eff_rel_drift (else qk_rel_drift),
 *     a = alignable share of Q and K together; D = 0 where both are at the rounding floor or unchanged
 *
 *   score  S = sqrt(P · D) with probe and drift data, P without drift data, D without probe data
 *
 * A run without probe data may come with a list of the base's retrieval heads (advise/head_list.h). P is then the
 * head's score on it, what there was to lose, and S = sqrt(P · D).
 *
 * A unit (KV group, layer) has the score of its highest head, so a layer's is that of its highest group. S is in
 * [0, 1], rises with every loss and with the drift, falls with the alignable share, and is 0 when either P or D is:
 * nothing was lost, or nothing can be put back. Scores made with different data are not comparable.
 *
 * All functions are pure. */
#ifndef QK_ADVISE_SCORE_H
#define QK_ADVISE_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#include "advise/evidence.h"

enum qk_score_basis { QK_BASIS_BOTH, QK_BASIS_DRIFT, QK_BASIS_PROBE, QK_BASIS_LISTED, QK_N_SCORE_BASES };
/* "probe and drift" "drift only" "probe only" "list of heads and drift" */
const char *qk_score_basis_name(enum qk_score_basis basis);

/* What a head's routing loss comes from. */
enum qk_loss_kind { QK_LOST_NOTHING, QK_LOST_NEEDLE, QK_LOST_FAR, QK_LOST_RANGE, QK_LOST_LISTED };

/* P from its parts; NaN parts count as not measured. NaN when none was. needle_lo, tail_lo, tail_hi: shares; shift_hi:
 * log2 tokens. *ret_kind (may be NULL): the part that decided. */
double qk_score_routing_loss(double needle_lo, double tail_lo, double tail_hi, double shift_hi,
                             enum qk_loss_kind *ret_kind);
/* D from r ≥ 0 and a in [0, 1] (NaN a counts as 0); NaN r gives NaN. */
double qk_score_drift(double rel_drift, double alignable);
/* S. NaN when a part that the basis needs is. */
double qk_score_combine(enum qk_score_basis basis, double routing_loss, double drift);

struct qk_head_score {
    double routing_loss; /* P, NaN: not probed, not listed */
    double drift;        /* D, NaN: not compared */
    double alignable;    /* a, NaN: unknown */
    double score;        /* S, NaN: lacks a part that the basis needs */
    bool at_floor;
    enum qk_loss_kind lost;
};
/* What the run can be scored with: what has_drift, has_probe and listed say. */
enum qk_score_basis qk_score_basis_of(const struct qk_evidence *e);
struct qk_head_score qk_score_head(const struct qk_evidence *e, enum qk_score_basis basis, size_t layer, size_t head);

#endif
