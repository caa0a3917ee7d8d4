/* From a run to a plan: see advise/recommendation.h. */
#include "advise/recommendation.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reason.h"

/* ---- one unit --------------------------------------------------------------------------------------------------- */

/* Scores every head of a unit and keeps the deciding one. */
static void judge_heads(const struct qk_evidence *e, enum qk_score_basis basis, struct qk_judged_unit *u)
{
    size_t per_group = e->layers[u->layer].n_heads / e->layers[u->layer].n_kv_heads;
    size_t first = u->group == SIZE_MAX ? 0 : u->group * per_group;
    size_t end = u->group == SIZE_MAX ? e->layers[u->layer].n_heads : first + per_group;
    double alignable = 0.0;
    size_t n_alignable = 0;
    u->all_at_floor = basis != QK_BASIS_PROBE;
    u->has_loss = false;
    u->head = first;
    u->of = (struct qk_head_score){.routing_loss = NAN, .drift = NAN, .alignable = NAN, .score = NAN};
    for (size_t h = first; h < end; h++) {
        struct qk_head_score s = qk_score_head(e, basis, u->layer, h);
        u->all_at_floor = u->all_at_floor && s.at_floor;
        u->has_loss = u->has_loss || (s.routing_loss >= QK_LOSS_THRESHOLD && !s.at_floor);
        if (isfinite(s.alignable) && !s.at_floor) {
            alignable += s.alignable;
            n_alignable++;
        }
        if (h == first || s.score > u->of.score || (isnan(u->of.score) && !isnan(s.score))) {
            u->of = s;
            u->head = h;
        }
    }
    u->alignable = n_alignable > 0 ? alignable / (double)n_alignable : (double)NAN;
}

static enum qk_plan_action choose_action(const struct qk_evidence *e, const struct qk_judged_unit *u,
                                         enum qk_score_basis basis)
{
    bool is_rotation = u->alignable >= QK_ALIGNABLE_THRESHOLD;
    if (u->all_at_floor || isnan(u->of.score)) {
        return QK_PLAN_KEEP;
    }
    if (u->has_loss) {
        return QK_PLAN_RESTORE;
    }
    if (is_rotation) {
        return QK_PLAN_ALIGN;
    }
    return basis == QK_BASIS_DRIFT && qk_evidence_is_full(e, u->layer) ? QK_PLAN_RESTORE : QK_PLAN_KEEP;
}

/* ---- all units -------------------------------------------------------------------------------------------------- */

static bool is_considered(const struct qk_evidence *e, const struct qk_recommend_options *options, size_t layer)
{
    return options->all_units ? qk_evidence_has_qk(e, layer) : qk_evidence_is_full(e, layer);
}

static size_t count_units(const struct qk_evidence *e, const struct qk_recommend_options *options)
{
    size_t n = 0;
    for (size_t l = 0; l < e->n_layers; l++) {
        n += !is_considered(e, options, l) ? 0 : options->by_group ? e->layers[l].n_kv_heads : 1;
    }
    return n;
}

static void judge_all(const struct qk_evidence *e, const struct qk_recommend_options *options,
                      enum qk_score_basis basis, struct qk_judged_unit *units)
{
    size_t n = 0;
    for (size_t l = 0; l < e->n_layers; l++) {
        size_t n_groups = !is_considered(e, options, l) ? 0 : options->by_group ? e->layers[l].n_kv_heads : 1;
        for (size_t g = 0; g < n_groups; g++) {
            struct qk_judged_unit *u = &units[n++];
            u->layer = l;
            u->group = options->by_group ? g : SIZE_MAX;
            judge_heads(e, basis, u);
            u->action = choose_action(e, u, basis);
        }
    }
}

/* Keeps all changed units but the best ones. */
static void apply_budget(struct qk_judged_unit *units, size_t n, size_t budget)
{
    for (size_t chosen = 0;; chosen++) {
        struct qk_judged_unit *best = NULL;
        for (size_t i = 0; i < n; i++) {
            bool open = units[i].action != QK_PLAN_KEEP && !units[i].chosen;
            best = open && (best == NULL || units[i].of.score > best->of.score) ? &units[i] : best;
        }
        if (best == NULL) {
            return;
        }
        best->chosen = true;
        if (chosen >= budget) {
            best->action = QK_PLAN_KEEP;
            best->beyond_budget = true;
        }
    }
}

static enum qk_code fill_unit(const struct qk_evidence *e, const struct qk_recommend_options *options,
                              enum qk_score_basis basis, const struct qk_judged_unit *u, struct qk_arena *arena,
                              struct qk_plan_unit *ret, struct qk_err *err)
{
    struct qk_plan_unit unit = {.layer = u->layer,
                                .tensors = QK_PLAN_Q | QK_PLAN_K,
                                .action = u->action,
                                .method = QK_PLAN_ROTATE,
                                .score = u->of.score};
    if (u->group != SIZE_MAX) {
        size_t *group = qk_arena_alloc(arena, 1, sizeof *group);
        if (group == NULL) {
            return qk_fail_nomem(err, "plan");
        }
        *group = u->group;
        unit.n_kv_groups = 1;
        unit.kv_groups = group;
    }
    if (u->action == QK_PLAN_RESTORE && e->layers[u->layer].has_qk_norm) {
        unit.tensors |= options->with;
    }
    QK_TRY(qk_reason_evidence(e, u, arena, &unit, err));
    unit.reason = qk_reason_sentence(e, basis, u, arena);
    if (unit.reason == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    *ret = unit;
    return QK_OK;
}

/* The stronger of two actions. */
static enum qk_plan_action stronger(enum qk_plan_action a, enum qk_plan_action b)
{
    static const int rank[QK_N_PLAN_ACTIONS] = {
        [QK_PLAN_KEEP] = 0, [QK_PLAN_ALIGN] = 1, [QK_PLAN_BLEND] = 2, [QK_PLAN_RESTORE] = 3};
    return rank[a] >= rank[b] ? a : b;
}

static void summarise_layers(const struct qk_judged_unit *units, size_t n, struct qk_recommended_layer *layers,
                             size_t n_layers)
{
    for (size_t l = 0; l < n_layers; l++) {
        layers[l] = (struct qk_recommended_layer){
            .score = NAN, .routing_loss = NAN, .drift = NAN, .alignable = NAN, .action = QK_PLAN_KEEP};
    }
    for (size_t i = 0; i < n; i++) {
        struct qk_recommended_layer *l = &layers[units[i].layer];
        if (!l->considered || units[i].of.score > l->score || (isnan(l->score) && !isnan(units[i].of.score))) {
            l->score = units[i].of.score;
            l->routing_loss = units[i].of.routing_loss;
            l->drift = units[i].of.drift;
            l->alignable = units[i].alignable;
        }
        l->considered = true;
        l->action = stronger(l->action, units[i].action);
    }
}

enum qk_code qk_recommend(const struct qk_evidence *e, const struct qk_recommend_options *options,
                          struct qk_arena *arena, struct qk_recommendation *ret, struct qk_err *err)
{
    if (!e->has_drift && !e->has_probe) {
        (void)qk_fail(err, QK_EUSAGE,
                      "nothing to score %s by (expected qk_rel_drift or qk_eff_rel_drift in /drift/%s, "
                      "or distance_shift in /routing/%s)",
                      e->tuned, e->tuned, e->tuned);
        qk_err_hint(err, "drift computes all metrics unless --metrics says otherwise");
        return QK_EUSAGE;
    }
    struct qk_recommendation r = {.basis = qk_score_basis_of(e), .n_layers = e->n_layers};
    size_t n = count_units(e, options);
    struct qk_judged_unit *judged = qk_arena_alloc(arena, n, sizeof *judged);
    struct qk_plan_unit *units = qk_arena_alloc(arena, n, sizeof *units);
    struct qk_recommended_layer *layers = qk_arena_alloc(arena, e->n_layers, sizeof *layers);
    if (judged == NULL || units == NULL || layers == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    judge_all(e, options, r.basis, judged);
    apply_budget(judged, n, options->budget);
    for (size_t i = 0; i < n; i++) {
        QK_TRY(fill_unit(e, options, r.basis, &judged[i], arena, &units[i], err));
        r.n_changed += units[i].action != QK_PLAN_KEEP;
    }
    summarise_layers(judged, n, layers, e->n_layers);
    r.layers = layers;
    r.plan = (struct qk_plan){.base = {e->base, e->base_sha256},
                              .tuned = {e->tuned, e->tuned_sha256},
                              .base_sample = strlen(e->base_sample) == 64 ? e->base_sample : NULL,
                              .tuned_sample = strlen(e->tuned_sample) == 64 ? e->tuned_sample : NULL,
                              .n_units = n,
                              .units = units,
                              .qkscope = options->qkscope,
                              .command = options->command};
    *ret = r;
    return QK_OK;
}
