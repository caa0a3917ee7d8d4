/* Units and modes of recommend --measure: see measure_units.h. */
#include "measure_units.h"

#include <math.h>

enum { QK = QK_PLAN_Q | QK_PLAN_K };

#define RESTORE(what, bits, win, cost, alone)                                                                          \
    {                                                                                                                  \
        .label = (what), .action = QK_PLAN_RESTORE, .tensors = (bits), .share = (win), .loss_share = (cost),           \
        .single = (alone)                                                                                              \
    }
#define BLEND(what, bits, a, win, cost, alone)                                                                         \
    {                                                                                                                  \
        .label = (what), .action = QK_PLAN_BLEND, .tensors = (bits), .alpha = (a), .share = (win),                     \
        .loss_share = (cost), .single = (alone), .cheap = (alone)                                                      \
    }
#define QK_PRO(what, where, l, win, cost)                                                                              \
    {                                                                                                                  \
        .label = (what), .action = QK_PLAN_ALIGN, .method = QK_PLAN_QK_PRO, .side = (where), .tensors = QK,            \
        .lambda = (l), .share = (win), .loss_share = (cost)                                                            \
    }

/* The first guesses: half the way wins half of recall, but costs a quarter or less of reasoning. */
static const struct qk_measure_mode modes[] = {
    [QK_MODE_KEEP] = {.label = "keep", .action = QK_PLAN_KEEP, .tensors = QK},
    [QK_MODE_RESTORE] = RESTORE("restore", QK, 1, 1, false),
    [QK_MODE_HALF] = BLEND("blend 0.5", QK, 0.5, 0.5, 0.2, true),
    [QK_MODE_QUARTER] = BLEND("blend 0.25", QK, 0.25, 0.25, 0.06, false),
    [QK_MODE_QUARTER + 1] = BLEND("blend 0.75", QK, 0.75, 0.8, 0.5, false),
    [QK_MODE_Q] = RESTORE("restore q", QK_PLAN_Q, 0.45, 0.4, true),
    [QK_MODE_K] = RESTORE("restore k", QK_PLAN_K, 0.4, 0.5, true),
    [QK_MODE_K + 1] = BLEND("blend q 0.5", QK_PLAN_Q, 0.5, 0.25, 0.1, false),
    BLEND("blend k 0.5", QK_PLAN_K, 0.5, 0.2, 0.1, false),
    QK_PRO("qk-pro input 0.1", QK_PLAN_SIDE_INPUT, 0.1, 0.6, 0.6),
    QK_PRO("qk-pro input 1", QK_PLAN_SIDE_INPUT, 1, 0.5, 0.4),
    QK_PRO("qk-pro head 0.1", QK_PLAN_SIDE_HEAD, 0.1, 0.8, 0.7),
    QK_PRO("qk-pro head 1", QK_PLAN_SIDE_HEAD, 1, 0.6, 0.5),
};

size_t qk_measure_n_modes(void)
{
    return sizeof modes / sizeof modes[0];
}

const struct qk_measure_mode *qk_measure_mode(size_t mode)
{
    return &modes[mode];
}

enum qk_code qk_measure_units_of(const struct qk_model *model, bool all, bool by_group, struct qk_arena *arena,
                                 struct qk_measure_units *ret, struct qk_err *err)
{
    size_t n = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        n += model->layers[l].n_kv_heads + 1;
    }
    struct qk_measure_unit *units = qk_arena_alloc(arena, n + 1, sizeof *units);
    if (units == NULL) {
        return qk_fail_nomem(err, "units");
    }
    n = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct qk_layer *layer = &model->layers[l];
        bool is_full = layer->kind == QK_LAYER_FULL;
        size_t parts = layer->n_heads == 0 || (!all && !is_full) ? 0 : by_group ? layer->n_kv_heads : 1;
        for (size_t g = 0; g < parts; g++) {
            units[n++] = (struct qk_measure_unit){l, by_group ? g : SIZE_MAX, is_full};
        }
    }
    *ret = (struct qk_measure_units){n, units};
    return QK_OK;
}

size_t qk_measure_alike(const struct qk_measure_units *units, const uint8_t *choice, size_t u)
{
    size_t n = 1, layer = units->units[u].layer;
    if (choice[u] == 0 || units->units[u].group != 0 || modes[choice[u]].action == QK_PLAN_ALIGN) {
        return 1;
    }
    for (; u + n < units->n && units->units[u + n].layer == layer; n++) {
        if (choice[u + n] != choice[u]) {
            return 1;
        }
    }
    return n;
}

enum qk_code qk_measure_plan_units(const struct qk_measure_units *units, const uint8_t *choice, bool with_kept,
                                   struct qk_arena *arena, const struct qk_plan_unit **ret, size_t *ret_n,
                                   struct qk_err *err)
{
    struct qk_plan_unit *plan = qk_arena_alloc(arena, units->n + 1, sizeof *plan);
    size_t n = 0;
    if (plan == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    for (size_t u = 0, step; u < units->n; u += step) {
        const struct qk_measure_unit *unit = &units->units[u];
        const struct qk_measure_mode *mode = &modes[choice[u]];
        step = qk_measure_alike(units, choice, u);
        if (choice[u] == 0 && !with_kept) {
            continue;
        }
        plan[n] = (struct qk_plan_unit){.layer = unit->layer,
                                        .tensors = mode->tensors,
                                        .action = mode->action,
                                        .method = mode->method,
                                        .side = mode->side,
                                        .lambda = mode->lambda,
                                        .alpha = mode->alpha,
                                        .score = NAN};
        if (unit->group != SIZE_MAX && step == 1) {
            size_t *group = qk_arena_alloc(arena, 1, sizeof *group);
            if (group == NULL) {
                return qk_fail_nomem(err, "plan");
            }
            *group = unit->group;
            plan[n].n_kv_groups = 1;
            plan[n].kv_groups = group;
        }
        n++;
    }
    *ret = plan;
    *ret_n = n;
    return QK_OK;
}

void qk_measure_unit_text(const struct qk_measure_unit *unit, struct qk_str *out)
{
    qk_str_addf(out, "%zu", unit->layer);
    if (unit->group != SIZE_MAX) {
        qk_str_addf(out, ".%zu", unit->group);
    }
}

void qk_measure_choice_text(const struct qk_measure_units *units, const uint8_t *choice, struct qk_str *out)
{
    bool any = false;
    for (size_t u = 0, n; u < units->n; u += n) {
        struct qk_measure_unit unit = units->units[u];
        n = qk_measure_alike(units, choice, u);
        if (choice[u] != 0) {
            unit.group = n > 1 ? SIZE_MAX : unit.group;
            qk_str_add(out, any ? ", " : "");
            qk_measure_unit_text(&unit, out);
            qk_str_addf(out, " %s", modes[choice[u]].label);
            any = true;
        }
    }
    qk_str_add(out, any ? "" : QK_MEASURE_NOTHING);
}

uint64_t qk_measure_text_signature(const char *text)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */
    for (; *text != '\0'; text++) {
        h = (h ^ (unsigned char)*text) * 0x100000001B3u;
    }
    return h | 1; /* 0 stands for the tuned weights */
}

void qk_measure_choice_signature(const struct qk_measure_units *units, const uint8_t *choice, uint64_t *signature)
{
    for (size_t u = 0; u < units->n; u++) {
        if (choice[u] != 0) {
            uint64_t *h = &signature[units->units[u].layer + 1];
            uint64_t place = units->units[u].group == SIZE_MAX ? 0 : units->units[u].group + 1;
            *h = (*h ^ (place * 64 + choice[u])) * 0x9E3779B97F4A7C15u;
            *h = (*h ^ *h >> 29) | 1;
        }
    }
}
