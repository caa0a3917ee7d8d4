/* recommend --measure --store: see recommend_measure_store.h. */
#include "recommend_measure_store.h"

#include "base/str.h"
#include "store/store.h"

/* The run's recommendation with what was measured in the place of what was derived. */
static enum qk_code update_layers(struct qk_cli *cli, struct qk_table *table, const struct qk_evidence *evidence,
                                  const struct qk_measurement *m, struct qk_recommendation *r, struct qk_err *err)
{
    struct qk_recommended_layer *layers = qk_arena_alloc(qk_cli_arena(cli), r->n_layers + 1, sizeof *layers);
    if (layers == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    for (size_t l = 0; l < r->n_layers; l++) {
        layers[l] = r->layers[l];
        layers[l].action = QK_PLAN_KEEP;
    }
    for (size_t u = 0; u < m->plan.n_units; u++) {
        const struct qk_plan_unit *unit = &m->plan.units[u];
        if (unit->action != QK_PLAN_KEEP && unit->layer < r->n_layers) {
            layers[unit->layer].action = unit->action;
        }
    }
    r->layers = layers;
    r->plan = m->plan;
    return qk_recommendation_add(r, evidence, table, err);
}

static enum qk_code add_alone(struct qk_table *table, const struct qk_run_input inputs[2],
                              const struct qk_measurement *m, struct qk_err *err)
{
    struct qk_node *group, *node;
    struct qk_str text = {0};
    QK_TRY(qk_measurement_prepare(table, &inputs[0], &inputs[1], m->plan.command, err));
    QK_TRY(qk_table_group(table, "/recommend", &group, err));
    QK_TRY(qk_node_attr_str(table, group, "checkpoint", inputs[1].name, err));
    QK_TRY(qk_node_attr_str(table, group, "base", inputs[0].name, err));
    QK_TRY(qk_node_attr_str(table, group, "basis", "measured", err));
    QK_TRY(qk_table_array(table, "/recommend/plan", QK_TYPE_STR, 0, NULL, &node, err));
    qk_plan_write(&m->plan, &text);
    node->v.str[0] = text.failed ? NULL : qk_arena_strdup(table->arena, text.s);
    qk_str_release(&text);
    if (node->v.str[0] == NULL) {
        return qk_fail_nomem(err, "plan");
    }
    QK_TRY(qk_node_attr_str(table, node, "title", "Plan", err));
    QK_TRY(qk_node_attr_str(table, node, "units", "1", err));
    QK_TRY(qk_node_attr_str(table, node, "long_name", "Plan", err));
    return qk_node_attr_str(table, node, "definition", "plan.json, as restore --plan reads it", err);
}

enum qk_code qk_measure_store(struct qk_cli *cli, struct qk_table *run, const struct qk_evidence *evidence,
                              const struct qk_run_input inputs[2], const struct qk_measurement *measurement,
                              struct qk_recommendation *recommendation, struct qk_err *err)
{
    struct qk_table *own = NULL;
    const char *path = qk_cli_value(cli, "store");
    if (path == NULL) {
        return QK_OK;
    }
    if (run == NULL) {
        QK_TRY(qk_table_new(&own, err));
    }
    struct qk_table *table = own != NULL ? own : run;
    enum qk_code code = own != NULL ? add_alone(own, inputs, measurement, err)
                                    : update_layers(cli, run, evidence, measurement, recommendation, err);
    if (code == QK_OK) {
        code = qk_measurement_add(measurement, table, err);
    }
    if (code == QK_OK) {
        code = qk_store_write(table, path, qk_cli_force(cli), err);
    }
    qk_table_free(own);
    return code;
}
