/* The entries ("/drift/NAME") of the parts of a run: which rows each part computed, and the checks that the parts make
 * one run. Private to merging. */
#ifndef QK_STORE_MERGE_ENTRY_H
#define QK_STORE_MERGE_ENTRY_H

#include <stdbool.h>

#include "analyses/table.h"
#include "base/err.h"
#include "entry_group.h"

struct qk_merge_state {
    const struct qk_table *const *parts;
    const char *const *names;
    size_t n_parts, p; /* p: the part at hand */
    bool is_other;     /* it holds other measurements than the parts before it */
    struct qk_table *out;
};

/* Name of the first part that has path. */
const char *qk_merge_first_with(const struct qk_merge_state *m, const char *path);
/* Index of the part axis among the array's dims; n_dims when it has none. */
size_t qk_merge_part_axis(const struct qk_node *node);
/* The part's own list of coordinates on an entry; NULL when it is no int64 list. */
const struct qk_attr *qk_merge_part_list(const struct qk_entry_group *group, const struct qk_node *entry);
bool qk_merge_list_has(const struct qk_attr *list, int64_t value);

/* Joins the entry's list of computed coordinates, ascending; QK_EMISMATCH when an earlier part computed one of them,
 * unless they are the base's and one of the two measured it beside a checkpoint that the other lacks. */
enum qk_code qk_merge_join_part_list(const struct qk_merge_state *m, const struct qk_entry_group *group,
                                     struct qk_node *into, const struct qk_node *node, struct qk_err *err) QK_CHECKED;
/* The first earlier part that computed this coordinate of the entry; m->p when none did. */
size_t qk_merge_repeats(const struct qk_merge_state *m, const struct qk_node *entry, int64_t value);
/* An entry new in the part at hand must hold the datasets that its neighbours in the result hold, as in one run. */
enum qk_code qk_merge_check_new_entry(const struct qk_merge_state *m, const struct qk_node *entry,
                                      struct qk_err *err) QK_CHECKED;
/* An entry of the finished result: every row computed, and the same cells as in its neighbours. Nodes that are no entry
 * pass. */
enum qk_code qk_merge_check_whole(const struct qk_merge_state *m, const struct qk_node *entry,
                                  struct qk_err *err) QK_CHECKED;

/* A checkpoint that is new with a part of other measurements: QK_EMISMATCH when it is one of the earlier parts under
 * another name, which could not be told apart from a further one. Nodes that are no checkpoint pass. */
enum qk_code qk_merge_check_new_checkpoint(const struct qk_merge_state *m, const struct qk_node *node,
                                           struct qk_err *err) QK_CHECKED;
/* One run has one base. */
enum qk_code qk_merge_check_one_base(const struct qk_merge_state *m, struct qk_err *err) QK_CHECKED;

#endif
