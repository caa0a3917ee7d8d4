/* Cutting every tensor of a layer by role (model.c calls this after the family's build). */
#ifndef QK_MODEL_SLICES_H
#define QK_MODEL_SLICES_H

#include "model/builder.h"

/* Fills slices of all layers and the model's outer tensors from claims and names. */
enum qk_code qk_build_slices(struct qk_model_builder *b, struct qk_err *err) QK_CHECKED;
/* The role that a tensor's name tells; suffix is what follows "<prefix><layer>.". *ret_halves: the tensor stacks gate
 * rows over up rows. */
enum qk_role qk_role_by_name(const char *suffix, bool *ret_halves);

#endif
