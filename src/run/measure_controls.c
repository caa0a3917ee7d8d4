/* Controls: which part of the weights the lost recall comes from. See run/measure.h. */
#include <math.h>
#include <string.h>

#include "measure_run.h"
#include "num/stats.h"

enum { QK = 1 << QK_ROLE_Q | 1 << QK_ROLE_K | 1 << QK_ROLE_QK_BIAS, ALL = (1 << QK_N_ROLES) - 1 };

enum place { BASE, TUNED, SOFTMAX_QK, ALL_QK, ALL_Q, ALL_K, BUT_SOFTMAX_QK, BUT_ALL_QK, V, O, MLP, OUTER, N_PLACES };

/* A control is a mode of all units, or a swap of roles. */
struct control {
    const char *label;
    size_t mode; /* of units; 0: a swap */
    bool full;   /* of softmax layers over all keys alone */
    unsigned roles, elsewhere;
    bool outer;
};

static const struct control controls[N_PLACES] = {
    [BASE] = {.label = "base"},
    [TUNED] = {.label = "tuned"},
    [SOFTMAX_QK] = {.label = "softmax Q/K", .mode = QK_MODE_RESTORE, .full = true},
    [ALL_QK] = {.label = "all Q/K", .mode = QK_MODE_RESTORE},
    [ALL_Q] = {.label = "all Q", .mode = QK_MODE_Q},
    [ALL_K] = {.label = "all K", .mode = QK_MODE_K},
    [BUT_SOFTMAX_QK] =
        {.label = "all but softmax Q/K", .full = true, .roles = ALL & ~QK, .elsewhere = ALL, .outer = true},
    [BUT_ALL_QK] = {.label = "all but Q/K", .roles = ALL & ~QK, .outer = true},
    [V] = {.label = "V", .roles = 1 << QK_ROLE_V},
    [O] = {.label = "O", .roles = 1 << QK_ROLE_O},
    [MLP] = {.label = "MLP",
             .roles = 1 << QK_ROLE_MLP_GATE | 1 << QK_ROLE_MLP_UP | 1 << QK_ROLE_MLP_DOWN | 1 << QK_ROLE_ROUTER},
    [OUTER] = {.label = "embedding and head", .outer = true},
};

size_t qk_measure_n_controls(void)
{
    return N_PLACES;
}

static enum qk_code run_swap(struct qk_measure_run *r, const struct control *c, size_t *ret, struct qk_err *err)
{
    struct qk_variant_swap swap = {.roles = c->roles, .elsewhere = c->elsewhere, .outer = c->outer};
    bool *full = qk_arena_alloc(r->arena, r->tuned->model->n_layers + 1, sizeof *full), differs = false;
    char *key = qk_arena_printf(r->arena, "swap: %s", c->label);
    if (full == NULL || key == NULL) {
        return qk_fail_nomem(err, "controls");
    }
    for (size_t l = 0; l < r->tuned->model->n_layers; l++) {
        full[l] = r->tuned->model->layers[l].kind == QK_LAYER_FULL;
    }
    swap.layers = c->full ? full : NULL;
    QK_TRY(qk_variant_swap_differs(&r->pair, &swap, &differs, err));
    if (!differs) {
        qk_measure_tell(r, "control '%s': fine-tuning left it as it was", c->label);
        return QK_OK;
    }
    struct qk_measure_what what = {
        .label = c->label, .key = key, .stage = QK_STAGE_CONTROL, .swap = &swap, .remember = -1};
    return qk_measure_variant(r, &what, ret, err);
}

static enum qk_code run_control(struct qk_measure_run *r, size_t i, size_t *ret, struct qk_err *err)
{
    const struct control *c = &controls[i];
    if (i == BASE || i == TUNED) {
        struct qk_measure_what what = {.label = c->label,
                                       .key = i == BASE ? "base" : "plan: nothing",
                                       .stage = QK_STAGE_CONTROL,
                                       .model = i == BASE ? r->base->model : r->tuned->model,
                                       .remember = i == BASE ? -1 : 0};
        return qk_measure_variant(r, &what, ret, err);
    }
    if (c->mode == 0) {
        return run_swap(r, c, ret, err);
    }
    const uint8_t *choice = qk_measure_uniform(r, &r->layers, c->full, c->mode);
    return choice == NULL ? qk_fail_nomem(err, "controls")
                          : qk_measure_choice(r, &r->layers, choice, QK_STAGE_CONTROL, c->label, ret, err);
}

/* ---- verdict ---------------------------------------------------------------------------------------------------- */

static const struct qk_outcome *outcome_of(const struct qk_measure_run *r, size_t variant)
{
    return variant == SIZE_MAX ? NULL : r->variants[variant].outcome;
}

/* Hits of a less those of b. */
static double net(const struct qk_outcome *a, const struct qk_outcome *b)
{
    struct qk_gain gain = qk_recall_gain(a, b);
    return (double)gain.won - (double)gain.lost;
}

static struct qk_cause_share share_of(const struct qk_outcome *o, const struct qk_outcome *base,
                                      const struct qk_outcome *tuned)
{
    struct qk_cause_share s = {NAN, NAN, NAN};
    double lost = net(base, tuned);
    if (o != NULL && lost > 0) {
        double back = net(o, tuned);
        s.share = back / lost;
        qk_wilson(fmin(fmax(back, 0), lost), lost, &s.lo, &s.hi);
    }
    return s;
}

static enum qk_cause cause_of(const struct qk_verdict *v, const struct qk_outcome *qk, const struct qk_outcome *rest)
{
    bool half = v->all_qk.share >= 0.5, less = false;
    if (qk != NULL && rest != NULL) {
        struct qk_paired d = qk_paired_hits(qk->n_recall, rest->hit, qk->hit);
        less = d.mean > 1.96 * d.se && d.mean > 0.1 * (v->base - v->tuned);
    }
    return !half ? QK_CAUSE_NOT_QK : less ? QK_CAUSE_PARTLY : QK_CAUSE_QK;
}

static void add_share(struct qk_str *out, const char *what, const struct qk_cause_share *s)
{
    if (s->share <= 0) {
        qk_str_addf(out, "%s brings back none of it (95 %% interval %.0f to %.0f).\n", what, 100 * s->lo, 100 * s->hi);
    } else if (!isnan(s->share)) {
        qk_str_addf(out, "%s brings back %.0f %% of it (95 %% interval %.0f to %.0f).\n", what, 100 * s->share,
                    100 * s->lo, 100 * s->hi);
    }
}

static void add_words(struct qk_str *out, const struct qk_verdict *v)
{
    static const char *const heads[QK_N_CAUSES] = {
        [QK_CAUSE_NOTHING_LOST] = "No recall was lost on these cases beyond chance.",
        [QK_CAUSE_QK] = "The drift of Q and K is enough to explain the loss: undoing it alone undoes the loss.",
        [QK_CAUSE_PARTLY] = "The drift of Q and K has a part in the loss, but is not its main cause: other weights "
                            "bring back clearly more.",
        [QK_CAUSE_NOT_QK] = "The drift of Q and K is not the main cause of the loss; restoring them will not undo it.",
    };
    qk_str_addf(out, "%s\n", heads[v->cause]);
    qk_str_addf(out,
                v->cause == QK_CAUSE_NOTHING_LOST ? "Recall was %.0f %% and is %.0f %%.\n"
                                                  : "Recall fell from %.0f %% to %.0f %%.\n",
                100 * v->base, 100 * v->tuned);
    if (v->cause == QK_CAUSE_NOTHING_LOST) {
        qk_str_add(out,
                   v->is_hinted
                       ? "But the answers have become less likely, beyond chance: harder cases (--tasks, --lengths) or "
                         "more of them (--samples) would tell whether anything is lost.\n"
                       : "There is nothing to repair; harder cases (--tasks, --lengths) or more of them (--samples) "
                         "might show a smaller loss.\n");
        return;
    }
    add_share(out, "Restoring Q and K of the softmax layers", &v->softmax_qk);
    add_share(out, "Restoring Q and K of all layers", &v->all_qk);
    add_share(out, "Restoring everything but Q and K", &v->all_but_qk);
    if (v->cause == QK_CAUSE_QK && v->all_qk.lo < 0.5) {
        qk_str_add(out, "So few cases leave this uncertain: more of them (--samples) would tell.\n");
    }
    if (v->cause == QK_CAUSE_QK && v->all_but_qk.lo >= 0.5) {
        qk_str_add(out, "So does restoring everything else: what was lost is the fit between the two.\n");
    }
    if (!isnan(v->all_qk_reasoning_loss) && v->cause != QK_CAUSE_NOT_QK) {
        qk_str_addf(out, "Restoring Q and K of all layers costs %.1f points of reasoning.\n",
                    100 * v->all_qk_reasoning_loss);
    }
}

static enum qk_code judge(struct qk_measure_run *r, const size_t places[N_PLACES], struct qk_verdict *v,
                          struct qk_err *err)
{
    const struct qk_outcome *base = outcome_of(r, places[BASE]), *tuned = outcome_of(r, places[TUNED]);
    const struct qk_outcome *qk = outcome_of(r, places[ALL_QK]), *rest = outcome_of(r, places[BUT_ALL_QK]);
    struct qk_gain lost = qk_recall_gain(base, tuned);
    struct qk_str text = {0};
    *v = (struct qk_verdict){
        .base = qk_measured_recall(base).rate, .tuned = qk_measured_recall(tuned).rate, .all_qk_reasoning_loss = NAN};
    v->softmax_qk = share_of(outcome_of(r, places[SOFTMAX_QK]), base, tuned);
    v->all_qk = share_of(qk, base, tuned);
    v->all_but_qk = share_of(rest, base, tuned);
    if (qk != NULL && qk->n_reasoning > 0) {
        v->all_qk_reasoning_loss = qk_reasoning_loss(qk, tuned).loss;
    }
    double both = (double)(lost.won + lost.lost);
    v->cause =
        (double)lost.won - (double)lost.lost <= 1.96 * sqrt(both) ? QK_CAUSE_NOTHING_LOST : cause_of(v, qk, rest);
    v->is_hinted = v->cause == QK_CAUSE_NOTHING_LOST && lost.probability.mean >= 0.01 &&
                   lost.probability.mean > 1.96 * lost.probability.se;
    add_words(&text, v);
    v->text = text.failed ? NULL : qk_arena_strdup(r->arena, text.s);
    qk_str_release(&text);
    return v->text == NULL ? qk_fail_nomem(err, "verdict") : QK_OK;
}

enum qk_code qk_measure_controls(struct qk_measure_run *r, struct qk_measured_places *ret, struct qk_verdict *verdict,
                                 struct qk_err *err)
{
    size_t places[N_PLACES];
    for (size_t i = 0; i < N_PLACES; i++) {
        struct qk_err why;
        places[i] = SIZE_MAX;
        enum qk_code code = run_control(r, i, &places[i], &why);
        if (code == QK_EUNSUPPORTED && i > TUNED) {
            qk_measure_tell(r, "control '%s' cannot be run: %s", controls[i].label, why.text);
            places[i] = SIZE_MAX;
        } else if (code != QK_OK) {
            if (err != NULL) {
                *err = why;
            }
            return code;
        }
    }
    ret->base = places[BASE];
    ret->tuned = places[TUNED];
    ret->rule = places[SOFTMAX_QK];
    return judge(r, places, verdict, err);
}
