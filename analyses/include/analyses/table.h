/* The result table: labelled arrays with named axes, the one form in which results travel
 * (analysis → table → HDF5, figure, plan). The tree mirrors RUN.h5 (docs/results-format.md): groups with attributes,
 * datasets whose dimensions are scales.
 *
 * Owned by one thread. Everything lives in the table's arena; strings given are copied. */
#ifndef QK_ANALYSES_TABLE_H
#define QK_ANALYSES_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define QK_TABLE_MAX_DIMS 4

enum qk_type { QK_TYPE_F64, QK_TYPE_I64, QK_TYPE_U8, QK_TYPE_STR };

struct qk_attr {
    const char *name;
    enum qk_type type; /* F64, I64 or STR */
    size_t n;          /* number of values */
    bool scalar;       /* stored as a scalar; n == 1 */
    union {
        double *f64;
        int64_t *i64;
        const char **str;
    } v;
};

/* A node is a group or an array (dataset). */
struct qk_node {
    const char *path; /* absolute, "/drift/sft/q_rel_drift"; the root is "/" */
    bool is_group;
    size_t n_attrs, cap_attrs;
    struct qk_attr *attrs; /* in order of setting */
    /* arrays: */
    enum qk_type type;
    size_t n_dims;
    size_t shape[QK_TABLE_MAX_DIMS];
    const char *dims[QK_TABLE_MAX_DIMS]; /* absolute path of each axis's scale, "/model/layer" */
    bool is_scale;                       /* this array is the scale of its one axis (dims[0] == path) */
    size_t n_values;
    union {
        double *f64;
        int64_t *i64;
        uint8_t *u8;
        const char **str;
        void *p;
    } v;
};

struct qk_table {
    struct qk_arena *arena;
    size_t n_nodes, cap_nodes;
    struct qk_node **nodes; /* in order of creation; parents before children; nodes[0] is the root */
};

enum qk_code qk_table_new(struct qk_table **ret, struct qk_err *err) QK_CHECKED;
void qk_table_free(struct qk_table *table);

/* The node, or NULL. */
struct qk_node *qk_table_find(const struct qk_table *table, const char *path);
/* Adds a group and its missing parents; an existing group is returned as it is. */
enum qk_code qk_table_group(struct qk_table *table, const char *path, struct qk_node **ret,
                            struct qk_err *err) QK_CHECKED;
/* Adds a scale (an axis with coordinates): an array of n values over itself. Values zeroed (strings ""). */
enum qk_code qk_table_scale(struct qk_table *table, const char *path, enum qk_type type, size_t n, struct qk_node **ret,
                            struct qk_err *err) QK_CHECKED;
/* Adds an array over existing scales (dims: n_dims absolute paths); shape follows from them. F64 values start as NaN,
 * others zero or "". n_dims 0 = scalar. An existing path is QK_EINTERNAL. */
enum qk_code qk_table_array(struct qk_table *table, const char *path, enum qk_type type, size_t n_dims,
                            const char *const *dims, struct qk_node **ret, struct qk_err *err) QK_CHECKED;

/* Attributes: set or replace. Invalid UTF-8 in a text (a path may hold any byte) becomes U+FFFD. */
enum qk_code qk_node_attr_str(struct qk_table *table, struct qk_node *node, const char *name, const char *value,
                              struct qk_err *err) QK_CHECKED;
enum qk_code qk_node_attr_strs(struct qk_table *table, struct qk_node *node, const char *name,
                               const char *const *values, size_t n, struct qk_err *err) QK_CHECKED;
enum qk_code qk_node_attr_f64(struct qk_table *table, struct qk_node *node, const char *name, double value,
                              struct qk_err *err) QK_CHECKED;
enum qk_code qk_node_attr_i64(struct qk_table *table, struct qk_node *node, const char *name, int64_t value,
                              struct qk_err *err) QK_CHECKED;
enum qk_code qk_node_attr_i64s(struct qk_table *table, struct qk_node *node, const char *name, const int64_t *values,
                               size_t n, struct qk_err *err) QK_CHECKED;
const struct qk_attr *qk_node_attr(const struct qk_node *node, const char *name);
/* The string attribute's value, or NULL. */
const char *qk_node_attr_get_str(const struct qk_node *node, const char *name);

/* Value state beside a metric (dataset "<metric>_state", uint8, over the metric's first two axes). */
enum qk_state {
    QK_STATE_DEFINED = 0,
    QK_STATE_UNDEFINED = 1, /* NaN or Inf in the weights, zero base */
    QK_STATE_NOT_CONVERGED = 2,
    QK_STATE_NOT_APPLICABLE = 3, /* the layer or head does not have it */
    QK_STATE_NOT_COMPUTED = 4,   /* outside --layers, --kinds or --metrics */
    QK_N_STATES
};
const char *qk_state_name(enum qk_state state);

#endif
