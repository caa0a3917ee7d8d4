/* Writing a checkpoint that differs from another in some bytes of its tensors, and in nothing else.
 *
 * The source's directory is copied file by file (reflink, else copy_file_range, else reads and writes), then the
 * changed ranges are written over the copy; headers, shard layout, tokenizer and every other file stay as they are.
 * Hidden directories (.git, .cache) are left out; links to files and directories become what they point to. Of a single
 * .safetensors file the file itself, config.json and the tokenizer's files beside it are copied.
 *
 * The target appears complete or not at all: all work is done in a hidden sibling ".<name>.qkscope-XXXXXX.part", which
 * is synced and renamed at the end. With force an existing target is exchanged for the new one in a single step and
 * removed afterwards, so that one of the two is complete under the name at any time. Siblings that a killed process
 * left are removed by the next writer of the same target (a lock tells them from those of a running one). */
#ifndef QK_CKPT_WRITER_H
#define QK_CKPT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "ckpt/ckpt.h"

struct qk_writer;

/* Bytes [at, at + n) of a tensor. */
struct qk_writer_range {
    const struct qk_tensor *tensor;
    uint64_t at, n;
};

struct qk_writer_options {
    bool force;      /* an existing checkpoint or empty directory is replaced */
    size_t n_inputs; /* further checkpoints that must not be touched; the source always is one */
    const struct qk_ckpt *const *inputs;
    const char *left_out;               /* name of a top-level file that is not copied, or NULL */
    const struct qk_progress *progress; /* bytes copied; may be NULL */
    /* Ranges that will be put for certain, in file order and disjoint: not copied first where blocks are not shared. */
    size_t n_replaced;
    const struct qk_writer_range *replaced;
};

/* Whether target could be written: QK_EUSAGE when it exists (and force is not given, or it is no checkpoint), or lies
 * in an input, or holds one. Creates nothing. */
enum qk_code qk_writer_check(const struct qk_ckpt *source, const char *target, const struct qk_writer_options *options,
                             struct qk_err *err) QK_CHECKED;
/* Checks the target and the free space, then copies the source, with the bytes that overlays put into it. *ret owned:
 * ends with qk_writer_commit or qk_writer_abort. QK_EIO: no space, or the system refuses; QK_EUNSUPPORTED: an overlay
 * shows a tensor in another type than the file. */
enum qk_code qk_writer_open(const struct qk_ckpt *source, const char *target, const struct qk_writer_options *options,
                            struct qk_writer **ret, struct qk_err *err) QK_CHECKED;
/* n bytes of a tensor of the source from byte at on. Thread-safe for disjoint ranges. */
enum qk_code qk_writer_put(struct qk_writer *writer, const struct qk_tensor *tensor, uint64_t at, size_t n,
                           const void *bytes, struct qk_err *err) QK_CHECKED;
/* Reads back what the copy holds. Thread-safe. */
enum qk_code qk_writer_read(const struct qk_writer *writer, const struct qk_tensor *tensor, uint64_t at, size_t n,
                            void *buf, struct qk_err *err) QK_CHECKED;
/* A further file at the top. */
enum qk_code qk_writer_add_file(struct qk_writer *writer, const char *name, const void *data, size_t n,
                                struct qk_err *err) QK_CHECKED;
/* Syncs, checks that the headers are the source's, renames. Frees the writer; on failure nothing is left behind. */
enum qk_code qk_writer_commit(struct qk_writer *writer, struct qk_err *err) QK_CHECKED;
/* Removes what was written and frees. Takes NULL. */
void qk_writer_abort(struct qk_writer *writer);

#endif
