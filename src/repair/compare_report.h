/* The pieces of a comparison's result that need no reading of tensors. Private to src/repair. */
#ifndef QK_REPAIR_COMPARE_REPORT_H
#define QK_REPAIR_COMPARE_REPORT_H

#include "compare_span.h"
#include "repair/compare.h"

/* Ranges, counts and parts of one tensor that both have; nothing is set where no row differs. */
enum qk_code qk_compare_describe(const struct qk_compare_sums *sums, const struct qk_model *model,
                                 struct qk_arena *arena, struct qk_compare_tensor *ret, struct qk_err *err) QK_CHECKED;
/* Shards and headers. */
enum qk_code qk_compare_layout(const struct qk_ckpt *a, const struct qk_ckpt *b, struct qk_arena *arena,
                               struct qk_compare *ret, struct qk_err *err) QK_CHECKED;
/* The other files of the directories, or the configs alone where a checkpoint was given as a file. ignored: a name in
 * B's directory that is no difference, or NULL. */
enum qk_code qk_compare_files(const struct qk_ckpt *a, const struct qk_ckpt *b, const char *ignored,
                              struct qk_arena *arena, struct qk_compare *ret, struct qk_err *err) QK_CHECKED;

#endif
