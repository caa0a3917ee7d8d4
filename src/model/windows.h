/* Sliding windows of families whose configs give a rule, not (only) a list. */
#ifndef QK_MODEL_WINDOWS_H
#define QK_MODEL_WINDOWS_H

#include "model/builder.h"

/* n_layers entries of window, in the arena. */
enum qk_code qk_windows_new(const struct qk_model_builder *b, size_t n_layers, size_t window, size_t **ret,
                            struct qk_err *err) QK_CHECKED;
/* sliding_window (or dflt) and, where there is a layer_types, the windows by it (*ret NULL otherwise). */
enum qk_code qk_windows_from_list(const struct qk_model_builder *b, size_t dflt, size_t **ret, size_t *ret_n,
                                  size_t *ret_window, struct qk_err *err) QK_CHECKED;

#endif
