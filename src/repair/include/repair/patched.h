/* The repaired checkpoint before it is written: the tuned one with a plan's edits laid over it in memory, byte for byte
 * what restore writes. Forward passes, drift and compare take it like any other checkpoint. */
#ifndef QK_REPAIR_PATCHED_H
#define QK_REPAIR_PATCHED_H

#include "base/err.h"
#include "base/pool.h"
#include "ckpt/overlay.h"
#include "repair/edit.h"

struct qk_patched;

/* Copied, converted and blended rows are made when they are read; aligned heads are made here, on the pool, and held in
 * memory (their bytes in the tuned type). edits and their checkpoints must outlive it. *ret owned: qk_patched_free. */
enum qk_code qk_patched_new(const struct qk_edits *edits, const char *name, struct qk_pool *pool,
                            struct qk_patched **ret, struct qk_err *err) QK_CHECKED;
void qk_patched_free(struct qk_patched *patched);
/* Borrowed; reads are thread-safe. */
const struct qk_ckpt *qk_patched_ckpt(const struct qk_patched *patched);

#endif
