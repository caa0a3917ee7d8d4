/* /recommend of the run file: the recommendation per layer, and the plan as text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "advise/recommendation.h"
#include "base/str.h"

static const char group_path[] = "/recommend";

/* Takes an older recommendation out of the table; its memory stays with the table. */
static void drop_group(struct qk_table *table)
{
    size_t n = 0, len = strlen(group_path);
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *path = table->nodes[i]->path;
        bool inside = strncmp(path, group_path, len) == 0 && (path[len] == '\0' || path[len] == '/');
        if (!inside) {
            table->nodes[n++] = table->nodes[i];
        }
    }
    table->n_nodes = n;
}

struct column {
    const char *name, *title, *definition;
    size_t offset; /* of the double in struct qk_recommended_layer */
};

static const struct column columns[] = {
    {"score", "Score of restoring",
     "sqrt(routing_loss · drift), or the one that is known; of the layer's deciding head; NaN where it is not known",
     offsetof(struct qk_recommended_layer, score)},
    {"routing_loss", "Routing loss",
     "largest of: fall of retrieval_mass at the lower end of its interval, tail_loss_lo, 1 − 2^distance_shift_hi; "
     "clipped to [0, 1]",
     offsetof(struct qk_recommended_layer, routing_loss)},
    {"drift", "Drift beyond rotation",
     "x / (1 + x), x = qk_eff_rel_drift · sqrt(1 − alignable share); 0 at the rounding floor",
     offsetof(struct qk_recommended_layer, drift)},
    {"alignable", "Alignable share",
     "share of the drift of W_Q and W_K that rotations of the heads' bases explain, mean over the heads",
     offsetof(struct qk_recommended_layer, alignable)},
};

static enum qk_code describe(struct qk_table *table, struct qk_node *node, const char *title, const char *definition,
                             struct qk_err *err)
{
    QK_TRY(qk_node_attr_str(table, node, "title", title, err));
    QK_TRY(qk_node_attr_str(table, node, "units", "1", err));
    QK_TRY(qk_node_attr_str(table, node, "long_name", title, err));
    return qk_node_attr_str(table, node, "definition", definition, err);
}

static enum qk_code new_array(struct qk_table *table, const char *name, enum qk_type type, bool scalar,
                              struct qk_node **ret, struct qk_err *err)
{
    static const char *const dims[] = {"/model/layer"};
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", group_path, name);
    return qk_table_array(table, path, type, scalar ? 0 : 1, dims, ret, err);
}

static enum qk_code describe_flags(struct qk_table *table, struct qk_node *node, const char *meanings, size_t n,
                                   struct qk_err *err)
{
    static const int64_t values[] = {0, 1, 2, 3, 4};
    QK_TRY(qk_node_attr_i64s(table, node, "flag_values", values, n, err));
    return qk_node_attr_str(table, node, "flag_meanings", meanings, err);
}

static enum qk_code add_column(const struct qk_recommendation *r, const struct column *column, struct qk_table *table,
                               struct qk_err *err)
{
    struct qk_node *node = NULL;
    QK_TRY(new_array(table, column->name, QK_TYPE_F64, false, &node, err));
    for (size_t l = 0; l < r->n_layers && l < node->n_values; l++) {
        node->v.f64[l] = *(const double *)(const void *)((const char *)&r->layers[l] + column->offset);
    }
    return describe(table, node, column->title, column->definition, err);
}

static enum qk_code add_score_state(const struct qk_recommendation *r, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node = NULL;
    QK_TRY(new_array(table, "score_state", QK_TYPE_U8, false, &node, err));
    for (size_t l = 0; l < r->n_layers && l < node->n_values; l++) {
        const struct qk_recommended_layer *layer = &r->layers[l];
        node->v.u8[l] = !layer->considered    ? QK_STATE_NOT_APPLICABLE
                        : isnan(layer->score) ? QK_STATE_NOT_COMPUTED
                                              : QK_STATE_DEFINED;
    }
    QK_TRY(describe(table, node, "State of the score",
                    "not_applicable: not among the units considered; not_computed: probe or drift data are missing",
                    err));
    return describe_flags(table, node, "defined undefined not_converged not_applicable not_computed", 5, err);
}

static enum qk_code add_action(const struct qk_recommendation *r, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node = NULL;
    QK_TRY(new_array(table, "action", QK_TYPE_U8, false, &node, err));
    for (size_t l = 0; l < r->n_layers && l < node->n_values; l++) {
        node->v.u8[l] = (uint8_t)r->layers[l].action;
    }
    QK_TRY(describe(table, node, "Action of the plan",
                    "what the plan does with the layer; where its KV groups differ, restore before align before keep",
                    err));
    return describe_flags(table, node, "keep restore align blend", 4, err);
}

static enum qk_code add_plan(const struct qk_recommendation *r, struct qk_table *table, struct qk_err *err)
{
    struct qk_node *node = NULL;
    struct qk_str text = {0};
    qk_plan_write(&r->plan, &text);
    const char *kept = text.failed ? NULL : qk_arena_strdup(table->arena, text.s);
    qk_str_release(&text);
    if (kept == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    QK_TRY(new_array(table, "plan", QK_TYPE_STR, true, &node, err));
    node->v.str[0] = kept;
    return describe(table, node, "Plan", "plan.json, as restore --plan reads it", err);
}

enum qk_code qk_recommendation_add(const struct qk_recommendation *r, const struct qk_evidence *e,
                                   struct qk_table *table, struct qk_err *err)
{
    struct qk_node *group = NULL;
    drop_group(table);
    QK_TRY(qk_table_group(table, group_path, &group, err));
    QK_TRY(qk_node_attr_str(table, group, "checkpoint", e->tuned, err));
    QK_TRY(qk_node_attr_str(table, group, "base", e->base, err));
    QK_TRY(qk_node_attr_str(table, group, "basis", qk_score_basis_name(r->basis), err));
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        QK_TRY(add_column(r, &columns[i], table, err));
    }
    QK_TRY(add_score_state(r, table, err));
    QK_TRY(add_action(r, table, err));
    return add_plan(r, table, err);
}
