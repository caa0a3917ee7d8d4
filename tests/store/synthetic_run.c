/* Builds small result tables for the tests of this layer. */
#include "synthetic_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct synthetic_run synthetic_whole(void)
{
    static const char *const tuned[] = {"sft", NULL};
    return (struct synthetic_run){
        .n_layers = 6, .n_heads = 3, .first = 0, .last = 5, .tuned = tuned, .options = "all", .base_bytes = 123456789};
}

static void must(enum qk_code code)
{
    assert_int_equal(code, QK_OK);
}

static struct qk_node *described(struct qk_table *t, struct qk_node *node, const char *title, const char *units)
{
    must(qk_node_attr_str(t, node, "title", title, NULL));
    must(qk_node_attr_str(t, node, "units", units, NULL));
    must(qk_node_attr_str(t, node, "long_name", title, NULL));
    must(qk_node_attr_str(t, node, "definition", "‖Δ‖_F / ‖W0‖_F", NULL));
    return node;
}

static void add_index_scale(struct qk_table *t, const char *path, size_t n)
{
    struct qk_node *node;
    must(qk_table_scale(t, path, QK_TYPE_I64, n, &node, NULL));
    for (size_t i = 0; i < n; i++) {
        node->v.i64[i] = (int64_t)i;
    }
    described(t, node, strrchr(path, '/') + 1, "1");
}

static void add_model(struct qk_table *t, const struct synthetic_run *run)
{
    struct qk_node *node;
    must(qk_table_group(t, "/model", &node, NULL));
    must(qk_node_attr_str(t, node, "model_type", "hypenet", NULL));
    must(qk_node_attr_f64(t, node, "rope_theta", 10000.5, NULL));
    add_index_scale(t, "/model/layer", run->n_layers);
    add_index_scale(t, "/model/head", run->n_heads);
    add_index_scale(t, "/model/angle", 2);
    must(qk_table_scale(t, "/model/module", QK_TYPE_STR, 2, &node, NULL));
    node->v.str[0] = "q";
    node->v.str[1] = "größe";
    described(t, node, "module", "1");
    const char *dims[] = {"/model/layer"};
    must(qk_table_array(t, "/model/layer_kind", QK_TYPE_STR, 1, dims, &node, NULL));
    for (size_t l = 0; l < run->n_layers; l++) {
        node->v.str[l] = l % 2 == 0 ? "linear" : "full";
    }
    described(t, node, "layer kind", "1");
}

static void add_checkpoint(struct qk_table *t, const char *name, const char *role, int64_t bytes)
{
    char path[64];
    snprintf(path, sizeof(path), "/checkpoints/%s", name);
    struct qk_node *node;
    must(qk_table_group(t, path, &node, NULL));
    must(qk_node_attr_str(t, node, "role", role, NULL));
    must(qk_node_attr_str(t, node, "path", "/data/ckpt", NULL));
    must(qk_node_attr_i64(t, node, "total_bytes", bytes, NULL));
}

static void add_rel_drift(struct qk_table *t, const struct synthetic_run *run, const char *group)
{
    const char *dims[] = {"/model/layer", "/model/head", "/model/angle"};
    char path[96];
    struct qk_node *value, *state, *angles;
    snprintf(path, sizeof(path), "%s/q_rel_drift", group);
    must(qk_table_array(t, path, QK_TYPE_F64, 2, dims, &value, NULL));
    described(t, value, "Relative drift of W_Q", "1");
    snprintf(path, sizeof(path), "%s/q_rel_drift_state", group);
    must(qk_table_array(t, path, QK_TYPE_U8, 2, dims, &state, NULL));
    const int64_t flags[] = {0, 1, 2, 3, 4};
    must(qk_node_attr_i64s(t, state, "flag_values", flags, 5, NULL));
    must(qk_node_attr_str(t, state, "flag_meanings", "defined undefined not_converged not_applicable not_computed",
                          NULL));
    described(t, state, "State of q_rel_drift", "1");
    snprintf(path, sizeof(path), "%s/q_principal_angles", group);
    must(qk_table_array(t, path, QK_TYPE_F64, 3, dims, &angles, NULL));
    described(t, angles, "Principal angles", "rad");
    for (size_t l = 0; l < run->n_layers; l++) {
        for (size_t h = 0; h < run->n_heads; h++) {
            size_t i = l * run->n_heads + h;
            if (l < run->first || l > run->last) {
                state->v.u8[i] = QK_STATE_NOT_COMPUTED;
            } else if (h == 1 && l == 2) {
                state->v.u8[i] = QK_STATE_UNDEFINED;
            } else {
                value->v.f64[i] = 1.0 / (3.0 + (double)i + (double)strlen(group));
                angles->v.f64[2 * i] = 0.1 * (double)i;
                angles->v.f64[2 * i + 1] = 1e-12 * (double)i;
            }
        }
    }
}

static void add_drift(struct qk_table *t, const struct synthetic_run *run, const char *name)
{
    char group[64], path[96];
    snprintf(group, sizeof(group), "/drift/%s", name);
    struct qk_node *node;
    must(qk_table_group(t, "/drift", &node, NULL));
    must(qk_node_attr_str(t, node, "blas", "openblas", NULL));
    must(qk_table_group(t, group, &node, NULL));
    must(qk_node_attr_str(t, node, "config_hash", run->options, NULL));
    int64_t layers[64];
    for (size_t l = run->first; l <= run->last; l++) {
        layers[l - run->first] = (int64_t)l;
    }
    must(qk_node_attr_i64s(t, node, "layers", layers, run->last - run->first + 1, NULL));
    add_rel_drift(t, run, group);
    snprintf(path, sizeof(path), "%s/outer_rel_drift", group);
    const char *module[] = {"/model/module"};
    must(qk_table_array(t, path, QK_TYPE_F64, 1, module, &node, NULL));
    node->v.f64[0] = 0.25;
    described(t, node, "Drift of the rest", "1");
    snprintf(path, sizeof(path), "%s/way", group);
    const char *layer[] = {"/model/layer"};
    must(qk_table_array(t, path, QK_TYPE_U8, 1, layer, &node, NULL));
    const int64_t flags[] = {0, 1};
    must(qk_node_attr_i64s(t, node, "flag_values", flags, 2, NULL));
    must(qk_node_attr_str(t, node, "flag_meanings", "gram householder", NULL));
    must(qk_node_attr_i64(t, node, "missing", 255, NULL));
    described(t, node, "Way taken", "1");
    for (size_t l = 0; l < run->n_layers; l++) {
        node->v.u8[l] = l < run->first || l > run->last ? 255 : l == 4;
    }
    snprintf(path, sizeof(path), "%s/note", group);
    must(qk_table_array(t, path, QK_TYPE_STR, 0, NULL, &node, NULL));
    node->v.str[0] = "line one\nline two\t\"quoted\"";
    described(t, node, "Note", "1");
}

struct qk_table *synthetic_table(const struct synthetic_run *run)
{
    struct qk_table *t;
    must(qk_table_new(&t, NULL));
    const char *history[] = {"qkscope drift base sft -o run.h5", ""};
    must(qk_node_attr_str(t, t->nodes[0], "title", "drift of sft", NULL));
    must(qk_node_attr_strs(t, t->nodes[0], "history", history, 2, NULL));
    must(qk_node_attr_str(t, t->nodes[0], "created", "2026-01-01T00:00:00Z", NULL));
    must(qk_node_attr_i64s(t, t->nodes[0], "nothing", NULL, 0, NULL));
    add_model(t, run);
    add_checkpoint(t, "base", "base", run->base_bytes);
    for (size_t i = 0; run->tuned[i] != NULL; i++) {
        add_checkpoint(t, run->tuned[i], "tuned", 5);
    }
    for (size_t i = 0; run->tuned[i] != NULL; i++) {
        add_drift(t, run, run->tuned[i]);
    }
    return t;
}
