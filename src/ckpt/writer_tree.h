/* Directory trees: measured, copied, synced, removed. Private to the writer. */
#ifndef QK_CKPT_WRITER_TREE_H
#define QK_CKPT_WRITER_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"

/* Bytes of a source file that are not copied: something else is written there. */
struct qk_tree_gap {
    const char *path;
    uint64_t from, to;
};

struct qk_tree_copy {
    const char *left_out;    /* top-level name, or NULL */
    const char *const *only; /* patterns of the top-level files to take, ends with NULL; NULL: everything */
    const char *only_file;   /* with only: one more name, or NULL */
    const struct qk_progress *progress;
    uint64_t done, total;
    size_t n_gaps;
    const struct qk_tree_gap *gaps; /* by file, ascending */
};

/* Adds up what qk_tree_copy would copy into copy->total. */
enum qk_code qk_tree_measure(struct qk_tree_copy *copy, const char *from, struct qk_err *err) QK_CHECKED;
/* Copies the contents of from into the existing directory to. Checks for an interruption every few MiB. */
enum qk_code qk_tree_copy(struct qk_tree_copy *copy, const char *from, const char *to, struct qk_err *err) QK_CHECKED;
/* Whether a copy of from in directory to would share its blocks (reflink). */
bool qk_tree_can_clone(const char *from, const char *to);
/* fsync of every file, then of every directory. */
enum qk_code qk_tree_sync(const char *dir, struct qk_err *err) QK_CHECKED;
/* Removes the directory with all that it holds, as far as possible; links are not followed. */
void qk_tree_remove(const char *dir);

#endif
