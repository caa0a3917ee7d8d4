/* Doubles into a tuned tensor's storage. Private to the layer. */
#ifndef QK_REPAIR_EDIT_ENCODE_H
#define QK_REPAIR_EDIT_ENCODE_H

#include "repair/edit.h"

/* n values (overwritten) to the edit's tensor's type under its scale, nearest even. QK_EFORMAT: a finite value that the
 * type cannot hold. */
enum qk_code qk_edit_encode(const struct qk_edits *edits, const struct qk_edit *edit, double *values, size_t n,
                            void *dst, struct qk_err *err) QK_CHECKED;

#endif
