/* Plans: names of their values, and plan.json as text: see repair/plan.h. Reading is in plan_read.c. */
#include "repair/plan.h"

#include <math.h>

#include "plan_words.h"

static const char *const action_names[QK_N_PLAN_ACTIONS + 1] = {"keep", "restore", "align", "blend", NULL};
static const char *const method_names[QK_N_PLAN_METHODS + 1] = {"qk-pro", "rotate", NULL};
static const char *const side_names[QK_N_PLAN_SIDES + 1] = {"input", "head", NULL};

const char *const *const qk_plan_actions = action_names;
const char *const *const qk_plan_methods = method_names;
const char *const *const qk_plan_sides = side_names;
const char *const qk_plan_tensor_names[] = {"q", "k", NULL};
const char *const qk_plan_with_names[] = {"q_norm", "k_norm", "latent", NULL};

const char *qk_plan_action_name(enum qk_plan_action action)
{
    return action_names[action];
}

const char *qk_plan_method_name(enum qk_plan_method method)
{
    return method_names[method];
}

const char *qk_plan_side_name(enum qk_plan_side side)
{
    return side_names[side];
}

static void add_checkpoint(struct qk_str *out, const char *key, const struct qk_plan_checkpoint *c, const char *sample)
{
    qk_str_addf(out, " \"%s\": {\"name\": ", key);
    qk_str_add_json(out, c->name);
    qk_str_add(out, ", \"header_sha256\": ");
    qk_str_add_json(out, c->header_sha256);
    if (sample != NULL) {
        qk_str_add(out, ", \"sample_sha256\": ");
        qk_str_add_json(out, sample);
    }
    qk_str_add(out, "},\n");
}

/* The names whose bits are set, bit i shifted by shift. */
static void add_bits(struct qk_str *out, const char *const *names, unsigned bits)
{
    const char *between = "";
    qk_str_addc(out, '[');
    for (size_t i = 0; names[i] != NULL; i++) {
        if ((bits >> i & 1u) != 0) {
            qk_str_addf(out, "%s\"%s\"", between, names[i]);
            between = ", ";
        }
    }
    qk_str_addc(out, ']');
}

static void add_kv_groups(struct qk_str *out, const struct qk_plan_unit *unit)
{
    if (unit->n_kv_groups == 0) {
        qk_str_add(out, "\"all\"");
        return;
    }
    for (size_t i = 0; i < unit->n_kv_groups; i++) {
        qk_str_addf(out, "%s%zu", i == 0 ? "[" : ", ", unit->kv_groups[i]);
    }
    qk_str_addc(out, ']');
}

/* Only what the action reads. */
static void add_parameters(struct qk_str *out, const struct qk_plan_unit *unit)
{
    if (unit->action == QK_PLAN_ALIGN) {
        qk_str_addf(out, ", \"method\": \"%s\"", method_names[unit->method]);
    }
    if (unit->action == QK_PLAN_ALIGN && unit->method == QK_PLAN_QK_PRO) {
        qk_str_addf(out, ", \"side\": \"%s\", \"lambda\": ", side_names[unit->side]);
        if (isinf(unit->lambda)) {
            qk_str_add(out, "\"inf\"");
        } else {
            qk_str_add_double(out, unit->lambda);
        }
    }
    if (unit->action == QK_PLAN_BLEND) {
        qk_str_add(out, ", \"alpha\": ");
        qk_str_add_double(out, unit->alpha);
    }
}

static void add_reasons(struct qk_str *out, const struct qk_plan_unit *unit)
{
    if (!isnan(unit->score)) {
        qk_str_add(out, ",\n   \"score\": ");
        qk_str_add_json_double(out, unit->score);
    }
    if (unit->n_evidence > 0) {
        qk_str_add(out, ",\n   \"evidence\": {");
        for (size_t i = 0; i < unit->n_evidence; i++) {
            qk_str_add(out, i == 0 ? "" : ", ");
            qk_str_add_json(out, unit->evidence[i].key);
            qk_str_add(out, ": ");
            qk_str_add_json_double(out, unit->evidence[i].value);
        }
        qk_str_addc(out, '}');
    }
    if (unit->reason != NULL) {
        qk_str_add(out, ",\n   \"reason\": ");
        qk_str_add_json(out, unit->reason);
    }
}

static void add_unit(struct qk_str *out, const struct qk_plan_unit *unit)
{
    qk_str_addf(out, "{\"layer\": %zu, \"kv_groups\": ", unit->layer);
    add_kv_groups(out, unit);
    qk_str_add(out, ", \"tensors\": ");
    add_bits(out, qk_plan_tensor_names, unit->tensors & (QK_PLAN_Q | QK_PLAN_K));
    if (unit->tensors / QK_PLAN_Q_NORM != 0) {
        qk_str_add(out, ", \"with\": ");
        add_bits(out, qk_plan_with_names, unit->tensors / QK_PLAN_Q_NORM);
    }
    qk_str_addf(out, ", \"action\": \"%s\"", action_names[unit->action]);
    add_parameters(out, unit);
    add_reasons(out, unit);
    qk_str_addc(out, '}');
}

void qk_plan_write(const struct qk_plan *plan, struct qk_str *out)
{
    qk_str_add(out, "{\"format\": \"qkscope-plan\", \"version\": 1,\n");
    add_checkpoint(out, "base", &plan->base, plan->base_sample);
    add_checkpoint(out, "tuned", &plan->tuned, plan->tuned_sample);
    qk_str_add(out, " \"units\": [");
    for (size_t i = 0; i < plan->n_units; i++) {
        qk_str_add(out, i == 0 ? "\n  " : ",\n  ");
        add_unit(out, &plan->units[i]);
    }
    qk_str_add(out, plan->n_units == 0 ? "]" : "\n ]");
    if (plan->measured != NULL) {
        qk_str_add(out, ",\n \"measured\": ");
        qk_str_add(out, plan->measured);
    }
    qk_str_add(out, ",\n \"provenance\": {\"qkscope\": ");
    qk_str_add_json(out, plan->qkscope == NULL ? "" : plan->qkscope);
    qk_str_add(out, ", \"command\": ");
    qk_str_add_json(out, plan->command == NULL ? "" : plan->command);
    qk_str_add(out, "}}\n");
}
