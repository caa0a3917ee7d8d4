/* What `qkscope inspect` prints. Private to src/cli. */
#ifndef QK_CLI_INSPECT_H
#define QK_CLI_INSPECT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ckpt/ckpt.h"
#include "model/model.h"

struct qk_inspect_view {
    const struct qk_ckpt *ckpt;
    const struct qk_model *model;
    const char *name;   /* the user's, else the checkpoint's */
    const bool *layers; /* flags: show these one by one; NULL = all, equal ones folded */
    bool tensors;       /* list every tensor */
    struct qk_arena *arena;
};

enum qk_code qk_inspect_text(struct qk_str *out, const struct qk_inspect_view *view, size_t width,
                             struct qk_err *err) QK_CHECKED;
enum qk_code qk_inspect_json(struct qk_str *out, const struct qk_inspect_view *view, struct qk_err *err) QK_CHECKED;

/* Layer and role of a tensor: *ret_layer = (size_t)-1 for tensors outside the layers; "" when no rule knows it. A
 * tensor that plays several roles in its layer gives them all, joined by '+'. */
enum qk_code qk_tensor_roles(const struct qk_inspect_view *view, const char ***ret_roles, size_t **ret_layers,
                             struct qk_err *err) QK_CHECKED;

#endif
