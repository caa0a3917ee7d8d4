/* What a part of a run has finished: an ascending int64 list on the entry ("/eval/NAME"), changed in place. */
#ifndef QK_RUN_PART_LIST_H
#define QK_RUN_PART_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "analyses/table.h"
#include "base/err.h"
#include "run/drift.h"
#include "run/part.h"

/* How a sort of run lists its pieces. */
struct qk_part_sort {
    const char *group;  /* "eval": entries are /eval/NAME */
    const char *list;   /* "problems": the attribute of the entry */
    const char *number; /* "n_problems": the attribute that says how many there are */
    const char *one;    /* "problem", in messages */
    const char *axis;   /* "/model/problem": the first axis of what is stored of each */
};

struct qk_part_list {
    struct qk_node *entry;
    const char *attr;
    size_t n;   /* numbers are below it */
    bool *done; /* (n), owned */
};

/* Takes over what the list holds (QK_EFORMAT for a number that is too large) and makes room for all n. Release also
 * after a failure. */
enum qk_code qk_part_list_open(struct qk_table *table, struct qk_node *entry, const struct qk_part_sort *sort, size_t n,
                               struct qk_part_list *ret, struct qk_err *err) QK_CHECKED;
void qk_part_list_add(struct qk_part_list *list, size_t number);
void qk_part_list_release(struct qk_part_list *list);

/* Takes over what partial has finished of every input's n pieces, and their lists, into the prepared table; *ret_done:
 * their number over all inputs. QK_EMISMATCH when partial was begun with other inputs or options or is another part,
 * naming the first field that differs. */
enum qk_code qk_part_list_resume(struct qk_table *table, const struct qk_table *partial,
                                 const struct qk_run_input *inputs, size_t n_inputs, const struct qk_part_sort *sort,
                                 size_t n, const struct qk_part *shard, size_t *ret_done,
                                 struct qk_err *err) QK_CHECKED;

/* NAME when node is an entry /GROUP/NAME all of whose pieces are there, else NULL. */
const char *qk_part_whole_entry(const struct qk_node *node, const struct qk_part_sort *sort);

#endif
