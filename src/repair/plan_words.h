/* The words of plan.json, in the order of their enums; lists end with NULL. Private to the layer. */
#ifndef QK_REPAIR_PLAN_WORDS_H
#define QK_REPAIR_PLAN_WORDS_H

extern const char *const *const qk_plan_actions;
extern const char *const *const qk_plan_methods;
extern const char *const *const qk_plan_sides;
extern const char *const qk_plan_tensor_names[]; /* bits from QK_PLAN_Q on */
extern const char *const qk_plan_with_names[];   /* bits from QK_PLAN_Q_NORM on */

#endif
