/* Where the parts of a checkpoint are, from the path a user gave. */
#ifndef QK_CKPT_LAYOUT_H
#define QK_CKPT_LAYOUT_H

#include <stdbool.h>

#include "base/arena.h"
#include "check.h"

struct qk_layout {
    const char *name;    /* for results */
    const char *dir;     /* of config.json and the shards */
    const char *config;  /* path of config.json; NULL where none is to be expected */
    const char *weights; /* path of the only safetensors file; NULL when there is an index or nothing usable */
    const char *index;   /* path of the index; NULL when there is none to be used */
};

/* A directory: model.safetensors, or else model.safetensors.index.json (the order of transformers). A file: that file.
 * An error only when the path cannot be looked at; everything else is a violation. Strings live in the arena. */
enum qk_code qk_layout_find(struct qk_check *check, const char *path, struct qk_arena *arena, struct qk_layout *ret,
                            struct qk_err *err) QK_CHECKED;

/* Something of that name is there, be it a dangling symbolic link. */
bool qk_layout_present(const char *path);

#endif
