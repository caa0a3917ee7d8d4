/* Asserts that two result tables are the same, bit for bit. */
#ifndef QK_TESTS_STORE_TABLE_EQUAL_H
#define QK_TESTS_STORE_TABLE_EQUAL_H

#include "analyses/table.h"

/* Same paths (in any order among the nodes), attributes in the same order, values with the same bits. */
void assert_tables_equal(const struct qk_table *a, const struct qk_table *b);
/* Puts the two attributes in front that a stored table has. */
void must_set_format(struct qk_table *table);

#endif
