/* The result table: a list of nodes in one arena; paths are looked up linearly (a run has a few hundred nodes). */
#include "analyses/table.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

static const char *const state_names[QK_N_STATES] = {
    [QK_STATE_DEFINED] = "defined",
    [QK_STATE_UNDEFINED] = "undefined",
    [QK_STATE_NOT_CONVERGED] = "not_converged",
    [QK_STATE_NOT_APPLICABLE] = "not_applicable",
    [QK_STATE_NOT_COMPUTED] = "not_computed",
};

static const size_t type_sizes[] = {
    [QK_TYPE_F64] = sizeof(double),
    [QK_TYPE_I64] = sizeof(int64_t),
    [QK_TYPE_U8] = sizeof(uint8_t),
    [QK_TYPE_STR] = sizeof(char *),
};

const char *qk_state_name(enum qk_state state)
{
    return (unsigned)state < QK_N_STATES ? state_names[state] : "unknown";
}

/* A copy with room for at least n + 1 entries; the old block stays in the arena. NULL when out of memory. */
static void *grown(struct qk_arena *arena, const void *old, size_t n, size_t size, size_t *cap)
{
    size_t want = *cap == 0 ? 8 : *cap;
    if (!qk_size_mul(want, 2, &want)) {
        return NULL;
    }
    void *p = qk_arena_alloc(arena, want, size);
    if (p != NULL) {
        if (n > 0) {
            memcpy(p, old, n * size);
        }
        *cap = want;
    }
    return p;
}

/* Absolute, without empty parts, trailing slash or control characters. */
static bool path_is_valid(const char *path)
{
    if (path == NULL || path[0] != '/' || !qk_name_is_clean(path)) {
        return false;
    }
    if (path[1] == '\0') {
        return true;
    }
    size_t len = strlen(path);
    return strstr(path, "//") == NULL && path[len - 1] != '/';
}

static enum qk_code add_node(struct qk_table *table, const char *path, struct qk_node **ret, struct qk_err *err)
{
    if (table->n_nodes == table->cap_nodes) {
        struct qk_node **nodes = grown(table->arena, table->nodes, table->n_nodes, sizeof(*nodes), &table->cap_nodes);
        if (nodes == NULL) {
            return qk_fail_nomem(err, "result table");
        }
        table->nodes = nodes;
    }
    struct qk_node *node = qk_arena_alloc(table->arena, 1, sizeof(*node));
    char *copy = qk_arena_strdup(table->arena, path);
    if (node == NULL || copy == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    node->path = copy;
    table->nodes[table->n_nodes++] = node;
    *ret = node;
    return QK_OK;
}

enum qk_code qk_table_new(struct qk_table **ret, struct qk_err *err)
{
    struct qk_table *table = qk_calloc(1, sizeof(*table));
    if (table == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    table->arena = qk_arena_new();
    if (table->arena == NULL) {
        qk_table_free(table);
        return qk_fail_nomem(err, "result table");
    }
    struct qk_node *root;
    enum qk_code code = add_node(table, "/", &root, err);
    if (code != QK_OK) {
        qk_table_free(table);
        return code;
    }
    root->is_group = true;
    *ret = table;
    return QK_OK;
}

void qk_table_free(struct qk_table *table)
{
    if (table != NULL) {
        qk_arena_free(table->arena);
        qk_free(table);
    }
}

struct qk_node *qk_table_find(const struct qk_table *table, const char *path)
{
    for (size_t i = 0; i < table->n_nodes; i++) {
        if (strcmp(table->nodes[i]->path, path) == 0) {
            return table->nodes[i];
        }
    }
    return NULL;
}

enum qk_code qk_table_group(struct qk_table *table, const char *path, struct qk_node **ret, struct qk_err *err)
{
    if (!path_is_valid(path)) {
        return qk_fail(err, QK_EINTERNAL, "result table: bad path '%s'", path == NULL ? "" : path);
    }
    struct qk_node *node = qk_table_find(table, path);
    if (node == NULL) {
        const char *slash = strrchr(path, '/');
        if (slash != path) {
            char *parent = qk_arena_strndup(table->arena, path, (size_t)(slash - path));
            if (parent == NULL) {
                return qk_fail_nomem(err, "result table");
            }
            QK_TRY(qk_table_group(table, parent, NULL, err));
        }
        QK_TRY(add_node(table, path, &node, err));
        node->is_group = true;
    }
    if (!node->is_group) {
        return qk_fail(err, QK_EINTERNAL, "result table: '%s' is an array, not a group", path);
    }
    if (ret != NULL) {
        *ret = node;
    }
    return QK_OK;
}

/* Zeroed values: NaN for F64 where missing, "" for strings. */
static enum qk_code alloc_values(struct qk_table *table, struct qk_node *node, bool missing, struct qk_err *err)
{
    node->v.p = qk_arena_alloc(table->arena, node->n_values, type_sizes[node->type]);
    if (node->v.p == NULL) {
        return qk_fail_nomem(err, node->path);
    }
    if (node->type == QK_TYPE_F64 && missing) {
        for (size_t i = 0; i < node->n_values; i++) {
            node->v.f64[i] = NAN;
        }
    }
    if (node->type == QK_TYPE_STR) {
        for (size_t i = 0; i < node->n_values; i++) {
            node->v.str[i] = "";
        }
    }
    return QK_OK;
}

/* A new leaf with its parents; refuses an existing path. */
static enum qk_code add_leaf(struct qk_table *table, const char *path, enum qk_type type, struct qk_node **ret,
                             struct qk_err *err)
{
    if (!path_is_valid(path) || path[1] == '\0' || (unsigned)type > QK_TYPE_STR) {
        return qk_fail(err, QK_EINTERNAL, "result table: bad path or type '%s'", path == NULL ? "" : path);
    }
    if (qk_table_find(table, path) != NULL) {
        return qk_fail(err, QK_EINTERNAL, "result table: '%s' exists already", path);
    }
    const char *slash = strrchr(path, '/');
    char *parent = slash == path ? qk_arena_strdup(table->arena, "/")
                                 : qk_arena_strndup(table->arena, path, (size_t)(slash - path));
    if (parent == NULL) {
        return qk_fail_nomem(err, "result table");
    }
    QK_TRY(qk_table_group(table, parent, NULL, err));
    QK_TRY(add_node(table, path, ret, err));
    (*ret)->type = type;
    return QK_OK;
}

enum qk_code qk_table_scale(struct qk_table *table, const char *path, enum qk_type type, size_t n, struct qk_node **ret,
                            struct qk_err *err)
{
    struct qk_node *node;
    QK_TRY(add_leaf(table, path, type, &node, err));
    node->is_scale = true;
    node->n_dims = 1;
    node->shape[0] = n;
    node->dims[0] = node->path;
    node->n_values = n;
    QK_TRY(alloc_values(table, node, false, err));
    if (ret != NULL) {
        *ret = node;
    }
    return QK_OK;
}

enum qk_code qk_table_array(struct qk_table *table, const char *path, enum qk_type type, size_t n_dims,
                            const char *const *dims, struct qk_node **ret, struct qk_err *err)
{
    if (n_dims > QK_TABLE_MAX_DIMS) {
        return qk_fail(err, QK_EINTERNAL, "result table: '%s' has too many dimensions (%zu)", path, n_dims);
    }
    size_t shape[QK_TABLE_MAX_DIMS] = {0}, n_values = 1;
    const char *names[QK_TABLE_MAX_DIMS] = {0};
    for (size_t i = 0; i < n_dims; i++) {
        const struct qk_node *scale = qk_table_find(table, dims[i]);
        if (scale == NULL || !scale->is_scale) {
            return qk_fail(err, QK_EINTERNAL, "result table: '%s': no scale '%s'", path, dims[i]);
        }
        shape[i] = scale->n_values;
        names[i] = scale->path;
        if (!qk_size_mul(n_values, shape[i], &n_values)) {
            return qk_fail(err, QK_EFORMAT, "result table: '%s' is too large", path);
        }
    }
    struct qk_node *node;
    QK_TRY(add_leaf(table, path, type, &node, err));
    node->n_dims = n_dims;
    memcpy(node->shape, shape, sizeof(shape));
    memcpy(node->dims, names, sizeof(names));
    node->n_values = n_values;
    QK_TRY(alloc_values(table, node, true, err));
    if (ret != NULL) {
        *ret = node;
    }
    return QK_OK;
}

const struct qk_attr *qk_node_attr(const struct qk_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            return &node->attrs[i];
        }
    }
    return NULL;
}

const char *qk_node_attr_get_str(const struct qk_node *node, const char *name)
{
    const struct qk_attr *attr = qk_node_attr(node, name);
    return attr != NULL && attr->type == QK_TYPE_STR && attr->scalar ? attr->v.str[0] : NULL;
}

/* Puts attr in place of the one of its name, or at the end. */
static enum qk_code set_attr(struct qk_table *table, struct qk_node *node, const char *name, struct qk_attr attr,
                             struct qk_err *err)
{
    for (size_t i = 0; i < node->n_attrs; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            attr.name = node->attrs[i].name;
            node->attrs[i] = attr;
            return QK_OK;
        }
    }
    attr.name = qk_arena_strdup(table->arena, name);
    if (attr.name == NULL) {
        return qk_fail_nomem(err, "attribute");
    }
    if (node->n_attrs == node->cap_attrs) {
        struct qk_attr *attrs = grown(table->arena, node->attrs, node->n_attrs, sizeof(*attrs), &node->cap_attrs);
        if (attrs == NULL) {
            return qk_fail_nomem(err, "attribute");
        }
        node->attrs = attrs;
    }
    node->attrs[node->n_attrs++] = attr;
    return QK_OK;
}

enum qk_code qk_node_attr_strs(struct qk_table *table, struct qk_node *node, const char *name,
                               const char *const *values, size_t n, struct qk_err *err)
{
    const char **copy = qk_arena_alloc(table->arena, n, sizeof(*copy));
    if (copy == NULL) {
        return qk_fail_nomem(err, "attribute");
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = qk_utf8_copy(table->arena, values[i]);
        if (copy[i] == NULL) {
            return qk_fail_nomem(err, "attribute");
        }
    }
    return set_attr(table, node, name, (struct qk_attr){.type = QK_TYPE_STR, .n = n, .v.str = copy}, err);
}

enum qk_code qk_node_attr_str(struct qk_table *table, struct qk_node *node, const char *name, const char *value,
                              struct qk_err *err)
{
    const char **copy = qk_arena_alloc(table->arena, 1, sizeof(*copy));
    char *text = qk_utf8_copy(table->arena, value);
    if (copy == NULL || text == NULL) {
        return qk_fail_nomem(err, "attribute");
    }
    copy[0] = text;
    return set_attr(table, node, name, (struct qk_attr){.type = QK_TYPE_STR, .n = 1, .scalar = true, .v.str = copy},
                    err);
}

enum qk_code qk_node_attr_f64(struct qk_table *table, struct qk_node *node, const char *name, double value,
                              struct qk_err *err)
{
    double *copy = qk_arena_alloc(table->arena, 1, sizeof(*copy));
    if (copy == NULL) {
        return qk_fail_nomem(err, "attribute");
    }
    copy[0] = value;
    return set_attr(table, node, name, (struct qk_attr){.type = QK_TYPE_F64, .n = 1, .scalar = true, .v.f64 = copy},
                    err);
}

/* scalar says how n == 1 is stored. */
static enum qk_code attr_i64(struct qk_table *table, struct qk_node *node, const char *name, const int64_t *values,
                             size_t n, bool scalar, struct qk_err *err)
{
    int64_t *copy = qk_arena_alloc(table->arena, n, sizeof(*copy));
    if (copy == NULL) {
        return qk_fail_nomem(err, "attribute");
    }
    if (n > 0) {
        memcpy(copy, values, n * sizeof(*copy));
    }
    return set_attr(table, node, name, (struct qk_attr){.type = QK_TYPE_I64, .n = n, .scalar = scalar, .v.i64 = copy},
                    err);
}

enum qk_code qk_node_attr_i64(struct qk_table *table, struct qk_node *node, const char *name, int64_t value,
                              struct qk_err *err)
{
    return attr_i64(table, node, name, &value, 1, true, err);
}

enum qk_code qk_node_attr_i64s(struct qk_table *table, struct qk_node *node, const char *name, const int64_t *values,
                               size_t n, struct qk_err *err)
{
    return attr_i64(table, node, name, values, n, false, err);
}
