/* The directory that a writer makes: whether it may be made, the hidden sibling it grows in, and its publication.
 * Private to the writer. */
#ifndef QK_CKPT_WRITER_TARGET_H
#define QK_CKPT_WRITER_TARGET_H

#include "base/arena.h"
#include "ckpt/writer.h"

struct qk_writer_target {
    const char *path;   /* without trailing '/' */
    const char *parent; /* "." where path has none */
    char *staging;      /* NULL until made */
    int lock;           /* on the staging directory; −1 = none */
};

/* path and parent, from the arena. */
enum qk_code qk_target_init(struct qk_writer_target *t, const char *path, struct qk_arena *arena,
                            struct qk_err *err) QK_CHECKED;
enum qk_code qk_target_check(const struct qk_writer_target *t, const struct qk_ckpt *source,
                             const struct qk_writer_options *options, struct qk_err *err) QK_CHECKED;
/* Removes siblings that killed processes left, makes the parent and a staging directory of its own. */
enum qk_code qk_target_stage(struct qk_writer_target *t, struct qk_arena *arena, struct qk_err *err) QK_CHECKED;
/* The synced staging directory gets the target's name. */
enum qk_code qk_target_publish(struct qk_writer_target *t, bool force, struct qk_err *err) QK_CHECKED;
/* Removes the staging directory if there is one. */
void qk_target_release(struct qk_writer_target *t);

#endif
