/* Norm weights as doubles. */
#include "model/model.h"

#include "base/alloc.h"
#include "num/dtype.h"

enum qk_code qk_norm_weight_read(const struct qk_model *model, const struct qk_norm_weight *w, size_t n, double *dst,
                                 struct qk_err *err)
{
    const struct qk_tensor *t = w->tensor;
    for (size_t i = 0; !t && i < n; i++) {
        dst[i] = 1;
    }
    if (!t) {
        return QK_OK;
    }
    const struct qk_dtype_info *type = qk_dtype_info(t->dtype);
    if (t->n_elements != n) {
        return qk_fail(err, QK_EFORMAT, "%s: %s: wrong number of elements (expected %zu, found %llu)",
                       model->ckpt->path, t->name, n, (unsigned long long)t->n_elements);
    }
    if (!type->is_float) {
        return qk_fail(err, QK_EUNSUPPORTED, "%s: %s: dtype %s cannot be decoded (expected a float type)",
                       model->ckpt->path, t->name, type->name);
    }
    double scale = 1;
    if (type->bits == 8) {
        QK_TRY(qk_ckpt_scale(model->ckpt, t, &scale, err));
    }
    void *raw = qk_alloc_aligned(n, type->bits / 8);
    if (!raw) {
        return qk_fail_nomem(err, "norm weight");
    }
    enum qk_code code = qk_ckpt_read(model->ckpt, t, 0, n * (type->bits / 8), raw, err);
    if (code == QK_OK) {
        type->to_f64(raw, n, dst);
    }
    qk_free(raw);
    for (size_t i = 0; code == QK_OK && i < n; i++) {
        dst[i] = dst[i] * scale + (w->plus_one ? 1 : 0);
    }
    return code;
}
