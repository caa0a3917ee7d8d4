/* The list of edits while it is made: row ranges are added in any order, then put into file order. Private. */
#ifndef QK_REPAIR_EDIT_LIST_H
#define QK_REPAIR_EDIT_LIST_H

#include "edit_notice.h"
#include "repair/edit.h"

struct qk_edit_list {
    struct qk_edits edits; /* first: the public part */
    size_t cap, cap_heads;
    struct qk_arena *arena;
    struct qk_notices notices;
};

/* A copy of *edit. */
enum qk_code qk_edit_list_add(struct qk_edit_list *list, const struct qk_edit *edit, struct qk_err *err) QK_CHECKED;
enum qk_code qk_edit_list_add_head(struct qk_edit_list *list, const struct qk_edit_head *head, size_t *ret,
                                   struct qk_err *err) QK_CHECKED;
/* File order; ranges that touch and say the same become one. QK_EUSAGE: two that want different values in a row. */
enum qk_code qk_edit_list_order(struct qk_edit_list *list, struct qk_err *err) QK_CHECKED;
/* Scales, and whether base rows can be copied byte for byte; sums. QK_EUNSUPPORTED names what cannot be decoded. */
enum qk_code qk_edit_list_resolve(struct qk_edit_list *list, struct qk_err *err) QK_CHECKED;

#endif
