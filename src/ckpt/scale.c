/* Per-tensor scales of 8-bit tensors: see qk_ckpt_scale in ckpt/ckpt.h.
 *
 * "…weight_scale" is what compressed-tensors and ModelOpt write, "…weight_scale_inv" what DeepSeek's and Qwen's FP8
 * checkpoints have, "….scale" stands beside ".weight" in older exports; all three multiply the decoded value. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "ckpt/ckpt.h"

static const struct {
    const char *cut, *suffix; /* the companion's name: t's without cut at its end, with suffix */
} companions[] = {{"", "_scale_inv"}, {"", "_scale"}, {".weight", ".scale"}, {".weight", ".scale_inv"}};

/* The companion of row r, or NULL. */
static enum qk_code find_companion(const struct qk_ckpt *ckpt, const struct qk_tensor *t, size_t r,
                                   const struct qk_tensor **ret, struct qk_err *err)
{
    *ret = NULL;
    if (!qk_str_ends(t->name, companions[r].cut)) {
        return QK_OK;
    }
    struct qk_str name = {0};
    qk_str_addn(&name, t->name, strlen(t->name) - strlen(companions[r].cut));
    qk_str_add(&name, companions[r].suffix);
    if (name.failed) {
        qk_str_release(&name);
        return qk_fail_nomem(err, t->name);
    }
    *ret = qk_ckpt_find(ckpt, name.s);
    qk_str_release(&name);
    return QK_OK;
}

static enum qk_code read_scale(const struct qk_ckpt *ckpt, const struct qk_tensor *scale, double *ret,
                               struct qk_err *err)
{
    const struct qk_dtype_info *dtype = qk_dtype_info(scale->dtype);
    const char *file = ckpt->shards[scale->shard].path;
    if (scale->n_elements != 1) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: scales of blocks or rows are not supported (expected 1 element, found %llu)", file,
                       scale->name, (unsigned long long)scale->n_elements);
    }
    if (!dtype->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED,
                       "%s: %s: scale of unusable type (expected F32, BF16, F16 or F64, found %s)", file, scale->name,
                       dtype->name);
    }
    unsigned char bytes[8];
    double value;
    QK_TRY(qk_ckpt_read(ckpt, scale, 0, (size_t)scale->n_bytes, bytes, err));
    dtype->to_f64(bytes, 1, &value);
    if (!isfinite(value) || value <= 0.0) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: unusable scale (expected a finite number above 0, found %g)", file,
                       scale->name, value);
    }
    *ret = value;
    return QK_OK;
}

enum qk_code qk_ckpt_scale(const struct qk_ckpt *ckpt, const struct qk_tensor *t, double *ret, struct qk_err *err)
{
    const struct qk_dtype_info *dtype = qk_dtype_info(t->dtype);
    const struct qk_tensor *scale = NULL;
    for (size_t r = 0; dtype->is_float && dtype->bits == 8 && r < sizeof companions / sizeof companions[0]; r++) {
        const struct qk_tensor *found;
        QK_TRY(find_companion(ckpt, t, r, &found, err));
        if (found != NULL && scale != NULL) {
            return qk_fail(err, QK_EFORMAT, "%s: %s: scale is ambiguous (expected one, found '%s' and '%s')",
                           ckpt->shards[t->shard].path, t->name, scale->name, found->name);
        }
        scale = found == NULL ? scale : found;
    }
    if (scale != NULL) {
        return read_scale(ckpt, scale, ret, err);
    }
    *ret = 1.0;
    return QK_OK;
}
