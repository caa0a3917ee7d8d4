/* Plans from a command line: see restore_plan.h. */
#include "restore_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* ---- --mode and what belongs to it ------------------------------------------------------------------------------ */

static const struct mode {
    const char *name;
    enum qk_plan_action action;
    enum qk_plan_method method;
    const char *option[2]; /* that only this mode reads */
} modes[] = {
    {"restore", QK_PLAN_RESTORE, QK_PLAN_QK_PRO, {NULL, NULL}},
    {"qk-pro", QK_PLAN_ALIGN, QK_PLAN_QK_PRO, {"lambda", "side"}},
    {"rotate", QK_PLAN_ALIGN, QK_PLAN_ROTATE, {NULL, NULL}},
    {"blend", QK_PLAN_BLEND, QK_PLAN_QK_PRO, {"alpha", NULL}},
};
enum { N_MODES = sizeof modes / sizeof modes[0] };

static enum qk_code read_number(struct qk_cli *cli, const char *name, double most, double dflt, double *ret,
                                struct qk_err *err)
{
    const char *text = qk_cli_value(cli, name);
    double value = dflt;
    bool infinite = text != NULL && isinf(most) && strcmp(text, "inf") == 0;
    if (infinite) {
        value = INFINITY;
    } else if (text != NULL && (!qk_parse_double(text, &value) || !(value >= 0.0 && value <= most) || isinf(value))) {
        return qk_fail(err, QK_EUSAGE, "--%s: '%s' is out of range (expected %s)", name, text,
                       isinf(most) ? "a number of at least 0, or inf" : "a number from 0 to 1");
    }
    *ret = value;
    return QK_OK;
}

static enum qk_code read_mode(struct qk_cli *cli, struct qk_plan_unit *unit, struct qk_err *err)
{
    const char *name = qk_cli_value(cli, "mode");
    const struct mode *mode = modes;
    for (const struct mode *m = modes; m < modes + N_MODES; m++) {
        mode = name != NULL && strcmp(m->name, name) == 0 ? m : mode;
    }
    for (const struct mode *m = modes; m < modes + N_MODES; m++) {
        for (size_t i = 0; i < 2 && m != mode && m->option[i] != NULL; i++) {
            if (qk_cli_value(cli, m->option[i]) != NULL) {
                return qk_fail(err, QK_EUSAGE, "--%s: goes with --mode %s (found --mode %s)", m->option[i], m->name,
                               mode->name);
            }
        }
    }
    const char *side = qk_cli_value(cli, "side");
    unit->action = mode->action;
    unit->method = mode->method;
    unit->side = side != NULL && strcmp(side, qk_plan_side_name(QK_PLAN_SIDE_HEAD)) == 0 ? QK_PLAN_SIDE_HEAD
                                                                                         : QK_PLAN_SIDE_INPUT;
    QK_TRY(read_number(cli, "lambda", INFINITY, 0.01, &unit->lambda, err));
    return read_number(cli, "alpha", 1.0, 1.0, &unit->alpha, err);
}

/* ---- which layers, groups and tensors --------------------------------------------------------------------------- */

static bool has_heads(const struct qk_layer *layer)
{
    return layer->n_heads > 0 && layer->n_kv_heads > 0 && layer->q != NULL && layer->k != NULL;
}

static enum qk_code choose_layers(struct qk_cli *cli, const struct qk_model *model, const bool **ret,
                                  struct qk_err *err)
{
    const char *const *items;
    size_t n_items = qk_cli_list(cli, "layers", &items), n = 0;
    bool full = n_items == 1 && strcmp(items[0], "full") == 0, all = n_items == 1 && strcmp(items[0], "all") == 0;
    if (!full && !all) {
        return qk_cli_layers(cli, model->n_layers, ret, err);
    }
    bool *chosen = qk_arena_alloc(qk_cli_arena(cli), model->n_layers, sizeof *chosen);
    if (chosen == NULL) {
        return qk_fail_nomem(err, "layers");
    }
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct qk_layer *layer = &model->layers[l];
        chosen[l] = has_heads(layer) && (all || layer->kind == QK_LAYER_FULL);
        n += chosen[l];
    }
    if (n == 0) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "--layers: the model has no %s",
                                    full ? "full softmax layers" : "layers with Q and K");
        qk_err_hint(err, "qkscope inspect %s shows the kind of each layer", model->ckpt->path);
        return code;
    }
    *ret = chosen;
    return QK_OK;
}

static int by_number(const void *pa, const void *pb)
{
    size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    return (a > b) - (a < b);
}

enum { MAX_KV_GROUPS = 1 << 20 }; /* as plan.json has it */

/* "3" or "0-3". */
static bool read_range(const char *item, uint64_t *ret_first, uint64_t *ret_last)
{
    char first[24];
    const char *dash = strchr(item, '-');
    size_t n = dash == NULL ? strlen(item) : (size_t)(dash - item);
    if (n >= sizeof first) {
        return false;
    }
    memcpy(first, item, n);
    first[n] = 0;
    return qk_parse_u64(first, 0, MAX_KV_GROUPS - 1, ret_first) &&
           qk_parse_u64(dash == NULL ? first : dash + 1, *ret_first, MAX_KV_GROUPS - 1, ret_last);
}

static enum qk_code read_kv_groups(struct qk_cli *cli, struct qk_plan_unit *unit, struct qk_err *err)
{
    const char *const *items;
    size_t n = qk_cli_list(cli, "kv-groups", &items), n_different = 0;
    if (n == 0 || (n == 1 && strcmp(items[0], "all") == 0)) {
        return QK_OK;
    }
    uint64_t first, last;
    size_t n_named = 0;
    for (size_t i = 0; i < n; i++) {
        if (!read_range(items[i], &first, &last)) {
            return qk_fail(
                err, QK_EUSAGE,
                "--kv-groups: '%s' is no KV group or range of them (expected numbers from 0 on, as in 0,2-3, "
                "or all)",
                items[i]);
        }
        n_named += (size_t)(last - first + 1);
    }
    size_t *groups = qk_arena_alloc(qk_cli_arena(cli), n_named, sizeof *groups);
    if (groups == NULL) {
        return qk_fail_nomem(err, "KV groups");
    }
    for (size_t i = 0, at = 0; i < n && read_range(items[i], &first, &last); i++) {
        for (uint64_t group = first; group <= last; group++) {
            groups[at++] = (size_t)group;
        }
    }
    qsort(groups, n_named, sizeof *groups, by_number);
    for (size_t i = 0; i < n_named; i++) {
        if (i == 0 || groups[i] != groups[i - 1]) {
            groups[n_different++] = groups[i];
        }
    }
    unit->n_kv_groups = n_different;
    unit->kv_groups = groups;
    return QK_OK;
}

static bool has_latent(const struct qk_layer *layer)
{
    bool found = false;
    for (size_t p = 0; p < layer->n_q_parts && !found; p++) {
        found = layer->q[p].inner.tensor != NULL;
    }
    for (size_t p = 0; p < layer->n_k_parts && !found; p++) {
        found = layer->k[p].inner.tensor != NULL;
    }
    return found;
}

/* What of --with a layer has. */
static unsigned with_of(const struct qk_layer *layer)
{
    return (layer->q_norm.tensor != NULL ? QK_PLAN_Q_NORM : 0u) | (layer->k_norm.tensor != NULL ? QK_PLAN_K_NORM : 0u) |
           (has_latent(layer) ? QK_PLAN_LATENT : 0u);
}

static const struct {
    const char *name;
    unsigned bit;
} with_names[] = {{"q_norm", QK_PLAN_Q_NORM}, {"k_norm", QK_PLAN_K_NORM}, {"latent", QK_PLAN_LATENT}};

static enum qk_code read_with(struct qk_cli *cli, const struct qk_model *model, const bool *layers, unsigned *ret,
                              struct qk_err *err)
{
    const char *const *items;
    size_t n = qk_cli_list(cli, "with", &items);
    unsigned there = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        there |= layers[l] && has_heads(&model->layers[l]) ? with_of(&model->layers[l]) : 0u;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t w = 0; w < sizeof with_names / sizeof with_names[0]; w++) {
            if (strcmp(items[i], with_names[w].name) == 0) {
                *ret |= with_names[w].bit;
            }
        }
        if ((*ret & ~there) != 0) {
            return qk_fail(err, QK_EUSAGE, "--with: none of the layers has a %s to restore", items[i]);
        }
    }
    return QK_OK;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static enum qk_code make_units(struct qk_cli *cli, const struct qk_model *model, struct qk_plan *plan,
                               struct qk_err *err)
{
    const char *only = qk_cli_value(cli, "only");
    const bool *layers;
    unsigned with = 0;
    struct qk_plan_unit unit = {.score = NAN, .tensors = QK_PLAN_Q | QK_PLAN_K};
    QK_TRY(read_mode(cli, &unit, err));
    QK_TRY(choose_layers(cli, model, &layers, err));
    QK_TRY(read_kv_groups(cli, &unit, err));
    QK_TRY(read_with(cli, model, layers, &with, err));
    if (only != NULL) {
        unit.tensors = strcmp(only, "q") == 0 ? QK_PLAN_Q : QK_PLAN_K;
    }
    struct qk_plan_unit *units = qk_arena_alloc(qk_cli_arena(cli), model->n_layers, sizeof *units);
    if (units == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    for (size_t l = 0; l < model->n_layers; l++) {
        if (layers[l]) {
            units[plan->n_units] = unit;
            units[plan->n_units].layer = l;
            units[plan->n_units].tensors |= has_heads(&model->layers[l]) ? with & with_of(&model->layers[l]) : 0u;
            plan->n_units++;
        }
    }
    plan->units = units;
    return QK_OK;
}

/* The sample of what was measured; an adapter's values are measured unrounded, and written as merging rounds them. */
static enum qk_code sample_of(struct qk_cli *cli, const struct qk_ckpt *ckpt, const char **ret, struct qk_err *err)
{
    char hex[65];
    *ret = NULL;
    if (ckpt->adapter != NULL) {
        return QK_OK;
    }
    QK_TRY(qk_ckpt_sample(ckpt, hex, err));
    *ret = qk_arena_strdup(qk_cli_arena(cli), hex);
    return *ret == NULL ? qk_fail_nomem(err, "sample") : QK_OK;
}

static enum qk_code refuse_origin(struct qk_cli *cli, const char *side, const char *hash, const char *name,
                                  const char *expected, const struct qk_ckpt *given, const char *found,
                                  struct qk_err *err)
{
    const char *path = qk_cli_value(cli, "plan");
    if (qk_cli_force(cli)) {
        qk_cli_notice(cli, "%s: made for another %s ('%s'); used all the same", path, side, name);
        return QK_OK;
    }
    (void)qk_fail(err, QK_EMISMATCH, "%s: %s.%s: the plan is not for %s (expected %s, found %s)", path, side, hash,
                  given->path, expected, found);
    qk_err_hint(err, "it was made for '%s'; --force uses it all the same", name);
    return QK_EMISMATCH;
}

static enum qk_code check_origin(struct qk_cli *cli, const char *side, const struct qk_plan_checkpoint *planned,
                                 const char *planned_sample, const struct qk_ckpt *given, struct qk_err *err)
{
    const char *sample;
    if (strcmp(planned->header_sha256, given->header_sha256) != 0) {
        return refuse_origin(cli, side, "header_sha256", planned->name, planned->header_sha256, given,
                             given->header_sha256, err);
    }
    QK_TRY(sample_of(cli, given, &sample, err));
    return planned_sample == NULL || sample == NULL || strcmp(planned_sample, sample) == 0
               ? QK_OK
               : refuse_origin(cli, side, "sample_sha256", planned->name, planned_sample, given, sample, err);
}

static enum qk_code read_plan(struct qk_cli *cli, const char *path, const struct qk_checkpoint_inputs *inputs,
                              struct qk_plan *ret, struct qk_err *err)
{
    static const char *const instead[] = {"layers", "kv-groups", "mode", "lambda", "side", "alpha", "only", "with"};
    const char *const *items;
    for (size_t i = 0; i < sizeof instead / sizeof instead[0]; i++) {
        bool is_list = i < 2 || i == 7;
        if (is_list ? qk_cli_list(cli, instead[i], &items) > 0 : qk_cli_value(cli, instead[i]) != NULL) {
            return qk_fail(err, QK_EUSAGE, "--%s: cannot be given with --plan, which says it", instead[i]);
        }
    }
    QK_TRY(qk_plan_read(path, qk_cli_arena(cli), ret, err));
    QK_TRY(check_origin(cli, "base", &ret->base, ret->base_sample, inputs->ckpts[0], err));
    return check_origin(cli, "tuned", &ret->tuned, ret->tuned_sample, inputs->ckpts[1], err);
}

enum qk_code qk_restore_plan(struct qk_cli *cli, const struct qk_checkpoint_inputs *inputs, struct qk_plan *ret,
                             struct qk_err *err)
{
    const char *path = qk_cli_value(cli, "plan");
    const char *const *items;
    if (path != NULL) {
        return read_plan(cli, path, inputs, ret, err);
    }
    if (qk_cli_list(cli, "layers", &items) == 0) {
        enum qk_code code = qk_fail(err, QK_EUSAGE, "nothing to restore (expected --plan or --layers, found neither)");
        qk_err_hint(err, "--layers full restores every softmax layer; qkscope recommend writes a plan");
        return code;
    }
    struct qk_plan plan = {.base = {inputs->inputs[0].name, inputs->ckpts[0]->header_sha256},
                           .tuned = {inputs->inputs[1].name, inputs->ckpts[1]->header_sha256},
                           .qkscope = QK_VERSION,
                           .command = qk_cli_command_line(cli)};
    QK_TRY(sample_of(cli, inputs->ckpts[0], &plan.base_sample, err));
    QK_TRY(sample_of(cli, inputs->ckpts[1], &plan.tuned_sample, err));
    QK_TRY(make_units(cli, inputs->models[1], &plan, err));
    *ret = plan;
    return QK_OK;
}
