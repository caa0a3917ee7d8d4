/* Variants of a tuned checkpoint, in memory: a plan's edits, byte for byte what restore writes, or whole parts of the
 * base put in their place, for controls. Base and tuned are borrowed and must outlive the variant. */
#ifndef QK_RUN_VARIANT_H
#define QK_RUN_VARIANT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/pool.h"
#include "model/model.h"
#include "repair/plan.h"

struct qk_variant_pair {
    const struct qk_model *base, *tuned;
};

/* What is taken from the base: rows by role and layer, and the tensors outside the layers. */
struct qk_variant_swap {
    unsigned roles;     /* bits 1 << enum qk_role */
    const bool *layers; /* (n_layers) where; NULL = all */
    bool outer;         /* embedding, final norm, head and what else is outside the layers */
    /* roles as above, and in layers outside `layers` these: what "all but Q and K of some layers" needs */
    unsigned elsewhere;
};

struct qk_variant;

/* Errors as qk_edits_new and qk_patched_new: a unit that cannot be done is QK_EUNSUPPORTED. *ret owned. */
enum qk_code qk_variant_of_plan(const struct qk_variant_pair *pair, const struct qk_plan *plan, struct qk_pool *pool,
                                struct qk_variant **ret, struct qk_err *err) QK_CHECKED;
/* Values of another type than the tuned tensor's are rounded to it, nearest even; QK_EUNSUPPORTED for 8-bit types that
 * differ or have scales, and tensors without numbers. *ret owned. */
enum qk_code qk_variant_of_swap(const struct qk_variant_pair *pair, const struct qk_variant_swap *swap,
                                struct qk_variant **ret, struct qk_err *err) QK_CHECKED;
/* Takes NULL. */
void qk_variant_free(struct qk_variant *variant);
/* Borrowed. */
const struct qk_model *qk_variant_model(const struct qk_variant *variant);

/* Whether a swap would change any value. Cost: reads those rows of both. */
enum qk_code qk_variant_swap_differs(const struct qk_variant_pair *pair, const struct qk_variant_swap *swap, bool *ret,
                                     struct qk_err *err) QK_CHECKED;

#endif
