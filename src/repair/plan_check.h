/* What must hold between the units of a plan: see repair/plan.h. */
#ifndef QK_REPAIR_PLAN_CHECK_H
#define QK_REPAIR_PLAN_CHECK_H

#include "repair/plan.h"

/* Sorts units by layer, then first KV group, their order in the file last. */
void qk_plan_sort(struct qk_plan_unit *units, size_t n);
/* QK_EFORMAT when two units name the same KV group's Q or K. O(n log n) in the groups named. */
enum qk_code qk_plan_check_units(const char *name, const struct qk_plan_unit *units, size_t n,
                                 struct qk_err *err) QK_CHECKED;

#endif
