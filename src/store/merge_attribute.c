/* Joining of attributes. */
#include "merge_attribute.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

typedef enum qk_code (*attribute_join)(struct qk_table *table, struct qk_node *into, const struct qk_attr *a,
                                       const struct qk_attr *b, struct qk_err *err);

/* Lines of both, each once, in order of first appearance: what made the parts has made the whole. */
static enum qk_code join_lines(struct qk_table *table, struct qk_node *into, const struct qk_attr *a,
                               const struct qk_attr *b, struct qk_err *err)
{
    const char **lines = qk_arena_alloc(table->arena, a->n + b->n, sizeof(*lines));
    if (lines == NULL) {
        return qk_fail_nomem(err, "merge");
    }
    size_t n = 0;
    for (size_t i = 0; i < a->n + b->n; i++) {
        const char *line = i < a->n ? a->v.str[i] : b->v.str[i - a->n];
        size_t k = 0;
        while (k < n && strcmp(lines[k], line) != 0) {
            k++;
        }
        lines[k] = line;
        n += k == n;
    }
    return a->scalar && n == 1 ? QK_OK : qk_node_attr_strs(table, into, a->name, lines, n, err);
}

/* The later of two ISO 8601 times. */
static enum qk_code join_latest(struct qk_table *table, struct qk_node *into, const struct qk_attr *a,
                                const struct qk_attr *b, struct qk_err *err)
{
    if (!a->scalar || !b->scalar || strcmp(a->v.str[0], b->v.str[0]) >= 0) {
        return QK_OK;
    }
    return qk_node_attr_str(table, into, a->name, b->v.str[0], err);
}

/* The same checkpoint seen from two machines: the hashes beside the path say that it is the same. */
static enum qk_code keep_first(struct qk_table *table, struct qk_node *into, const struct qk_attr *a,
                               const struct qk_attr *b, struct qk_err *err)
{
    (void)table;
    (void)into;
    (void)a;
    (void)b;
    (void)err;
    return QK_OK;
}

/* The titles of single measurements are not that of a file with several. */
static enum qk_code join_titles(struct qk_table *table, struct qk_node *into, const struct qk_attr *a,
                                const struct qk_attr *b, struct qk_err *err)
{
    (void)b;
    return qk_node_attr_str(table, into, a->name, "Attention routing before and after fine-tuning", err);
}

/* Attributes that may differ between parts, and how they become one. */
static const struct attribute_rule {
    const char *glob, *name;
    attribute_join join;
} attribute_rules[] = {
    {"/", "title", join_titles},
    {"/", "history", join_lines},
    {"/", "created", join_latest},
    {"/checkpoints/*", "path", keep_first},
};

static attribute_join rule_of(const char *path, const struct qk_attr *a, const struct qk_attr *b)
{
    for (size_t i = 0; i < sizeof(attribute_rules) / sizeof(attribute_rules[0]); i++) {
        const struct attribute_rule *rule = &attribute_rules[i];
        if (qk_glob_match(rule->glob, path) && qk_streq(rule->name, a->name) && a->type == QK_TYPE_STR &&
            b->type == QK_TYPE_STR) {
            return rule->join;
        }
    }
    return NULL;
}

static bool attributes_equal(const struct qk_attr *a, const struct qk_attr *b)
{
    if (a->type != b->type || a->n != b->n || a->scalar != b->scalar) {
        return false;
    }
    if (a->type != QK_TYPE_STR) {
        return a->n == 0 || memcmp(a->v.f64, b->v.f64, a->n * sizeof(double)) == 0;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v.str[i], b->v.str[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* The first few values, for messages. */
static void add_values(struct qk_str *out, const struct qk_attr *attr)
{
    for (size_t i = 0; i < attr->n && i < 4; i++) {
        qk_str_add(out, i == 0 ? "" : ", ");
        if (attr->type == QK_TYPE_STR) {
            qk_str_addf(out, "'%.80s'", attr->v.str[i]);
        } else if (attr->type == QK_TYPE_I64) {
            qk_str_addf(out, "%" PRId64, attr->v.i64[i]);
        } else {
            qk_str_add_double(out, attr->v.f64[i]);
        }
    }
    qk_str_add(out, attr->n > 4 ? ", …" : "");
}

static enum qk_code fail_differs(const char *first, const struct qk_attr *a, const char *path, const char *name,
                                 const struct qk_attr *b, struct qk_err *err)
{
    struct qk_str expected = {0}, found = {0};
    add_values(&expected, a);
    add_values(&found, b);
    enum qk_code code = qk_fail(err, QK_EMISMATCH, "%s: %s: %s: differs from %s (expected %s, found %s)", name, path,
                                a->name, first, expected.s == NULL ? "" : expected.s, found.s == NULL ? "" : found.s);
    qk_str_release(&expected);
    qk_str_release(&found);
    return code;
}

enum qk_code qk_merge_attributes(struct qk_table *table, struct qk_node *into, const char *first,
                                 const struct qk_node *node, const char *name, const char *own, struct qk_err *err)
{
    for (size_t i = 0; i < node->n_attrs; i++) {
        if (qk_node_attr(into, node->attrs[i].name) == NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: attribute '%s' is not in %s", name, node->path,
                           node->attrs[i].name, first);
        }
    }
    for (size_t i = 0; i < into->n_attrs; i++) {
        const struct qk_attr *a = &into->attrs[i], *b = qk_node_attr(node, a->name);
        if (b == NULL) {
            return qk_fail(err, QK_EMISMATCH, "%s: %s: attribute '%s' is missing (%s has it)", name, node->path,
                           a->name, first);
        }
        if ((own != NULL && qk_streq(a->name, own)) || attributes_equal(a, b)) {
            continue;
        }
        attribute_join join = rule_of(node->path, a, b);
        if (join == NULL) {
            return fail_differs(first, a, node->path, name, b, err);
        }
        QK_TRY(join(table, into, a, b, err));
    }
    return QK_OK;
}

enum qk_code qk_attribute_copy(struct qk_table *table, struct qk_node *into, const struct qk_attr *attr,
                               struct qk_err *err)
{
    if (attr->type == QK_TYPE_F64) {
        return qk_node_attr_f64(table, into, attr->name, attr->v.f64[0], err);
    }
    if (attr->type == QK_TYPE_I64) {
        return attr->scalar ? qk_node_attr_i64(table, into, attr->name, attr->v.i64[0], err)
                            : qk_node_attr_i64s(table, into, attr->name, attr->v.i64, attr->n, err);
    }
    return attr->scalar ? qk_node_attr_str(table, into, attr->name, attr->v.str[0], err)
                        : qk_node_attr_strs(table, into, attr->name, attr->v.str, attr->n, err);
}
