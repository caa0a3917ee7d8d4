/* Writes the repaired checkpoint: the tuned one with a plan's edits, as ckpt/writer.h promises, and a record of what
 * was done, qkscope.json:
 *
 *   {"format": "qkscope-restore", "version": 1, "qkscope": …, "command": …,
 *    "base": {"name", "header_sha256", "config_sha256"}, "tuned": {…}, "output": {"header_sha256"},
 *    "tensors": [{"name", "file", "sha256" (of the whole tensor as written), "bytes" (changed),
 *                 "rows": [{"layer", "role", "first", "count", "how"}]}],
 *    "plan": {…}}
 *
 * Without times or machine names: equal inputs and commands give equal bytes. */
#ifndef QK_REPAIR_RESTORE_H
#define QK_REPAIR_RESTORE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/str.h"
#include "repair/edit.h"

#define QK_RESTORE_RECORD "qkscope.json"

struct qk_restore_options {
    bool force;                         /* replaces an existing checkpoint */
    const char *command;                /* for the record */
    const struct qk_progress *progress; /* bytes; may be NULL */
};

/* Whether the target may be written (qk_writer_check); creates nothing. */
enum qk_code qk_restore_check(const struct qk_edits *edits, const char *target,
                              const struct qk_restore_options *options, struct qk_err *err) QK_CHECKED;
/* plan: what the edits were made from. The tuned checkpoint may be an overlay (an adapter merged in memory) as long as
 * types stay. Memory: one head a worker. Nothing is left at or beside the target after a failure. */
enum qk_code qk_restore_write(const struct qk_plan *plan, const struct qk_edits *edits, const char *target,
                              const struct qk_restore_options *options, struct qk_pool *pool,
                              struct qk_err *err) QK_CHECKED;

#endif
