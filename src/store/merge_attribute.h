/* How the attributes of two parts become one: equal, or by the rule that their name has. */
#ifndef QK_STORE_MERGE_ATTRIBUTE_H
#define QK_STORE_MERGE_ATTRIBUTE_H

#include "analyses/table.h"
#include "base/err.h"

/* Joins the attributes of node (of the part called name) into those of into (of the part called first). own (may be
 * NULL) names an attribute that the caller has joined already. QK_EMISMATCH names both parts, the node, the attribute.
 */
enum qk_code qk_merge_attributes(struct qk_table *table, struct qk_node *into, const char *first,
                                 const struct qk_node *node, const char *name, const char *own,
                                 struct qk_err *err) QK_CHECKED;

/* Copies one attribute onto a node of table. */
enum qk_code qk_attribute_copy(struct qk_table *table, struct qk_node *into, const struct qk_attr *attr,
                               struct qk_err *err) QK_CHECKED;

#endif
