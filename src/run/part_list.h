/* What a part of a run has finished: an ascending int64 list on the entry ("/eval/NAME"), changed in place. */
#ifndef QK_RUN_PART_LIST_H
#define QK_RUN_PART_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"

struct qk_part_list {
    struct qk_node *entry;
    const char *attr;
    size_t n;   /* numbers are below it */
    bool *done; /* (n), owned */
};

/* Takes over what the list holds (QK_EFORMAT for a number that is too large) and makes room for all n. Release also
 * after a failure. */
enum qk_code qk_part_list_open(struct qk_table *table, struct qk_node *entry, const char *attr, size_t n,
                               struct qk_part_list *ret, struct qk_err *err) QK_CHECKED;
void qk_part_list_add(struct qk_part_list *list, size_t number);
void qk_part_list_release(struct qk_part_list *list);

/* Copies what partial has of the entry's finished numbers, and their list, into table: the entries at path were
 * compared by qk_resume_check and all numbers are below n. axis: the scale ("/model/problem") of the datasets to copy.
 */
enum qk_code qk_part_list_resume(struct qk_table *table, const struct qk_table *partial, const char *path,
                                 const char *attr, const char *axis, struct qk_err *err) QK_CHECKED;

#endif
