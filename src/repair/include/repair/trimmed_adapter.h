/* A repaired PEFT adapter: the adapter without what it does to the Q and K rows of a plan.
 *
 * W = W0 + s · B A shows W0 exactly where the rows of B are zero, whole modules, single KV groups and the Q and K rows
 * of fused modules alike. So the rows are zeroed and everything else stays: names, shapes, header and config. (Factors
 * that are left out would be initialised when PEFT loads the adapter, with a warning, and not to nothing for every
 * init_lora_weights.) Rows of tensors that the adapter holds in full become the base's, where its type can hold them;
 * rows of lora_B's bias become zero. Tensors that the adapter does not touch need nothing.
 *
 * Only restore can be said this way: other actions, and DoRA, whose magnitudes would have to become the base's norms,
 * are QK_EUNSUPPORTED (a merged checkpoint can hold them). The directory is written as ckpt/writer.h promises, with
 * a record in qkscope.json:
 *
 *   {"format": "qkscope-trimmed-adapter", "version": 1, "qkscope", "command", "base": {"name", "header_sha256"},
 *    "tuned": {…}, "tensors": [{"name", "rows": [{"layer", "role", "first", "count", "how": "zeroed" | "copied"}]}],
 *    "plan": {…}} */
#ifndef QK_REPAIR_TRIMMED_ADAPTER_H
#define QK_REPAIR_TRIMMED_ADAPTER_H

#include "repair/restore.h"

struct qk_trim {
    const struct qk_edit *edit;
    const struct qk_tensor *tensor; /* in the adapter's file */
    uint64_t first, count;          /* rows of it; elements of a vector, columns of a saved Conv1D */
    bool zero;                      /* else the base's values */
};

struct qk_trims {
    const struct qk_edits *edits;
    size_t n;
    const struct qk_trim *trims;
    uint64_t n_bytes;
};

/* What the edits become in the adapter that edits->tuned shows (its checkpoint's adapter is not NULL). The trims live
 * in the arena and borrow the edits. */
enum qk_code qk_trims_new(const struct qk_edits *edits, struct qk_arena *arena, struct qk_trims *ret,
                          struct qk_err *err) QK_CHECKED;
/* Whether the target may be written; creates nothing. */
enum qk_code qk_trims_check(const struct qk_trims *trims, const char *target, const struct qk_restore_options *options,
                            struct qk_err *err) QK_CHECKED;
/* Writes the adapter's directory with the trims. Nothing is left at or beside the target after a failure. */
enum qk_code qk_trims_write(const struct qk_plan *plan, const struct qk_trims *trims, const char *target,
                            const struct qk_restore_options *options, struct qk_err *err) QK_CHECKED;

#endif
