/* The rotation of a head toward the base, restricted to what commutes with RoPE (repair/align.h). */
#ifndef QK_REPAIR_ALIGN_ROTATION_H
#define QK_REPAIR_ALIGN_ROTATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/model.h"
#include "num/gram.h"

/* QK_EUNSUPPORTED when the rotary dimensions are not an even number inside k rows. */
enum qk_code qk_align_rotation_check(const struct qk_position *position, size_t k, struct qk_err *err) QK_CHECKED;
size_t qk_align_rotation_work(size_t k);
/* r (K, K) column-major := argmin ‖R W1 − W0‖_F from the delta Grams: any orthogonal R without RoPE; with it one angle
 * a frequency pair and an orthogonal block for the dimensions that do not turn. *ret_identity: R is exactly I. work:
 * qk_align_rotation_work(k). QK_EFORMAT: no convergence. */
enum qk_code qk_align_rotation(const struct qk_gram *g, const struct qk_position *position, double *r,
                               bool *ret_identity, double *work, struct qk_err *err) QK_CHECKED;

#endif
