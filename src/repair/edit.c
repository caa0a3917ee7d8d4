/* From a plan to the stored rows that it changes: see repair/edit.h. */
#include "repair/edit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "edit_list.h"
#include "repair/align.h"

/* One unit at work. */
struct unit_work {
    struct qk_edit_list *list;
    const struct qk_plan_unit *unit;
    const struct qk_layer *base, *tuned;
    bool all; /* every KV group */
};

const char *qk_edit_how_name(enum qk_edit_how how)
{
    static const char *const names[] = {"copied", "converted", "blended", "aligned"};
    return names[how];
}

static bool is_chosen(const struct unit_work *w, size_t group)
{
    bool chosen = w->all;
    for (size_t i = 0; i < w->unit->n_kv_groups && !chosen; i++) {
        chosen = w->unit->kv_groups[i] == group;
    }
    return chosen;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static enum qk_code add_rows(const struct unit_work *w, const struct qk_rows *tuned, const struct qk_rows *base,
                             enum qk_role role, const struct qk_edit *how, struct qk_err *err)
{
    const struct qk_edits *edits = &w->list->edits;
    if (tuned->count != base->count || tuned->transposed != base->transposed) {
        return qk_fail(err, QK_EMISMATCH, "%s: %s: stores other rows than the base's %s (expected %llu, found %llu)",
                       edits->tuned->ckpt->path, tuned->tensor->name, base->tensor->name,
                       (unsigned long long)base->count, (unsigned long long)tuned->count);
    }
    struct qk_edit edit = *how;
    edit.tensor = tuned->tensor;
    edit.base = base->tensor;
    edit.first = tuned->first;
    edit.base_first = base->first;
    edit.count = tuned->count;
    edit.transposed = tuned->transposed;
    edit.layer = w->tuned->index;
    edit.role = role;
    edit.unit = w->unit;
    return edit.count == 0 ? QK_OK : qk_edit_list_add(w->list, &edit, err);
}

static enum qk_code add_whole(const struct unit_work *w, const struct qk_tensor *tuned, const struct qk_tensor *base,
                              enum qk_role role, const struct qk_edit *how, struct qk_err *err)
{
    struct qk_rows to = {.tensor = tuned}, from = {.tensor = base};
    uint64_t cols;
    qk_rows_shape(&to, &to.count, &cols);
    qk_rows_shape(&from, &from.count, &cols);
    return add_rows(w, &to, &from, role, how, err);
}

static enum qk_code add_norm(const struct unit_work *w, const char *name, const struct qk_norm_weight *tuned,
                             const struct qk_norm_weight *base, struct qk_err *err)
{
    const struct qk_edit how = {.how = QK_EDIT_COPY};
    if (tuned->tensor == NULL || base->tensor == NULL) {
        return qk_fail(err, QK_EUSAGE, "%s: layer %zu: has no %s to restore (expected a weight, found none)",
                       w->list->edits.tuned->ckpt->path, w->tuned->index, name);
    }
    return add_whole(w, tuned->tensor, base->tensor, QK_ROLE_QK_NORM, &how, err);
}

/* ---- parts of a head -------------------------------------------------------------------------------------------- */

static bool same_start(const struct qk_rows *a, const struct qk_rows *b)
{
    return a->tensor == b->tensor && a->first == b->first;
}

static enum qk_code add_latent(const struct unit_work *w, const struct qk_head_part *tuned,
                               const struct qk_head_part *base, enum qk_role role, const struct qk_edit *how,
                               struct qk_err *err)
{
    if ((w->unit->tensors & QK_PLAN_LATENT) == 0) {
        qk_notices_add(&w->list->notices, w->tuned->index,
                       role == QK_ROLE_Q
                           ? "Q is made of a latent (q_a) that stays the tuned one; --with latent restores it"
                           : "K is made of a latent (kv_a) that stays the tuned one, as V reads it too; "
                             "--with latent restores it, for V as well");
        return QK_OK;
    }
    if (!w->all) {
        return qk_fail(err, QK_EUSAGE,
                       "layer %zu: the latent is shared by all heads (expected all KV groups with it, found some)",
                       w->tuned->index);
    }
    QK_TRY(add_rows(w, &tuned->inner, &base->inner, role, how, err));
    return tuned->inner_norm == NULL ? QK_OK
                                     : add_whole(w, tuned->inner_norm, base->inner_norm, QK_ROLE_NORM, how, err);
}

/* other: the same part of a head that is not chosen, or NULL. */
static enum qk_code add_part(const struct unit_work *w, const struct qk_head_part *tuned,
                             const struct qk_head_part *base, const struct qk_head_part *other, enum qk_role role,
                             const struct qk_edit *how, struct qk_err *err)
{
    if (tuned->up.tensor != NULL && other != NULL && same_start(&tuned->down, &other->down)) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "layer %zu: one half of its adapter is shared by all heads (expected all KV groups, found some)",
                       w->tuned->index);
    }
    if (other != NULL && same_start(&tuned->rows, &other->rows)) {
        qk_notices_add(&w->list->notices, w->tuned->index,
                       "rows of K that all heads share (the rope part of kv_a) stay tuned, since only some KV groups "
                       "are named");
    } else {
        QK_TRY(add_rows(w, &tuned->rows, &base->rows, role, how, err));
    }
    if (tuned->inner.tensor != NULL) {
        QK_TRY(add_latent(w, tuned, base, role, how, err));
    }
    if (tuned->up.tensor != NULL) {
        QK_TRY(add_rows(w, &tuned->up, &base->up, role, how, err));
        QK_TRY(add_rows(w, &tuned->down, &base->down, role, how, err));
    }
    return QK_OK;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

/* A head that is not chosen, of the same role; H or G when all are. */
static size_t unchosen_head(const struct unit_work *w, enum qk_role role)
{
    size_t n_groups = w->tuned->n_kv_heads, per_group = role == QK_ROLE_Q ? w->tuned->n_heads / n_groups : 1, g = 0;
    while (g < n_groups && is_chosen(w, g)) {
        g++;
    }
    return g * per_group;
}

static enum qk_code add_bias(const struct unit_work *w, enum qk_role role, size_t head, const struct qk_edit *how,
                             struct qk_err *err)
{
    const struct qk_rows *tuned = role == QK_ROLE_Q ? w->tuned->q_bias : w->tuned->k_bias;
    const struct qk_rows *base = role == QK_ROLE_Q ? w->base->q_bias : w->base->k_bias;
    if (tuned == NULL) {
        return QK_OK;
    }
    if (base == NULL) {
        return qk_fail(err, QK_EMISMATCH,
                       "%s: %s: the base has no such bias (expected a tensor of its size, found "
                       "none)",
                       w->list->edits.tuned->ckpt->path, tuned[head].tensor->name);
    }
    return add_rows(w, &tuned[head], &base[head], QK_ROLE_QK_BIAS, how, err);
}

/* The rows of a head that is aligned as a whole. */
static enum qk_code add_aligned(const struct unit_work *w, enum qk_role role, size_t head,
                                const struct qk_head_part *tuned, const struct qk_head_part *base, size_t n_parts,
                                struct qk_err *err)
{
    bool query = role == QK_ROLE_Q;
    struct qk_edit_head job = {.unit = w->unit,
                               .layer = w->tuned->index,
                               .head = head,
                               .role = role,
                               .has_bias = (query ? w->tuned->q_bias : w->tuned->k_bias) != NULL};
    struct qk_edit how = {.how = QK_EDIT_HEAD};
    QK_TRY(qk_edit_list_add_head(w->list, &job, &how.head, err));
    for (size_t p = 0; p < n_parts; p++) {
        if (tuned[p].inner.tensor != NULL || tuned[p].up.tensor != NULL) {
            return qk_fail(err, QK_EUNSUPPORTED,
                           "%s: layer %zu: %s is made of several tensors, which %s cannot align (expected restore or "
                           "blend for this layer)",
                           w->list->edits.tuned->ckpt->path, w->tuned->index, query ? "Q" : "K",
                           qk_plan_method_name(w->unit->method));
        }
        QK_TRY(add_rows(w, &tuned[p].rows, &base[p].rows, role, &how, err));
        how.head_row += tuned[p].rows.count;
    }
    how.head_row = 0;
    how.is_bias = true;
    return add_bias(w, role, head, &how, err);
}

static enum qk_code add_head(const struct unit_work *w, enum qk_role role, size_t head, size_t other,
                             struct qk_err *err)
{
    bool query = role == QK_ROLE_Q;
    const struct qk_plan_unit *u = w->unit;
    size_t n_parts = query ? w->tuned->n_q_parts : w->tuned->n_k_parts;
    size_t n_heads = query ? w->tuned->n_heads : w->tuned->n_kv_heads;
    const struct qk_head_part *all = query ? w->tuned->q : w->tuned->k;
    const struct qk_head_part *tuned = all + head * n_parts;
    const struct qk_head_part *base = (query ? w->base->q : w->base->k) + head * n_parts;
    bool pro = u->action == QK_PLAN_ALIGN && u->method == QK_PLAN_QK_PRO;
    if (pro && query && isinf(u->lambda)) {
        return QK_OK; /* λ = ∞ is the tuned matrix (repair/align.h) */
    }
    if (u->action == QK_PLAN_ALIGN && !(pro && !query)) {
        return add_aligned(w, role, head, tuned, base, n_parts, err);
    }
    bool blend = u->action == QK_PLAN_BLEND && u->alpha < 1.0; /* α = 1 is the base, bit for bit */
    struct qk_edit how = {.how = blend ? QK_EDIT_BLEND : QK_EDIT_COPY, .alpha = blend ? u->alpha : 0.0};
    for (size_t p = 0; p < n_parts; p++) {
        const struct qk_head_part *beside = other < n_heads ? &all[other * n_parts + p] : NULL;
        QK_TRY(add_part(w, &tuned[p], &base[p], beside, role, &how, err));
    }
    return add_bias(w, role, head, &how, err);
}

static enum qk_code add_heads(const struct unit_work *w, enum qk_role role, struct qk_err *err)
{
    size_t n = role == QK_ROLE_Q ? w->tuned->n_heads : w->tuned->n_kv_heads;
    size_t per_group = n / w->tuned->n_kv_heads, other = unchosen_head(w, role);
    for (size_t h = 0; h < n; h++) {
        if (is_chosen(w, h / per_group)) {
            QK_TRY(add_head(w, role, h, other, err));
        }
    }
    return QK_OK;
}

/* ---- units ------------------------------------------------------------------------------------------------------ */

static enum qk_code check_unit(const struct qk_edits *edits, const struct qk_plan_unit *u, struct qk_err *err)
{
    const char *path = edits->tuned->ckpt->path;
    if (u->layer >= edits->tuned->n_layers) {
        return qk_fail(err, QK_EUSAGE, "%s: has no layer %zu (expected below %zu, found %zu)", path, u->layer,
                       edits->tuned->n_layers, u->layer);
    }
    const struct qk_layer *tuned = &edits->tuned->layers[u->layer], *base = &edits->base->layers[u->layer];
    if (tuned->n_heads == 0 || tuned->n_kv_heads == 0 || tuned->q == NULL || tuned->k == NULL) {
        return qk_fail(err, QK_EUSAGE, "%s: layer %zu has no Q and K (expected an attention layer, found kind %s)",
                       path, u->layer, qk_layer_kind_name(tuned->kind));
    }
    if (base->n_heads != tuned->n_heads || base->n_kv_heads != tuned->n_kv_heads ||
        base->n_q_parts != tuned->n_q_parts || base->n_k_parts != tuned->n_k_parts) {
        return qk_fail(err, QK_EMISMATCH,
                       "%s: layer %zu has other heads than the base (expected %zu and %zu, found "
                       "%zu and %zu)",
                       path, u->layer, base->n_heads, base->n_kv_heads, tuned->n_heads, tuned->n_kv_heads);
    }
    size_t last = u->n_kv_groups == 0 ? 0 : u->kv_groups[u->n_kv_groups - 1];
    if (last >= tuned->n_kv_heads) {
        return qk_fail(err, QK_EUSAGE, "%s: layer %zu has no KV group %zu (expected below %zu, found %zu)", path,
                       u->layer, last, tuned->n_kv_heads, last);
    }
    return QK_OK;
}

/* What the method itself has to say, a sentence a line. */
static enum qk_code add_method_notices(const struct unit_work *w, struct qk_err *err)
{
    struct qk_str text = {0};
    char prefix[32]; /* told for all layers at once */
    snprintf(prefix, sizeof prefix, "layer %zu: ", w->tuned->index);
    qk_align_notice(w->tuned, w->unit, &text);
    for (char *line = text.s; !text.failed && line != NULL && *line != 0;) {
        char *end = line;
        while (*end != 0 && *end != '\n') {
            end++;
        }
        bool more = *end == '\n';
        *end = 0;
        qk_notices_add(&w->list->notices, w->tuned->index, qk_str_starts(line, prefix) ? line + strlen(prefix) : line);
        line = more ? end + 1 : end;
    }
    bool failed = text.failed;
    qk_str_release(&text);
    return failed ? qk_fail_nomem(err, "edits") : QK_OK;
}

static enum qk_code add_unit(struct qk_edit_list *list, const struct qk_plan_unit *u, struct qk_err *err)
{
    if (u->action == QK_PLAN_KEEP) {
        return QK_OK;
    }
    QK_TRY(check_unit(&list->edits, u, err));
    struct unit_work w = {.list = list,
                          .unit = u,
                          .base = &list->edits.base->layers[u->layer],
                          .tuned = &list->edits.tuned->layers[u->layer]};
    w.all = u->n_kv_groups == 0 || u->n_kv_groups == w.tuned->n_kv_heads;
    bool moves = u->action != QK_PLAN_BLEND || u->alpha > 0.0; /* α = 0 is the tuned matrix */
    if ((u->tensors & QK_PLAN_Q) != 0 && moves) {
        QK_TRY(add_heads(&w, QK_ROLE_Q, err));
    }
    if ((u->tensors & QK_PLAN_K) != 0 && moves) {
        QK_TRY(add_heads(&w, QK_ROLE_K, err));
    }
    if ((u->tensors & QK_PLAN_Q_NORM) != 0) {
        QK_TRY(add_norm(&w, "q_norm", &w.tuned->q_norm, &w.base->q_norm, err));
    }
    if ((u->tensors & QK_PLAN_K_NORM) != 0) {
        QK_TRY(add_norm(&w, "k_norm", &w.tuned->k_norm, &w.base->k_norm, err));
    }
    return add_method_notices(&w, err);
}

/* ---- tensors that layers share ---------------------------------------------------------------------------------- */

static bool uses(const struct qk_layer *layer, const struct qk_tensor *tensor)
{
    bool found = false;
    for (size_t i = 0; i < layer->n_heads * layer->n_q_parts && !found && layer->q != NULL; i++) {
        found = layer->q[i].rows.tensor == tensor;
    }
    for (size_t i = 0; i < layer->n_kv_heads * layer->n_k_parts && !found && layer->k != NULL; i++) {
        found = layer->k[i].rows.tensor == tensor;
    }
    return found;
}

static bool is_planned(const struct qk_plan *plan, size_t layer)
{
    bool found = false;
    for (size_t i = 0; i < plan->n_units && !found; i++) {
        found = plan->units[i].layer == layer && plan->units[i].action != QK_PLAN_KEEP;
    }
    return found;
}

static void note_shared(struct qk_edit_list *list, const struct qk_plan *plan)
{
    const struct qk_edits *edits = &list->edits;
    for (size_t i = 0; i < edits->n; i++) {
        if (i > 0 && edits->edits[i].tensor == edits->edits[i - 1].tensor) {
            continue;
        }
        for (size_t l = 0; l < edits->tuned->n_layers; l++) {
            if (l != edits->edits[i].layer && uses(&edits->tuned->layers[l], edits->edits[i].tensor) &&
                !is_planned(plan, l)) {
                qk_notices_add(&list->notices, l,
                               "not in the plan, but changed with it: they use weights of a layer that is restored");
            }
        }
    }
}

/* ---- the whole plan --------------------------------------------------------------------------------------------- */

static enum qk_code fill(struct qk_edit_list *list, const struct qk_plan *plan, struct qk_err *err)
{
    for (size_t i = 0; i < plan->n_units; i++) {
        QK_TRY(add_unit(list, &plan->units[i], err));
    }
    QK_TRY(qk_edit_list_order(list, err));
    note_shared(list, plan);
    QK_TRY(qk_edit_list_resolve(list, err));
    struct qk_str text = {0};
    qk_notices_text(&list->notices, &text);
    list->edits.notices = text.failed ? NULL : qk_arena_strndup(list->arena, text.len > 0 ? text.s : "", text.len);
    qk_str_release(&text);
    return list->edits.notices == NULL ? qk_fail_nomem(err, "edits") : QK_OK;
}

enum qk_code qk_edits_new(const struct qk_plan *plan, const struct qk_model *base, const struct qk_model *tuned,
                          struct qk_edits **ret, struct qk_err *err)
{
    if (base->n_layers != tuned->n_layers) {
        return qk_fail(err, QK_EMISMATCH, "%s: has other layers than the base (expected %zu, found %zu)",
                       tuned->ckpt->path, base->n_layers, tuned->n_layers);
    }
    struct qk_edit_list *list = qk_calloc(1, sizeof *list);
    if (list == NULL || (list->arena = qk_arena_new()) == NULL) {
        qk_free(list);
        return qk_fail_nomem(err, "edits");
    }
    list->edits.base = base;
    list->edits.tuned = tuned;
    list->notices = (struct qk_notices){.arena = list->arena, .n_layers = tuned->n_layers};
    enum qk_code code = fill(list, plan, err);
    if (code != QK_OK) {
        qk_edits_free(&list->edits);
        return code;
    }
    *ret = &list->edits;
    return QK_OK;
}

void qk_edits_free(struct qk_edits *edits)
{
    struct qk_edit_list *list = (struct qk_edit_list *)(void *)edits;
    if (list != NULL) {
        qk_free(list->edits.edits);
        qk_free(list->edits.heads);
        qk_arena_free(list->arena);
        qk_free(list);
    }
}
