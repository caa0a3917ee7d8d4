/* The record of a restore, qkscope.json: see repair/restore.h. Private to the layer. */
#ifndef QK_REPAIR_RESTORE_RECORD_H
#define QK_REPAIR_RESTORE_RECORD_H

#include "repair/restore.h"

struct qk_tensor_hash {
    const struct qk_tensor *tensor;
    size_t first_edit, n_edits;
    char sha256[65];
};

void qk_restore_record(const struct qk_plan *plan, const struct qk_edits *edits, const char *command,
                       const struct qk_tensor_hash *hashes, struct qk_str *out);

#endif
