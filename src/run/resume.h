/* Continuing an interrupted run out of the table that it left. */
#ifndef QK_RUN_RESUME_H
#define QK_RUN_RESUME_H

#include "analyses/table.h"
#include "base/err.h"

/* QK_EMISMATCH, with the first field that differs and both of its values, when entry ("/probe/NAME") of partial was not
 * begun by the same program with the same inputs and options as that of table. list is the entry's attribute that tells
 * what is done; it may differ, but must be there as int64 (QK_EFORMAT). */
enum qk_code qk_resume_check(const struct qk_table *table, const struct qk_table *partial, const char *entry,
                             const char *list, struct qk_err *err) QK_CHECKED;
/* Bytes of one value of a numeric type; 0 for strings. */
size_t qk_resume_value_size(enum qk_type type);

#endif
