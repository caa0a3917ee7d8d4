/* What figures read from a result table: see run_view.h. */
#include "run_view.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

/* What follows "/group/" in a path; NULL for paths of other groups. */
static const char *below_group(const char *path, const char *group)
{
    size_t n = strlen(group);
    return path[0] == '/' && strncmp(path + 1, group, n) == 0 && path[1 + n] == '/' ? path + n + 2 : NULL;
}

/* NAME of "/group/NAME" itself, not its metrics. */
static const char *checkpoint_name(const struct qk_node *node, const char *group)
{
    const char *name = node->is_group ? below_group(node->path, group) : NULL;
    return name != NULL && strchr(name, '/') == NULL ? name : NULL;
}

const char *qk_run_view_next(const struct qk_table *table, const char *group, size_t *at)
{
    while (*at < table->n_nodes) {
        const char *name = checkpoint_name(table->nodes[(*at)++], group);
        if (name != NULL) {
            return name;
        }
    }
    return NULL;
}

static size_t count_layers(const struct qk_table *table)
{
    const struct qk_node *layer = qk_table_find(table, "/model/layer");
    return layer != NULL && !layer->is_group && layer->n_dims == 1 ? layer->shape[0] : 0;
}

static const char *base_name(const struct qk_table *table)
{
    static const char prefix[] = "/checkpoints/";
    for (size_t i = 0; i < table->n_nodes; i++) {
        const struct qk_node *node = table->nodes[i];
        const char *role = node->is_group ? qk_node_attr_get_str(node, "role") : NULL;
        if (role != NULL && strcmp(role, "base") == 0 && qk_str_starts(node->path, prefix)) {
            return node->path + strlen(prefix);
        }
    }
    return "base";
}

enum qk_code qk_run_view_init(const struct qk_table *table, const char *group, struct qk_run_view *ret,
                              struct qk_err *err)
{
    struct qk_run_view view = {.table = table, .group = group, .base = base_name(table)};
    view.n_layers = count_layers(table);
    view.checkpoints = qk_calloc(table->n_nodes + 1, sizeof *view.checkpoints);
    if (view.checkpoints == NULL) {
        return qk_fail_nomem(err, "names of checkpoints");
    }
    const char *name;
    for (size_t at = 0; (name = qk_run_view_next(table, group, &at)) != NULL;) {
        if (!qk_name_is_clean(name) || !qk_name_is_clean(view.base)) {
            qk_free(view.checkpoints);
            return qk_fail(err, QK_EFORMAT, "checkpoint name '%s' is not clean UTF-8 without control characters", name);
        }
        view.checkpoints[view.n_checkpoints++] = name;
    }
    *ret = view;
    return QK_OK;
}

void qk_run_view_release(struct qk_run_view *view)
{
    qk_free(view->checkpoints);
    *view = (struct qk_run_view){0};
}

/* Compares piece by piece: a path built for the lookup would need memory, and a lookup must not fail for the lack of
 * it. */
const struct qk_node *qk_table_entry(const struct qk_table *table, const char *group, const char *checkpoint,
                                     const char *leaf)
{
    size_t n = strlen(checkpoint);
    for (size_t i = 0; i < table->n_nodes; i++) {
        const char *rest = below_group(table->nodes[i]->path, group);
        if (rest == NULL || strncmp(rest, checkpoint, n) != 0) {
            continue;
        }
        if (leaf == NULL ? rest[n] == '\0' : rest[n] == '/' && strcmp(rest + n + 1, leaf) == 0) {
            return table->nodes[i];
        }
    }
    return NULL;
}

struct qk_values qk_table_values(const struct qk_table *table, const char *group, const char *checkpoint,
                                 const char *metric)
{
    const struct qk_node *node = qk_table_entry(table, group, checkpoint, metric);
    if (node == NULL || node->is_group || node->type != QK_TYPE_F64 || node->n_dims < 2 || node->n_dims > 3 ||
        node->shape[0] != count_layers(table) || node->n_values == 0) {
        return (struct qk_values){0};
    }
    return (struct qk_values){node->v.f64, node->shape[0], node->shape[1], node->n_dims == 3 ? node->shape[2] : 1,
                              node};
}

struct qk_values qk_run_view_values(const struct qk_run_view *view, size_t checkpoint, const char *metric)
{
    return qk_table_values(view->table, view->group, view->checkpoints[checkpoint], metric);
}

bool qk_run_view_is_implied(const struct qk_table *table, const char *checkpoint, size_t layer)
{
    const struct qk_node *entry = qk_table_entry(table, "probe", checkpoint, NULL);
    const struct qk_attr *mixing = entry != NULL ? qk_node_attr(entry, "mixing") : NULL;
    return mixing != NULL && mixing->type == QK_TYPE_STR && layer < mixing->n && mixing->v.str[layer] != NULL &&
           strcmp(mixing->v.str[layer], "implicit") == 0;
}

double qk_values_at(const struct qk_values *values, size_t layer, size_t head, size_t depth)
{
    if (layer >= values->n_layers || head >= values->n_heads || depth >= values->n_depth) {
        return NAN;
    }
    return values->v[(layer * values->n_heads + head) * values->n_depth + depth];
}

bool qk_values_any_finite(const struct qk_values *values)
{
    for (size_t i = 0; i < values->n_layers * values->n_heads * values->n_depth; i++) {
        if (isfinite(values->v[i])) {
            return true;
        }
    }
    return false;
}

const char *qk_run_view_kind(const struct qk_run_view *view, size_t layer)
{
    const struct qk_node *node = qk_table_find(view->table, "/model/layer_kind");
    if (node == NULL || node->is_group || node->type != QK_TYPE_STR || layer >= node->n_values) {
        return "";
    }
    return node->v.str[layer] != NULL ? node->v.str[layer] : "";
}

static double number_at(const struct qk_node *node, size_t i)
{
    if (i >= node->n_values) {
        return NAN;
    }
    return node->type == QK_TYPE_F64   ? node->v.f64[i]
           : node->type == QK_TYPE_I64 ? (double)node->v.i64[i]
           : node->type == QK_TYPE_U8  ? (double)node->v.u8[i]
                                       : NAN;
}

size_t qk_run_view_n_heads(const struct qk_run_view *view, size_t layer, bool key)
{
    const struct qk_node *node = qk_table_find(view->table, key ? "/model/n_kv_heads" : "/model/n_heads");
    double n = node == NULL || node->is_group ? NAN : number_at(node, layer);
    return n >= 0 && n < 1e9 ? (size_t)n : SIZE_MAX;
}

const struct qk_node *qk_node_scale(const struct qk_run_view *view, const struct qk_node *node, size_t dim)
{
    bool known = node != NULL && dim < node->n_dims && node->dims[dim] != NULL;
    const struct qk_node *scale = known ? qk_table_find(view->table, node->dims[dim]) : NULL;
    return scale != NULL && !scale->is_group && scale->n_values == node->shape[dim] ? scale : NULL;
}

double qk_node_coordinate(const struct qk_run_view *view, const struct qk_node *node, size_t dim, size_t i)
{
    const struct qk_node *scale = qk_node_scale(view, node, dim);
    double x = scale != NULL ? number_at(scale, i) : NAN;
    return isfinite(x) ? x : (double)i;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double quantile(const double *sorted, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

bool qk_spread_of(double *v, size_t n, struct qk_spread *ret)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(v[i])) {
            v[m++] = v[i];
        }
    }
    if (m == 0) {
        return false;
    }
    qsort(v, m, sizeof *v, compare_doubles);
    *ret = (struct qk_spread){v[0], quantile(v, m, 0.25), quantile(v, m, 0.5), quantile(v, m, 0.75), v[m - 1], m};
    return true;
}

bool qk_values_spread(const struct qk_values *values, size_t layer, size_t depth, double *scratch,
                      struct qk_spread *ret)
{
    for (size_t h = 0; h < values->n_heads; h++) {
        scratch[h] = qk_values_at(values, layer, h, depth);
    }
    return qk_spread_of(scratch, values->n_heads, ret);
}
