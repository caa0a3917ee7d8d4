/* Evidence and reason of a unit: see reason.h. */
#include "reason.h"

#include <math.h>

#include "base/str.h"

/* ---- evidence --------------------------------------------------------------------------------------------------- */

/* What a unit carries, by the deciding head. */
static const struct evidence_row {
    const char *key;
    enum qk_datum datum;
} evidence_rows[] = {
    {"retrieval_mass_base", QK_DATUM_BASE_NEEDLE},
    {"retrieval_mass", QK_DATUM_TUNED_NEEDLE},
    {"retrieval_score_base", QK_DATUM_BASE_SCORE},
    {"retrieval_score", QK_DATUM_TUNED_SCORE},
    {"tail_loss", QK_DATUM_TAIL_LOSS},
    {"tail_loss_lo", QK_DATUM_TAIL_LOSS_LO},
    {"tail_window", QK_DATUM_TAIL_WINDOW},
    {"distance_shift", QK_DATUM_SHIFT},
    {"distance_shift_hi", QK_DATUM_SHIFT_HI},
    {"qk_rel_drift", QK_DATUM_QK_REL},
    {"qk_eff_rel_drift", QK_DATUM_QK_EFF},
};
enum { N_ROWS = sizeof evidence_rows / sizeof evidence_rows[0], N_DERIVED = 6 };

enum qk_code qk_reason_evidence(const struct qk_evidence *e, const struct qk_judged_unit *u, struct qk_arena *arena,
                                struct qk_plan_unit *unit, struct qk_err *err)
{
    struct qk_plan_evidence *list = qk_arena_alloc(arena, N_ROWS + N_DERIVED, sizeof *list);
    if (list == NULL) {
        return qk_fail_nomem(err, "evidence");
    }
    const struct qk_plan_evidence derived[N_DERIVED] = {
        {"head", (double)u->head},
        {"routing_loss", u->of.routing_loss},
        {"drift", u->of.drift},
        {"alignable", u->alignable},
        {"listed_score", qk_evidence_listed(e, u->layer, u->head)},
        {"needle_loss_lo", qk_evidence_needle_loss(e, u->layer, u->head)}};
    size_t n = 0;
    for (size_t i = 0; i < N_DERIVED; i++) {
        if (!isnan(derived[i].value)) {
            list[n++] = derived[i];
        }
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        double value = qk_evidence_at(e, evidence_rows[i].datum, u->layer, u->head);
        if (!isnan(value)) {
            list[n++] = (struct qk_plan_evidence){evidence_rows[i].key, value};
        }
    }
    unit->evidence = list;
    unit->n_evidence = n;
    return QK_OK;
}

/* ---- the sentence ----------------------------------------------------------------------------------------------- */

static void add_needle(struct qk_str *out, const struct qk_evidence *e, size_t layer, size_t head)
{
    double base = qk_evidence_at(e, QK_DATUM_BASE_NEEDLE, layer, head);
    double tuned = qk_evidence_at(e, QK_DATUM_TUNED_NEEDLE, layer, head);
    double base_score = qk_evidence_at(e, QK_DATUM_BASE_SCORE, layer, head);
    double tuned_score = qk_evidence_at(e, QK_DATUM_TUNED_SCORE, layer, head);
    if (isnan(base - tuned) || base_score - tuned_score > base - tuned) {
        qk_str_addf(out, "its retrieval score fell from %.2f to %.2f", base_score, tuned_score);
    } else {
        qk_str_addf(out, "its attention on the needle fell from %.2f to %.2f", base, tuned);
    }
}

static void add_loss(struct qk_str *out, const struct qk_evidence *e, enum qk_score_basis basis,
                     const struct qk_judged_unit *u)
{
    qk_str_addf(out, "head %zu decides: ", u->head);
    if (basis == QK_BASIS_LISTED) {
        qk_str_addf(out, "the list of heads gives it %.2f", u->of.routing_loss);
    } else if (u->of.lost == QK_LOST_NEEDLE) {
        add_needle(out, e, u->layer, u->head);
    } else if (u->of.lost == QK_LOST_FAR) {
        qk_str_addf(out, "it lost %.0f %% of its attention beyond %.0f tokens",
                    100.0 * qk_evidence_at(e, QK_DATUM_TAIL_LOSS, u->layer, u->head),
                    qk_evidence_at(e, QK_DATUM_TAIL_WINDOW, u->layer, u->head));
    } else if (u->of.lost == QK_LOST_RANGE) {
        qk_str_addf(out, "its mean distance shifted by %.2f log2 tokens",
                    qk_evidence_at(e, QK_DATUM_SHIFT, u->layer, u->head));
    } else {
        qk_str_add(out, "it lost nothing on the probes");
    }
}

static void add_drift(struct qk_str *out, const struct qk_evidence *e, const struct qk_judged_unit *u)
{
    double drift = qk_evidence_drift(e, u->layer, u->head);
    if (isnan(drift)) {
        qk_str_add(out, "whether its weights moved is not known");
        return;
    }
    qk_str_addf(out, "its routing form moved by %.1f %%", 100.0 * drift);
    if (!isnan(u->alignable)) {
        qk_str_addf(out, ", and rotations explain %.0f %% of what moved in the unit", 100.0 * u->alignable);
    }
}

static void add_verdict(struct qk_str *out, enum qk_score_basis basis, const struct qk_judged_unit *u)
{
    if (u->beyond_budget) {
        qk_str_add(out, "; kept because the budget goes to units with higher scores");
    } else if (u->action == QK_PLAN_KEEP && basis == QK_BASIS_DRIFT) {
        qk_str_add(out, "; kept because no loss is known without probes, and the paper restores softmax layers only");
    } else if (u->action == QK_PLAN_KEEP && basis == QK_BASIS_LISTED) {
        qk_str_addf(out, "; no head that moved has %.2g or more", QK_LOSS_THRESHOLD);
    } else if (u->action == QK_PLAN_KEEP) {
        qk_str_addf(out, "; no loss of %.2g or more to bring back", QK_LOSS_THRESHOLD);
    } else if (u->action == QK_PLAN_ALIGN && basis == QK_BASIS_LISTED) {
        qk_str_add(out, "; no retrieval head, so turning the bases back is enough");
    } else if (u->action == QK_PLAN_ALIGN) {
        qk_str_add(out, basis == QK_BASIS_DRIFT ? "; turning the bases back is the smaller change, and without probes "
                                                  "no loss is known"
                                                : "; no loss on the probes, so turning the bases back is enough");
    } else if (basis == QK_BASIS_DRIFT) {
        qk_str_add(out, "; whether it lost range cannot be known without probes");
    }
}

const char *qk_reason_sentence(const struct qk_evidence *e, enum qk_score_basis basis, const struct qk_judged_unit *u,
                               struct qk_arena *arena)
{
    struct qk_str out = {0};
    if (u->all_at_floor) {
        qk_str_add(&out, "W_Q and W_K did not move beyond rounding: restoring changes nothing");
    } else if (isnan(u->of.score)) {
        qk_str_addf(&out, "no score: %s",
                    basis == QK_BASIS_DRIFT    ? "its weights were not compared"
                    : basis == QK_BASIS_PROBE  ? "its attention was not measured, or is no number"
                    : basis == QK_BASIS_LISTED ? "it is not on the list of heads, or its weights were not compared"
                                               : "it was not both probed and compared");
    } else if (basis == QK_BASIS_DRIFT) {
        qk_str_addf(&out, "head %zu decides: ", u->head);
        add_drift(&out, e, u);
        add_verdict(&out, basis, u);
    } else {
        add_loss(&out, e, basis, u);
        qk_str_add(&out, "; ");
        add_drift(&out, e, u);
        add_verdict(&out, basis, u);
    }
    qk_str_addc(&out, '.');
    const char *sentence = out.failed ? NULL : qk_arena_strdup(arena, out.s);
    qk_str_release(&out);
    return sentence;
}
