/* A plan as a mergekit configuration.
 *
 * merge_method linear takes a weighted mean of each tensor, the weights chosen by the first filter that is a substring
 * of the tensor's name; weights 1 and 0 copy. A filter reaches whole tensors only: KV groups, and families that store Q
 * and K with something else, cannot be said. */
#include <string.h>

#include "advise/recommendation.h"
#include "base/str.h"

/* The family keeps W_Q and W_K of softmax layers in tensors of their own, self_attn.q_proj and k_proj: as its layout
 * line in the table of families says. */
static bool has_own_tensors(const char *family, bool softmax)
{
    static const char plain[] = "self_attn.{q,k}_proj", softmax_only[] = "softmax: self_attn.{q,k}_proj";
    for (size_t i = 0; i < qk_family_count(); i++) {
        const struct qk_family *f = qk_family_at(i);
        if (strcmp(f->name, family) != 0) {
            continue;
        }
        if (qk_str_starts(f->layout, softmax_only)) {
            return softmax;
        }
        bool mixed = strstr(f->layout, "mamba") != NULL || strstr(f->layout, "linear_attn") != NULL;
        return qk_str_starts(f->layout, plain) && (softmax || !mixed);
    }
    return false;
}

/* Why a unit cannot be said; NULL when it can. */
static const char *obstacle(const struct qk_plan_unit *unit, const struct qk_evidence *e)
{
    enum qk_layer_kind kind = e->layers[unit->layer].kind;
    bool softmax = kind == QK_LAYER_FULL || kind == QK_LAYER_SLIDING;
    return unit->action == QK_PLAN_ALIGN ? "aligning needs arithmetic within a tensor"
           : unit->n_kv_groups > 0       ? "filters reach whole tensors, not KV groups"
           : !has_own_tensors(e->family, softmax)
               ? "this family stores Q and K with something else, or under names not known here"
               : NULL;
}

static const struct part {
    unsigned bit; /* enum qk_plan_tensor */
    const char *name;
} parts[] = {{QK_PLAN_Q, "q_proj"}, {QK_PLAN_K, "k_proj"}, {QK_PLAN_Q_NORM, "q_norm"}, {QK_PLAN_K_NORM, "k_norm"}};

/* The filters of one model; of_base: it gives what is restored, else the rest. */
static void add_weights(struct qk_str *out, const struct qk_plan *plan, const struct qk_evidence *e, bool of_base)
{
    for (size_t u = 0; u < plan->n_units; u++) {
        const struct qk_plan_unit *unit = &plan->units[u];
        if (unit->action == QK_PLAN_KEEP || obstacle(unit, e) != NULL) {
            continue;
        }
        double base = unit->action == QK_PLAN_BLEND ? unit->alpha : 1.0;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            if ((unit->tensors & parts[i].bit) != 0) {
                qk_str_addf(out, "        - filter: layers.%zu.self_attn.%s\n          value: ", unit->layer,
                            parts[i].name);
                qk_str_add_double(out, of_base ? base : 1.0 - base);
                qk_str_addc(out, '\n');
            }
        }
    }
    qk_str_addf(out, "        - value: %d\n", of_base ? 0 : 1);
}

static size_t add_comments(struct qk_str *out, const struct qk_plan *plan, const struct qk_evidence *e)
{
    size_t n_said = 0;
    for (size_t u = 0; u < plan->n_units; u++) {
        const struct qk_plan_unit *unit = &plan->units[u];
        const char *why = unit->action == QK_PLAN_KEEP ? NULL : obstacle(unit, e);
        n_said += unit->action != QK_PLAN_KEEP && why == NULL;
        if (why != NULL) {
            qk_str_addf(out, "# not said here: %s of layer %zu", qk_plan_action_name(unit->action), unit->layer);
            for (size_t g = 0; g < unit->n_kv_groups; g++) {
                qk_str_addf(out, "%s%zu", g == 0 ? ", KV group " : ", ", unit->kv_groups[g]);
            }
            qk_str_addf(out, " (%s)\n", why);
        }
    }
    return n_said;
}

static void add_model(struct qk_str *out, const char *path)
{
    qk_str_add(out, "  - model: ");
    qk_str_add_json(out, path); /* a JSON string is a YAML string */
    qk_str_add(out, "\n    parameters:\n      weight:\n");
}

enum qk_code qk_plan_mergekit(const struct qk_plan *plan, const struct qk_evidence *e, const char *base_path,
                              const char *tuned_path, struct qk_str *out, struct qk_err *err)
{
    struct qk_str comments = {0};
    size_t n_said = add_comments(&comments, plan, e), n_changed = 0;
    const char *why = NULL;
    for (size_t u = 0; u < plan->n_units; u++) {
        n_changed += plan->units[u].action != QK_PLAN_KEEP;
        why = why == NULL && plan->units[u].action != QK_PLAN_KEEP ? obstacle(&plan->units[u], e) : why;
    }
    if (n_changed > 0 && n_said == 0) {
        qk_str_release(&comments);
        (void)qk_fail(err, QK_EUNSUPPORTED, "--export mergekit: no unit of the plan can be said: %s", why);
        qk_err_hint(err, "qkscope restore --plan does all of it");
        return QK_EUNSUPPORTED;
    }
    qk_str_addf(out,
                "# qkscope %s: the plan for %s against %s, for mergekit-yaml.\n"
                "# mergekit writes every tensor anew, and biases follow their matrix through the same filter.\n"
                "# qkscope restore --plan leaves everything outside the plan bit for bit as it is.\n",
                plan->qkscope, plan->tuned.name, plan->base.name);
    qk_str_add(out, comments.s != NULL ? comments.s : "");
    out->failed = out->failed || comments.failed;
    qk_str_release(&comments);
    qk_str_add(out, "merge_method: linear\nmodels:\n");
    add_model(out, tuned_path);
    add_weights(out, plan, e, false);
    add_model(out, base_path);
    add_weights(out, plan, e, true);
    qk_str_add(out, "parameters:\n  normalize: false\n");
    return out->failed ? qk_fail_nomem(err, "plan") : QK_OK;
}
