/* The one order of a file that holds several measurements, so that it does not matter in which order they came
 * together: groups at the top by table; in /model what every file has, then the axes of single measurements; in
 * /checkpoints the base, then as the checkpoints appear in the measurements; command lines by measurement. Within that,
 * what stood first stays first. */
#include "store/store.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "run_group.h"

/* Members of /model in order; others come behind them, by name. */
static const char *const model_order[] = {
    "/model",
    "/model/layer",
    "/model/head",
    "/model/kv_head",
    "/model/angle",
    "/model/pair",
    "/model/tau",
    "/model/module",
    "/model/outer",
    "/model/layer_kind",
    "/model/mixer",
    "/model/n_heads",
    "/model/n_kv_heads",
    "/model/head_dim",
    "/model/n_in",
    "/model/position",
    "/model/rotary_dim",
    "/model/sliding_window",
    "/model/qk_norm",
    "/model/qk_band_wavelength",
    "/model/sequence",
    "/model/probe_sum",
    "/model/probe_sum_definition",
    "/model/distance_bin",
    "/model/bin_low",
    "/model/bin_high",
    "/model/window",
    "/model/distance",
    "/model/last_position",
    "/model/vocab",
    "/model/task",
    "/model/length",
    "/model/depth",
    "/model/case",
    "/model/problem",
};
enum { N_MODEL = sizeof(model_order) / sizeof(model_order[0]) };

struct place {
    size_t group, within;
    const char *name; /* of members that have no place of their own */
    struct qk_node *node;
};

static size_t model_place(const char *path)
{
    size_t i = 0;
    while (i < N_MODEL && strcmp(path, model_order[i]) != 0) {
        i++;
    }
    return i;
}

/* The checkpoint's first entry ("/drift/NAME") by rank of its group, then by place in the table. */
static size_t checkpoint_place(const struct qk_table *table, const struct qk_node *node)
{
    static const char group[] = "/checkpoints/";
    const char *role = qk_node_attr_get_str(node, "role");
    size_t best = SIZE_MAX, best_rank = SIZE_MAX;
    if (!qk_str_starts(node->path, group) || (role != NULL && qk_streq(role, "base"))) {
        return qk_str_starts(node->path, group) ? 1 : 0;
    }
    const char *name = node->path + sizeof(group) - 1;
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *path = table->nodes[i]->path, *leaf = strrchr(path, '/') + 1;
        size_t rank = qk_run_group_rank(path);
        bool is_entry = table->nodes[i]->is_group && qk_run_group_is_measured(path) && leaf > path + 1 &&
                        memchr(path + 1, '/', (size_t)(leaf - path) - 2) == NULL && strcmp(leaf, name) == 0;
        if (is_entry && rank < best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    return best == SIZE_MAX ? SIZE_MAX : 2 + best_rank * table->n_nodes + best;
}

static struct place place_of(const struct qk_table *table, struct qk_node *node)
{
    struct place place = {.group = qk_run_group_rank(node->path), .name = "", .node = node};
    if (place.group == qk_run_group_rank("/model")) {
        place.within = model_place(node->path);
        place.name = place.within == N_MODEL ? node->path : "";
    } else if (place.group == qk_run_group_rank("/checkpoints")) {
        place.within = checkpoint_place(table, node);
    } else if (place.group > qk_run_group_rank("/recommend")) {
        place.name = node->path;
    }
    return place;
}

static bool is_before(const struct place *a, const struct place *b)
{
    if (a->group != b->group) {
        return a->group < b->group;
    }
    return a->within != b->within ? a->within < b->within : strcmp(a->name, b->name) < 0;
}

static enum qk_code order_history(struct qk_table *table, struct qk_err *err)
{
    const struct qk_attr *history = qk_node_attr(table->nodes[0], "history");
    if (history == NULL || history->type != QK_TYPE_STR || history->scalar) {
        return QK_OK;
    }
    const char **lines = qk_arena_alloc(table->arena, history->n, sizeof(*lines));
    if (lines == NULL) {
        return qk_fail_nomem(err, "history");
    }
    for (size_t i = 0; i < history->n; i++) {
        size_t k = i, rank = qk_run_history_rank(history->v.str[i]);
        for (; k > 0 && rank < qk_run_history_rank(lines[k - 1]); k--) {
            lines[k] = lines[k - 1];
        }
        lines[k] = history->v.str[i];
    }
    return qk_node_attr_strs(table, table->nodes[0], "history", lines, history->n, err);
}

enum qk_code qk_run_order(struct qk_table *table, struct qk_err *err)
{
    if (qk_run_count_measurements(table) < 2) {
        return QK_OK;
    }
    struct place *places = qk_calloc(table->n_nodes, sizeof(*places));
    if (places == NULL) {
        return qk_fail_nomem(err, "order of the run");
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        struct place place = place_of(table, table->nodes[i]);
        size_t k = i;
        for (; k > 0 && is_before(&place, &places[k - 1]); k--) {
            places[k] = places[k - 1];
        }
        places[k] = place;
    }
    for (size_t i = 0; i < table->n_nodes; i++) {
        table->nodes[i] = places[i].node;
    }
    qk_free(places);
    return order_history(table, err);
}
