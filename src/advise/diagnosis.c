/* The verdict: see advise/diagnosis.h. */
#include "advise/diagnosis.h"

#include <math.h>
#include <stdint.h>

#include "advise/evidence.h"
#include "base/str.h"
#include "diagnosis_heads.h"
#include "diagnosis_rates.h"

static const double half = 0.5;       /* of the lost recall */
static const double negligible = 0.1; /* of all cases */

/* All that the rules read. */
struct facts {
    const struct qk_table *table;
    const struct qk_diagnosis_question *q;
    struct qk_diagnosed_heads heads;
    struct qk_rate base, tuned, restored; /* recall over all tasks */
    struct qk_rate base_reasoning, tuned_reasoning, restored_reasoning;
    const char *plan; /* NULL: not known */
    struct qk_rate control[QK_N_CONTROLS], control_reasoning[QK_N_CONTROLS];
};

static enum qk_code gather(struct facts *f, struct qk_arena *arena, struct qk_err *err)
{
    const struct {
        const char *name;
        struct qk_rate *recall, *reasoning;
    } rows[] = {{f->q->base, &f->base, &f->base_reasoning},
                {f->q->tuned, &f->tuned, &f->tuned_reasoning},
                {f->q->restored, &f->restored, &f->restored_reasoning}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *name = rows[i].name != NULL ? rows[i].name : "";
        QK_TRY(qk_rates_recall(f->table, name, SIZE_MAX, rows[i].recall, err));
        QK_TRY(qk_rates_accuracy(f->table, name, rows[i].reasoning, err));
    }
    for (size_t c = 0; c < QK_N_CONTROLS; c++) {
        QK_TRY(qk_rates_control(f->table, (enum qk_control)c, &f->control[c], &f->control_reasoning[c], err));
    }
    QK_TRY(qk_rates_plan(f->table, &f->plan, err));
    return qk_diagnosed_heads_of(f->table, f->q, arena, &f->heads, err);
}

/* ---- the rules -------------------------------------------------------------------------------------------------- */

static bool rises(const struct qk_rate *from, const struct qk_rate *to)
{
    return qk_rate_less(to, from).lo > 0.0;
}

/* Whether recall rises beyond chance from one checkpoint to another, over all or in a task. */
static enum qk_code any_task_rises(const struct facts *f, const char *from, const char *to, bool *ret,
                                   struct qk_err *err)
{
    bool any = false;
    for (size_t t = 0; t <= qk_rates_n_tasks(f->table); t++) {
        struct qk_rate a, b;
        QK_TRY(qk_rates_recall(f->table, from, t == 0 ? SIZE_MAX : t - 1, &a, err));
        QK_TRY(qk_rates_recall(f->table, to, t == 0 ? SIZE_MAX : t - 1, &b, err));
        any = any || rises(&a, &b);
    }
    *ret = any;
    return QK_OK;
}

static enum qk_code judge_loss(const struct facts *f, enum qk_lost *ret, struct qk_err *err)
{
    bool lost = false;
    if (f->heads.identical) {
        *ret = QK_LOST_SAME;
        return QK_OK;
    }
    QK_TRY(any_task_rises(f, f->q->tuned, f->q->base, &lost, err));
    bool measured = f->base.n > 0.0 && f->tuned.n > 0.0;
    *ret = !measured ? QK_LOST_UNKNOWN : lost ? QK_LOST_RECALL : QK_LOST_NONE;
    return QK_OK;
}

/* Share of the controls' recall loss that a control brings back; NaN where that was not measured or nothing was lost.
 */
static double share_of(const struct facts *f, enum qk_control control)
{
    double tuned = f->control[QK_CONTROL_TUNED].p, lost = f->control[QK_CONTROL_BASE].p - tuned;
    return lost > 0.0 ? (f->control[control].p - tuned) / lost : (double)NAN;
}

/* The decision is recommend --measure's, which has every case of the controls. */
static enum qk_culprit read_culprit(const struct facts *f)
{
    static const struct {
        const char *cause;
        enum qk_culprit culprit;
    } rows[] = {{"qk", QK_CULPRIT_QK}, {"partly_qk", QK_CULPRIT_PARTLY}, {"not_qk", QK_CULPRIT_OTHER}};
    const struct qk_node *measured = qk_table_find(f->table, "/recommend/measured");
    const char *cause = measured != NULL ? qk_node_attr_get_str(measured, "cause") : NULL;
    for (size_t i = 0; cause != NULL && !isnan(share_of(f, QK_CONTROL_QK)) && i < sizeof rows / sizeof rows[0]; i++) {
        if (qk_streq(rows[i].cause, cause)) {
            return rows[i].culprit;
        }
    }
    return QK_CULPRIT_UNKNOWN;
}

static enum qk_code judge_repair(const struct facts *f, enum qk_repair *ret, struct qk_err *err)
{
    bool helps = false;
    if (f->q->restored == NULL || f->restored.n <= 0.0 || f->tuned.n <= 0.0) {
        *ret = QK_REPAIR_UNKNOWN;
        return QK_OK;
    }
    QK_TRY(any_task_rises(f, f->q->tuned, f->q->restored, &helps, err));
    double cost = 100.0 * (f->tuned_reasoning.p - f->restored_reasoning.p);
    *ret = !helps                            ? QK_REPAIR_USELESS
           : isnan(cost)                     ? QK_REPAIR_UNPRICED
           : cost > f->q->max_reasoning_loss ? QK_REPAIR_COSTLY
                                             : QK_REPAIR_HELPS;
    return QK_OK;
}

/* ---- sentences -------------------------------------------------------------------------------------------------- */

static void add_rate(struct qk_str *out, const struct qk_rate *r)
{
    qk_str_addf(out, "%.1f %%", 100.0 * r->p);
}

/* "100.0 % (96.2 to 100.0)" */
static void add_interval(struct qk_str *out, const struct qk_rate *r)
{
    add_rate(out, r);
    qk_str_addf(out, " (%.1f to %.1f)", 100.0 * r->lo, 100.0 * r->hi);
}

static void add_price(struct qk_str *out, const struct facts *f, enum qk_repair repair)
{
    double cost = 100.0 * (f->tuned_reasoning.p - f->restored_reasoning.p);
    if (repair == QK_REPAIR_UNKNOWN) {
        qk_str_add(out, "no repair was measured");
        return;
    }
    if (repair == QK_REPAIR_USELESS) {
        qk_str_add(out, "putting back the planned Q and K does not bring it back");
        return;
    }
    qk_str_addf(out, "putting back the planned Q and K brings it to %.0f %%", 100.0 * f->restored.p);
    if (repair == QK_REPAIR_UNPRICED) {
        qk_str_add(out, ", at a price in reasoning that was not measured");
    } else if (repair == QK_REPAIR_COSTLY) {
        qk_str_addf(out, ", but costs %.1f points of reasoning, more than the %g allowed", cost,
                    f->q->max_reasoning_loss);
    } else if (cost > 0.0) {
        qk_str_addf(out, " for %.1f points of reasoning", cost);
    } else {
        qk_str_add(out, " at no loss of reasoning");
    }
}

/* What was not seen may be there all the same when the cases are few. */
static void add_no_loss(struct qk_str *out, const struct facts *f)
{
    struct qk_rate_change loss = qk_rate_less(&f->base, &f->tuned);
    if (loss.hi <= negligible) {
        qk_str_addf(out, "Nothing was lost: the recall of %s did not fall below that of %s beyond chance.\n",
                    f->q->tuned, f->q->base);
    } else {
        qk_str_addf(out,
                    "No loss was shown, but few cases could hide one: %s finds %.0f %% of the needles, %s found %.0f "
                    "%%; %.0f cases leave room for a loss of %.0f points.\n",
                    f->q->tuned, 100.0 * f->tuned.p, f->q->base, 100.0 * f->base.p, f->tuned.n, 100.0 * loss.hi);
    }
}

static void add_headline(struct qk_str *out, const struct facts *f, const struct qk_diagnosis *d)
{
    static const char *const causes[QK_N_CULPRITS] = {
        [QK_CULPRIT_UNKNOWN] = "whether drift of Q and K is the cause was not measured",
        [QK_CULPRIT_QK] = "drift of Q and K is the main cause",
        [QK_CULPRIT_PARTLY] = "drift of Q and K has a part in it, but is not the main cause",
        [QK_CULPRIT_OTHER] = "drift of Q and K is not the main cause",
    };
    const char *base = f->q->base, *tuned = f->q->tuned;
    if (d->lost == QK_LOST_SAME) {
        qk_str_addf(out, "Nothing was lost: the weights of %s are those of %s.\n", tuned, base);
    } else if (d->lost == QK_LOST_NONE) {
        add_no_loss(out, f);
    } else if (d->lost == QK_LOST_UNKNOWN) {
        qk_str_addf(out, "What %s has lost against %s was not measured: the run has no recall of both.\n", tuned, base);
    } else {
        qk_str_addf(out, "%s finds %.0f %% of the needles, %s found %.0f %%; %s; ", tuned, 100.0 * f->tuned.p, base,
                    100.0 * f->base.p, causes[d->culprit]);
        add_price(out, f, d->repair);
        qk_str_add(out, ".\n");
    }
}

static enum qk_code add_tasks(struct qk_str *out, const struct facts *f, struct qk_err *err)
{
    size_t n = qk_rates_n_tasks(f->table);
    for (size_t t = 0; n > 1 && t < n; t++) {
        struct qk_rate base, tuned, restored;
        QK_TRY(qk_rates_recall(f->table, f->q->base, t, &base, err));
        QK_TRY(qk_rates_recall(f->table, f->q->tuned, t, &tuned, err));
        QK_TRY(qk_rates_recall(f->table, f->q->restored != NULL ? f->q->restored : "", t, &restored, err));
        qk_str_addf(out, "%s%s %.0f -> ", t == 0 ? " By task: " : "; ", qk_rates_task(f->table, t), 100.0 * base.p);
        qk_str_addf(out, "%.0f (%.0f to %.0f)%s", 100.0 * tuned.p, 100.0 * tuned.lo, 100.0 * tuned.hi,
                    rises(&tuned, &base) ? "" : ", within chance");
        if (restored.n > 0.0) {
            qk_str_addf(out, ", restored %.0f (%.0f to %.0f)", 100.0 * restored.p, 100.0 * restored.lo,
                        100.0 * restored.hi);
        }
    }
    qk_str_add(out, n > 1 ? ".\n" : "\n");
    return QK_OK;
}

static enum qk_code add_loss(struct qk_str *out, const struct facts *f, struct qk_err *err)
{
    if (f->base.n > 0.0 && f->tuned.n > 0.0) {
        qk_str_addf(out, "Lost: recall %s ", f->base.p > f->tuned.p ? "fell from" : "went from");
        add_interval(out, &f->base);
        qk_str_add(out, " to ");
        add_interval(out, &f->tuned);
        qk_str_addf(out, ", %.0f cases each.", f->tuned.n);
        QK_TRY(add_tasks(out, f, err));
        if (f->base.p < half) {
            qk_str_addf(out,
                        "Mind: %s itself finds %.0f %%, so that these documents hardly test it; --template gives "
                        "documents a form that it knows, --lengths shorter ones.\n",
                        f->q->base, 100.0 * f->base.p);
        }
    }
    if (f->base_reasoning.n > 0.0 && f->tuned_reasoning.n > 0.0) {
        qk_str_addf(out, "Reasoning: it %s ", f->tuned_reasoning.p > f->base_reasoning.p ? "rose from" : "went from");
        add_interval(out, &f->base_reasoning);
        qk_str_add(out, " to ");
        add_interval(out, &f->tuned_reasoning);
        qk_str_addf(out, ", %.0f problems.\n", f->tuned_reasoning.n);
    }
    return QK_OK;
}

static void add_control(struct qk_str *out, const struct facts *f, enum qk_control control, const char *what)
{
    if (f->control[control].n > 0.0) {
        qk_str_addf(out, " %s: ", what);
        add_interval(out, &f->control[control]);
        if (f->control_reasoning[control].n > 0.0) {
            qk_str_add(out, ", reasoning ");
            add_rate(out, &f->control_reasoning[control]);
        }
        qk_str_addc(out, ';');
    }
}

/* "94 % (70 to 118)": Newcombe's interval of what came back, over the loss. */
static void add_share(struct qk_str *out, const struct facts *f, enum qk_control control)
{
    double lost = f->control[QK_CONTROL_BASE].p - f->control[QK_CONTROL_TUNED].p;
    struct qk_rate_change back = qk_rate_less(&f->control[control], &f->control[QK_CONTROL_TUNED]);
    qk_str_addf(out, "%.0f %% (%.0f to %.0f)", 100.0 * back.value / lost, 100.0 * back.lo / lost,
                100.0 * back.hi / lost);
}

static void add_cause(struct qk_str *out, const struct facts *f, enum qk_culprit culprit)
{
    if (culprit == QK_CULPRIT_UNKNOWN) {
        return;
    }
    double rest = share_of(f, QK_CONTROL_ALL_BUT_QK);
    qk_str_addf(out,
                "Cause: is drift of Q and K the main cause? %s: putting back Q and K of all layers and nothing else "
                "returns ",
                culprit == QK_CULPRIT_PARTLY ? "In part"
                : culprit == QK_CULPRIT_QK   ? "Yes"
                                             : "No");
    add_share(out, f, QK_CONTROL_QK);
    qk_str_add(out, " of the lost recall");
    if (!isnan(rest)) {
        qk_str_add(out, "; putting back everything but Q and K returns ");
        add_share(out, f, QK_CONTROL_ALL_BUT_QK);
    }
    qk_str_add(out, culprit == QK_CULPRIT_QK && rest >= half
                        ? ". Either is enough: what was lost is the fit between the two."
                        : ".");
    qk_str_addf(out, " Recall of %.0f cases (others than above), all as tuned: ", f->control[QK_CONTROL_TUNED].n);
    add_interval(out, &f->control[QK_CONTROL_TUNED]);
    qk_str_addc(out, ';');
    add_control(out, f, QK_CONTROL_BASE, "all as the base");
    add_control(out, f, QK_CONTROL_SOFTMAX_QK, "Q and K of the softmax layers put back");
    add_control(out, f, QK_CONTROL_QK, "of all layers");
    add_control(out, f, QK_CONTROL_ALL_BUT_QK, "everything but Q and K");
    if (!out->failed && out->s[out->len - 1] == ';') {
        out->s[out->len - 1] = '.';
    }
    qk_str_addc(out, '\n');
}

static void add_repair(struct qk_str *out, const struct facts *f, enum qk_repair repair)
{
    if (repair == QK_REPAIR_UNKNOWN) {
        return;
    }
    struct qk_rate_change gain = qk_rate_less(&f->restored, &f->tuned);
    struct qk_rate_change cost = qk_rate_less(&f->restored_reasoning, &f->tuned_reasoning);
    qk_str_addf(out, "Repair: %s", f->q->restored);
    if (f->plan != NULL) {
        qk_str_addf(out, " (what is put back of Q and K, by layer: %s)", f->plan);
    }
    qk_str_add(out, " has recall ");
    add_interval(out, &f->restored);
    qk_str_addf(out, ", %+.1f points (%+.1f to %+.1f) against %s, on %.0f cases that nothing was chosen by.",
                100.0 * gain.value, 100.0 * gain.lo, 100.0 * gain.hi, f->q->tuned, f->restored.n);
    if (!isnan(cost.value)) {
        qk_str_add(out, " Reasoning ");
        add_interval(out, &f->restored_reasoning);
        qk_str_addf(out, ", %+.1f points (%+.1f to %+.1f), %.0f problems; %g points were allowed.", 100.0 * cost.value,
                    100.0 * cost.lo, 100.0 * cost.hi, f->restored_reasoning.n, f->q->max_reasoning_loss);
    } else {
        qk_str_add(out, " Reasoning was not measured.");
    }
    qk_str_add(out, repair == QK_REPAIR_USELESS ? " The gain in recall is within chance: keep the tuned checkpoint.\n"
                                                : "\n");
}

static void add_certainty(struct qk_str *out, const struct facts *f)
{
    if (f->tuned.n > 0.0) {
        qk_str_add(
            out, "How sure: intervals are 95 %, of rates by Wilson, of differences by Newcombe. More cases (--samples) "
                 "make them narrower.\n");
    }
}

static enum qk_code write_text(const struct facts *f, const struct qk_diagnosis *d, struct qk_str *out,
                               struct qk_err *err)
{
    add_headline(out, f, d);
    if (d->lost == QK_LOST_SAME) {
        return QK_OK;
    }
    QK_TRY(add_loss(out, f, err));
    if (d->lost != QK_LOST_NONE) {
        qk_diagnosed_heads_add(&f->heads, f->q, out);
        add_cause(out, f, d->culprit);
        add_repair(out, f, d->repair);
    }
    add_certainty(out, f);
    return QK_OK;
}

/* ---- public ----------------------------------------------------------------------------------------------------- */

enum qk_code qk_diagnosis_of(const struct qk_table *table, const struct qk_diagnosis_question *question,
                             struct qk_arena *arena, struct qk_diagnosis *ret, struct qk_err *err)
{
    struct facts f = {.table = table, .q = question};
    struct qk_diagnosis d = {0};
    struct qk_str text = {0};
    QK_TRY(gather(&f, arena, err));
    QK_TRY(judge_loss(&f, &d.lost, err));
    d.culprit = read_culprit(&f);
    QK_TRY(judge_repair(&f, &d.repair, err));
    enum qk_code code = write_text(&f, &d, &text, err);
    d.text = code == QK_OK && !text.failed ? qk_arena_strdup(arena, text.s) : NULL;
    qk_str_release(&text);
    QK_TRY(code);
    if (d.text == NULL) {
        return qk_fail_nomem(err, "verdict");
    }
    *ret = d;
    return QK_OK;
}

enum qk_code qk_diagnosis_add(const struct qk_diagnosis *d, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(qk_table_array(table, "/verdict", QK_TYPE_STR, 0, NULL, &node, err));
    node->v.str[0] = qk_arena_strdup(table->arena, d->text);
    if (node->v.str[0] == NULL) {
        return qk_fail_nomem(err, "verdict");
    }
    const char *const attributes[][2] = {
        {"title", "Verdict"},
        {"units", "1"},
        {"long_name", "Verdict on the pair"},
        {"definition", "what was lost, where, why, and what the plan brings back; one paragraph a line"},
        {"lost", qk_lost_name(d->lost)},
        {"main_cause", qk_culprit_name(d->culprit)},
        {"repair", qk_repair_name(d->repair)},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        QK_TRY(qk_node_attr_str(table, node, attributes[i][0], attributes[i][1], err));
    }
    return QK_OK;
}

const char *qk_lost_name(enum qk_lost lost)
{
    static const char *const names[QK_N_LOST] = {[QK_LOST_UNKNOWN] = "not measured",
                                                 [QK_LOST_NONE] = "nothing",
                                                 [QK_LOST_RECALL] = "recall",
                                                 [QK_LOST_SAME] = "nothing, identical weights"};
    return names[lost];
}

const char *qk_culprit_name(enum qk_culprit culprit)
{
    static const char *const names[QK_N_CULPRITS] = {[QK_CULPRIT_UNKNOWN] = "not measured",
                                                     [QK_CULPRIT_QK] = "yes",
                                                     [QK_CULPRIT_PARTLY] = "partly",
                                                     [QK_CULPRIT_OTHER] = "no"};
    return names[culprit];
}

const char *qk_repair_name(enum qk_repair repair)
{
    static const char *const names[QK_N_REPAIRS] = {[QK_REPAIR_UNKNOWN] = "not measured",
                                                    [QK_REPAIR_HELPS] = "helps",
                                                    [QK_REPAIR_COSTLY] = "helps, costs too much",
                                                    [QK_REPAIR_UNPRICED] = "helps, cost not measured",
                                                    [QK_REPAIR_USELESS] = "does not help"};
    return names[repair];
}
